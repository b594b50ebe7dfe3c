"""The signature of a webhook: HMAC-SHA256 over the time and the body. Receivers check it as docs/webhooks.md shows."""

import hashlib
import hmac

VERSION = "v1"


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the value of `Binding-Signature`: `v1=` and the hex HMAC-SHA256 of `<timestamp>.<body>`.

    The time (POSIX seconds, as in `Binding-Timestamp`) is signed with the body, so that a message that was listened to
    cannot be sent again later with a fresh time.
    """
    signed = str(timestamp).encode() + b"." + body
    return f"{VERSION}={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
