"""The access code: derived from a key and the attempt's id wherever it is needed, never stored (DESIGN section 4)."""

import hashlib
import hmac
from uuid import UUID

MIN_LENGTH = 6
MAX_LENGTH = 10


def access_code(key: bytes, attempt_id: UUID, length: int) -> str:
    """Return the decimal code of *length* digits (6 to 10) for one attempt.

    HMAC-SHA-256 over the attempt's id, reduced modulo 10**length: with 256 bits in, the bias against a uniform
    code is below 2**-220. Leading zeros and repeats are part of the code.

    Raises ValueError for a length outside 6 to 10 or a key of fewer than 16 bytes.
    """
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise ValueError(f"an access code has {MIN_LENGTH} to {MAX_LENGTH} digits, not {length}")
    if len(key) < 16:
        raise ValueError("an access code key has at least 16 bytes")
    digest = hmac.new(key, b"binding_ivr access code\0" + attempt_id.bytes, hashlib.sha256).digest()
    return f"{int.from_bytes(digest) % 10**length:0{length}d}"


def is_code(expected: str, heard: str) -> bool:
    """Compare a whole entry with the code in constant time (for entries of equal length)."""
    return hmac.compare_digest(expected.encode(), heard.encode())


def pseudonym(key: bytes, account: str, user_id: str) -> str:
    """Return what stands for a user who was erased: always the same, so that what is counted goes on to be counted.

    No user can be called so: a user id holds no `/`.
    """
    text = b"binding_ivr user\0" + account.encode() + b"\0" + user_id.encode()
    return "erased/" + hmac.new(key, text, hashlib.sha256).hexdigest()[:32]


def number_hash(key: bytes, e164: str) -> bytes:
    """Return the keyed hash (32 bytes) under which a number is suppressed without being stored."""
    return hmac.new(key, b"binding_ivr number\0" + e164.encode(), hashlib.sha256).digest()


def lookup_key(key: bytes) -> str:
    """Return the secret of the look-ups over FastAGI: 32 signs that tell nothing of *key*."""
    return hmac.new(key, b"binding_ivr look-ups", hashlib.sha256).hexdigest()[:32]
