"""The command that hands over one person's data; it asks Asterisk, too."""

import argparse
import sys
from dataclasses import replace
from functools import partial

import msgspec

from binding_ivr.app.personal import export as export_user
from binding_ivr.cli.commands import actor, installation_of
from binding_ivr.mirror.resync import held_pins
from binding_ivr.model.times import iso


async def export(options: argparse.Namespace) -> int:
    """export USER"""
    async with installation_of(options) as installation:
        if (config := installation.config).ami.user:
            installation = replace(installation, held_pins=partial(held_pins, config))
        told = await export_user(installation, options.account, options.user, actor())
        now = (await installation.store.clock.read()).now
    text = msgspec.json.encode({"account": options.account, "user_id": options.user, "exported_at": iso(now), **told})
    sys.stdout.write(msgspec.json.format(text, indent=0 if options.json else 2).decode() + "\n")
    return 0
