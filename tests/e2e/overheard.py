"""Which prompts a phone of the lab has heard, by their sound: what was played came through to the ear, byte by byte."""

from functools import cache

from binding_ivr.call.prompts import Prompt
from binding_ivr.lab.phones.handset import PhoneCall, until
from binding_ivr.prompts import audio, catalogue

_PIECE = 640
"""Bytes (80 ms) of a recording by which it is recognised, from where it is loudest."""


@cache
def _pieces(language: str) -> dict[Prompt, bytes]:
    found = {}
    for prompt in Prompt:
        data = (catalogue.shipped_folder() / language / f"{prompt}.ulaw").read_bytes()
        levels = audio.frame_levels(audio.from_ulaw(data))  # one for each 80 bytes
        span = _PIECE // 80
        loudest = max(range(len(levels) - span), key=lambda at: sum(levels[at : at + span]))
        found[prompt] = data[loudest * 80 : loudest * 80 + _PIECE]
    assert len(set(found.values())) == len(found)
    return found


def overheard(call: PhoneCall, language: str = "en") -> list[Prompt]:
    """Return the prompts in *language* that came through to the phone in *call*, in their order."""
    heard = b"".join(packet.audio for packet in call.hearing.packets)
    places = []
    for prompt, piece in _pieces(language).items():
        at = heard.find(piece)
        while at >= 0:
            places.append((at, prompt))
            at = heard.find(piece, at + 1)
    return [prompt for _, prompt in sorted(places)]


async def hears(
    call: PhoneCall, *prompts: Prompt, times: int = 1, language: str = "en", timeout_s: float = 30.0
) -> None:
    """Wait until each of *prompts* came through *times* times."""

    def all_there() -> bool:
        heard = overheard(call, language)
        return all(heard.count(prompt) >= times for prompt in prompts)

    await until(all_there, lambda: f"heard only {[str(p) for p in overheard(call, language)]}", timeout_s)


def digits_after(call: PhoneCall, prompt: Prompt, language: str = "en") -> str:
    """Return the digits that were read out after the last time *prompt* was heard."""
    heard = overheard(call, language)
    last = len(heard) - heard[::-1].index(prompt)
    digits = ""
    for word in heard[last:]:
        if not word.startswith("digit_"):
            break
        digits += word[-1]
    return digits
