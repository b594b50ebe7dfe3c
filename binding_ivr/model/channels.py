"""The names of our channels in Asterisk: whose they are can be seen, which call has which cannot be guessed."""

import hashlib
import re
import secrets

LONGEST = 30
"""Signs of a name. With the `;2` of a Local channel's far half it fits the 32 of a call record's `uniqueid` column."""
_APP, _SIGNS = 11, "abcdefghijklmnopqrstuvwxyz234567"


def prefix_of(app: str) -> str:
    """Return what the names of an ARI application's channels begin with: its own name where that is short enough."""
    if len(app) > _APP:
        app = app[:4] + hashlib.sha256(app.encode()).hexdigest()[: _APP - 4]
    return app + "."


def new_name(app: str) -> str:
    """Return a name that nobody has had, and nobody can foresee: 90 bits and more are drawn for each."""
    prefix = prefix_of(app)
    return prefix + "".join(secrets.choice(_SIGNS) for _ in range(LONGEST - len(prefix)))


def is_of(app: str, name: str) -> bool:
    """Return whether *name* is that of one of the application's channels.

    The far half of a Local channel is called `<its name>;2`: it ends with its near half, and is not meant.
    """
    return name.startswith(prefix_of(app)) and re.fullmatch(r"[A-Za-z0-9._-]{1,140}", name) is not None
