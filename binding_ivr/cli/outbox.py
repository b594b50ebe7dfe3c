"""The commands about deliveries to webhooks: list, retry, drop. They send nothing; the service does."""

import argparse
from dataclasses import asdict
from typing import Any

from binding_ivr.cli import show
from binding_ivr.cli.commands import actor, installation_of
from binding_ivr.delivery.backoff import GIVE_UP_S

COLUMNS = ("id", "receiver", "event", "account", "user_id", "created_at", "state", "tries", "next_try", "detail")


async def list_deliveries(options: argparse.Namespace) -> int:
    """outbox list [--dead]"""
    async with installation_of(options) as installation:
        found = await installation.store.outbox.deliveries("dead" if options.dead else "pending", options.limit)
    rows: list[dict[str, Any]] = []
    for one in found:
        facts = asdict(one)
        rows.append({"id": facts.pop("delivery_id"), "event": facts.pop("name"), **facts})
    columns = [column for column in COLUMNS if not (options.dead and column == "next_try")]
    show.table(rows, columns, as_json=options.json)
    return 0


async def retry(options: argparse.Namespace) -> int:
    """outbox retry ID|--all"""
    async with installation_of(options) as installation:
        count = await installation.store.outbox.retry(options.id, GIVE_UP_S)
    return show.done(options.json, retried=count)


async def drop(options: argparse.Namespace) -> int:
    """outbox drop ID"""
    async with installation_of(options) as installation:
        await installation.store.outbox.drop(options.id, actor())
    return show.done(options.json, dropped=1)
