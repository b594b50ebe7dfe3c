"""The command that runs the service of this node."""

import argparse

from binding_ivr.config import load
from binding_ivr.log import set_up
from binding_ivr.node.service import Service


async def serve(options: argparse.Namespace) -> int:
    """serve"""
    config = load(options.config)
    set_up(config.service.log_format, config.service.log_level)
    await Service(config).run()
    return 0
