"""The commands about the lab: up, down, status."""

import argparse
from pathlib import Path

from binding_ivr.lab import command


async def lab(options: argparse.Namespace) -> int:
    """lab up|down|status"""
    run = {"up": command.up, "down": command.down, "status": command.status}[options.action]
    folder: Path = options.folder or command.default_folder()
    return await run(folder, options.json)
