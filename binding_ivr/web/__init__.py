"""The HTTP side: operations today (health and metrics). It holds no state."""
