"""The HTTP API: its calls, their bodies, live events and description."""
