"""The command that runs the service of this node."""

import argparse

from binding_ivr.config import advice, files_of, load
from binding_ivr.log import get_logger, set_up
from binding_ivr.node.service import Service

log = get_logger()


async def serve(options: argparse.Namespace) -> int:
    """serve"""
    config = load(options.config)
    set_up(config.service.log_format, config.service.log_level)
    for sentence in advice(config, files_of(config, options.config)):
        log.warning("config.unwise", detail=sentence)
    await Service(config).run()
    return 0
