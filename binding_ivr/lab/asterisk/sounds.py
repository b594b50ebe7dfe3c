"""Makes the few sounds that the lab cannot do without, as tones. Real prompts come from elsewhere."""

import array
import math
import wave
from pathlib import Path

_RATE_HZ = 8000
_LOUDNESS = 8000
NEEDED = {
    "beep": 0.3,
    "demo-congrats": 20.0,
    "vm-theperson": 1.5,
    "vm-isunavail": 1.0,
    "vm-intro": 3.0,
}
"""Sounds that the lab's dialplan and tests play, with their length in seconds if they must be made."""


def write_tone(path: Path, seconds: float, hertz: float = 440.0) -> None:
    """Write a tone as 16-bit mono WAV at 8 kHz, which every Asterisk can play."""
    step = 2 * math.pi * hertz / _RATE_HZ
    samples = array.array("h", (int(_LOUDNESS * math.sin(step * i)) for i in range(int(seconds * _RATE_HZ))))
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(_RATE_HZ)
        audio.writeframes(samples.tobytes())


def complete(english: Path, hold: Path) -> None:
    """Make what is missing in *english*, the folder of English sounds, and the hold tone in *hold*."""
    for name, seconds in NEEDED.items():
        if not any(english.glob(f"{name}.*")):
            write_tone(english / f"{name}.wav", seconds)
    hold.mkdir(parents=True, exist_ok=True)
    if not (hold / "hold.wav").exists():
        write_tone(hold / "hold.wav", 2.0, 350.0)
