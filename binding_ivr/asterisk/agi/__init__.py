"""FastAGI: what is said to a phone and keyed at it, and look-ups of the dialplan."""
