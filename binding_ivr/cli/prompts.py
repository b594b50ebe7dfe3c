"""The commands about the recordings that the calls play."""

import argparse
from dataclasses import asdict
from pathlib import Path

from binding_ivr.call.prompts import PromptGroup
from binding_ivr.cli import show
from binding_ivr.config import Config, load
from binding_ivr.prompts.build import BuildOptions, build
from binding_ivr.prompts.library import list_prompts

COLUMNS = ("language", "group", "prompt", "seconds", "source", "voice", "text")


async def prompts_list(options: argparse.Namespace) -> int:
    """prompts list"""
    config = load(options.config)
    recordings = Path(config.prompts.recordings) if config.prompts.recordings else None
    rows = [
        {**asdict(found), "group": found.prompt.group}
        for found in list_prompts(
            languages=config.prompts.languages,
            recordings=recordings,
            output=options.output,
            path=config.prompts.path,
            groups=[PromptGroup(name) for name in options.group] or list(PromptGroup),
        )
    ]
    show.table(rows, COLUMNS, as_json=options.json)
    return 0


async def prompts_build(options: argparse.Namespace) -> int:
    """prompts build --output DIR"""
    config = load(options.config)
    return build(
        BuildOptions(
            output=options.output,
            languages=config.prompts.languages,
            recordings=Path(config.prompts.recordings) if config.prompts.recordings else None,
            site_name=_site_name(config),
            path=config.prompts.path,
            render=options.render,
            force=options.force,
            synthesiser=options.synthesiser,
            voices=options.voices,
        )
    )


def _site_name(config: Config) -> str:
    """The name to speak; the sample's value stands for none."""
    name = config.prompts.site_name
    return "" if name == Config().prompts.site_name else name
