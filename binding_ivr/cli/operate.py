"""The commands that run or check the installation: serve, migrate, check-config, demo, lab, prompts."""

import argparse
import asyncio
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from binding_ivr.app.demo import Demo
from binding_ivr.app.doctor import Status, examine
from binding_ivr.app.resync import resync as make_mirrors_equal
from binding_ivr.app.service import Service, check_for_service
from binding_ivr.call.prompts import PromptGroup
from binding_ivr.cli import show
from binding_ivr.cli.commands import house_of
from binding_ivr.config import Config, load, load_keys
from binding_ivr.lab import command as lab_command
from binding_ivr.log import set_up
from binding_ivr.prompts.build import BuildOptions, build
from binding_ivr.prompts.library import list_prompts
from binding_ivr.store import migrate as apply_migrations
from binding_ivr.store import open_store

CHECK_COLUMNS = ("status", "check", "detail")
MIRROR_COLUMNS = ("node", "status", "keys", "put", "deleted")
PROMPT_COLUMNS = ("language", "group", "prompt", "seconds", "source", "voice", "text")


async def serve(options: argparse.Namespace) -> int:
    """serve"""
    config = load(options.config)
    set_up(config.service.log_format, config.service.log_level)
    await Service(config).run()
    return 0


def event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop for the service: uvloop where there is one, for a third less CPU per call."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def migrate(options: argparse.Namespace) -> int:
    """migrate"""
    config = load(options.config)
    set_up("console", "error")
    dsn = config.database.dsn or None
    async with open_store(dsn, config.state_dir, 2, migrations="skip") as store:
        applied = await apply_migrations(store.db)
    if options.json:
        show.json_line({"applied": applied})
    else:
        print("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")
    return 0


async def check_config(options: argparse.Namespace) -> int:
    """check-config [--sample]"""
    if options.sample:
        print(files("binding_ivr").joinpath("binding-ivr.sample.toml").read_text(), end="")
        return 0
    config = load(options.config)
    check_for_service(config)
    if config.code.keys:
        load_keys(config)
    if options.json:
        show.json_line({"status": "ok", "node": config.node})
    else:
        print(f"the configuration is good (node {config.node})")
    return 0


async def doctor(options: argparse.Namespace) -> int:
    """doctor"""
    config = load(options.config)
    set_up("console", "critical")  # every fault is a line of the table
    checks = await examine(config)
    show.table([check.facts() for check in checks], CHECK_COLUMNS, as_json=options.json)
    return 1 if any(check.status is Status.FAIL for check in checks) else 0


async def resync(options: argparse.Namespace) -> int:
    """resync"""
    async with house_of(options) as house:
        rows = await make_mirrors_equal(house)
    show.table(rows, MIRROR_COLUMNS, as_json=options.json)
    return 0 if all(row["status"] == "ok" for row in rows) else 1


async def demo(options: argparse.Namespace) -> int:
    """demo [--auto]"""
    return await Demo(auto=options.auto).run()


async def lab(options: argparse.Namespace) -> int:
    """lab up|down|status"""
    run = {"up": lab_command.up, "down": lab_command.down, "status": lab_command.status}[options.action]
    folder: Path = options.folder or lab_command.default_folder()
    return await run(folder, options.json)


async def prompts_list(options: argparse.Namespace) -> int:
    """prompts list"""
    config = load(options.config)
    recordings = Path(config.prompts.recordings) if config.prompts.recordings else None
    rows = [
        {
            "language": found.language,
            "group": found.prompt.group,
            "prompt": found.prompt,
            "seconds": found.seconds,
            "source": found.source,
            "voice": found.voice,
            "text": found.text,
        }
        for found in list_prompts(
            languages=config.prompts.languages,
            recordings=recordings,
            output=options.output,
            path=config.prompts.path,
            groups=[PromptGroup(name) for name in options.group] or list(PromptGroup),
        )
    ]
    show.table(rows, PROMPT_COLUMNS, as_json=options.json)
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
