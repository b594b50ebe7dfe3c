"""The command that checks the configuration, or prints the sample."""

import argparse
from importlib.resources import files

from binding_ivr.cli import show
from binding_ivr.config import advice, check_for_service, files_of, load, load_keys


async def check_config(options: argparse.Namespace) -> int:
    """check-config [--sample]"""
    if options.sample:
        print(files("binding_ivr").joinpath("binding-ivr.sample.toml").read_text(), end="")
        return 0
    config = load(options.config)
    check_for_service(config)
    if config.code.keys:
        load_keys(config)
    unwise = advice(config, files_of(config, options.config))
    if options.json:
        show.json_line({"status": "ok", "node": config.node, "advice": unwise})
    else:
        print(f"the configuration is valid (node {config.node})")
        for sentence in unwise:
            show.note(f"warning: {sentence}")
    return 0
