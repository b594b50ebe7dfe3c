"""The phones that a test takes in hand, and what they hear. It starts no Asterisk."""
