"""The command that shows it all with one real call."""

import argparse

from binding_ivr.node.demo import Demo


async def demo(options: argparse.Namespace) -> int:
    """demo [--auto]"""
    return await Demo(auto=options.auto).run()
