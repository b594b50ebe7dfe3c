"""The contact card of our calling numbers and its QR code. It knows no user."""

import asyncio
import io
from collections.abc import Sequence
from functools import lru_cache

import segno

QUIET = 2
"""White modules around the code; the page adds more."""


def vcard(name: str, numbers: Sequence[str]) -> str:
    """Return a vCard 3.0 (RFC 2426), which every phone reads, of *name* with *numbers* in E.164."""
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"N:{_text(name)};;;;", f"FN:{_text(name)}"]
    lines += [f"TEL;TYPE=WORK,VOICE:{number}" for number in numbers]
    return "\r\n".join([*lines, "END:VCARD", ""])


@lru_cache(maxsize=200)
def svg(text: str) -> bytes:
    """Return *text* as a QR code in SVG, black on white, without sizes of its own."""
    out = io.BytesIO()
    code = segno.make(text, error="l", micro=False)
    code.save(out, kind="svg", xmldecl=False, border=QUIET, omitsize=True, light="#fff", dark="#000")
    return out.getvalue()


async def picture(text: str) -> bytes:
    """Return `svg(text)`, not in the event loop's thread: it takes many milliseconds when it was not kept."""
    return await asyncio.to_thread(svg, text)


def _text(value: str) -> str:
    """Escape a text value (RFC 2426 section 5)."""
    plain = " ".join(value.split())
    return plain.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
