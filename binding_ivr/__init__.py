"""binding_ivr proves that a PBX user's cell phone number is theirs and answers for it to the Asterisk dialplan."""

__version__ = "0.1.0"
