"""Wires the parts together: the use cases, the running service and the demonstration."""
