"""The commands about who may use the web: API keys and sign-in links."""

import argparse
import sys

from binding_ivr.app.signin import add_key, end_of_key, make_link, remove_key
from binding_ivr.cli import show
from binding_ivr.cli.commands import actor, installation_of
from binding_ivr.model.secrets import KEY_DAYS


async def api_key_add(options: argparse.Namespace) -> int:
    """api-key add NAME --scope SCOPE"""
    async with installation_of(options) as installation:
        days = KEY_DAYS if options.days is None else options.days
        key = await add_key(installation.store, options.name, options.scope, days, actor())
    if options.json:
        show.json_line({"name": key.name, "scopes": sorted(set(options.scope)), "days": days, "key": key.text})
        return 0
    print(key.text)
    end = f"it ends in {days} days" if days else "it has no end, so remove it when it is not needed"
    show.note(f"this key is shown only once; keep it like a password; {end}")
    return 0


async def api_key_list(options: argparse.Namespace) -> int:
    """api-key list"""
    async with installation_of(options) as installation:
        keys = await installation.store.web.keys()
    rows = [
        {
            "name": key.name,
            "id": key.key_id,
            "scopes": sorted(key.scopes),
            "created_at": key.created_at,
            "used_at": key.used_at,
            "expires_at": key.expires_at or (None if options.json else "no end"),
        }
        for key in keys
    ]
    show.table(rows, ("name", "id", "scopes", "created_at", "used_at", "expires_at"), as_json=options.json)
    if not options.json:
        for sentence in filter(None, (end_of_key(key, show.now()) for key in keys)):
            show.note(sentence)
    return 0


async def api_key_remove(options: argparse.Namespace) -> int:
    """api-key remove NAME"""
    async with installation_of(options) as installation:
        await remove_key(installation.store, options.name, actor())
    return show.done(options.json, name=options.name, result="removed")


async def link(options: argparse.Namespace) -> int:
    """link USER"""
    async with installation_of(options) as installation:
        address = await make_link(installation.config, installation.store, options.account, options.user, actor())
    if options.json:
        show.json_line({"account": options.account, "user_id": options.user, "link": address})
    else:
        print(address)
        print("it works once, within 10 minutes; the user opens it and presses the button", file=sys.stderr)
    return 0
