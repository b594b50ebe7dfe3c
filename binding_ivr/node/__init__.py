"""Starts the parts of one node in order, and the demonstration. It serves nothing itself."""
