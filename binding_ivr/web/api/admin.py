"""The API's calls for administrators and portals: accounts, users, attempts and the audit."""

from collections.abc import Sequence

from binding_ivr.app.personal import erase as erase_user
from binding_ivr.app.personal import export as export_user
from binding_ivr.model.rows import User
from binding_ivr.web.api import render, schema
from binding_ivr.web.api.request import Answer, Call
from binding_ivr.web.auth.access import accounts_of, not_here


async def attempts(call: Call) -> Answer:
    """GET /v1/attempts"""
    query = call.query
    account = account_asked(call, query.account)
    rows = await call.store.attempts.attempts(
        account=account, user_id=query.user_id, since=query.since, limit=query.limit
    )
    await _told(call, "attempts", len(rows), account)
    return Answer(200, schema.Attempts(render.shaped(list[schema.AttemptEntry], rows)))


def account_asked(call: Call, account: str | None) -> str | None:
    """Return the account that a list is of: the one asked for, or the only one that the key is for. Raises Problem."""
    if call.identity.is_admin:
        return account
    mine = accounts_of(call.identity)
    if account is None and len(mine) == 1:
        account = next(iter(mine))
    if account not in mine:
        raise not_here()
    return account


async def _told(call: Call, what: str, rows: int, account: str | None) -> None:
    """Have it audited that the caller reads a list with whole numbers of many."""
    await call.store.audit.reading(call.actor, what, rows, account or "")


async def accounts(call: Call) -> Answer:
    """GET /v1/accounts"""
    mine = accounts_of(call.identity)
    found = [row for row in await call.store.directory.accounts() if call.identity.is_admin or row.account in mine]
    return Answer(200, schema.Accounts(render.shaped(list[schema.AccountOut], found)))


async def account(call: Call) -> Answer:
    """GET /v1/accounts/{account}"""
    return Answer(200, render.shaped(schema.AccountOut, await call.store.directory.account(call.account)))


async def put_account(call: Call) -> Answer:
    """PUT /v1/accounts/{account}"""
    new = await call.installation.accounts.put(call.account, call.body.settings, call.actor)
    return Answer(201 if new else 200, schema.AccountOut(call.account, call.body.settings))


async def limits(call: Call) -> Answer:
    """GET …/limits"""
    values = await call.installation.accounts.limits(call.account)
    told = {name: list(value) if isinstance(value, Sequence) else value for name, value in values.items()}
    return Answer(200, schema.Limits(told))


async def users(call: Call) -> Answer:
    """GET …/users"""
    await call.store.directory.account(call.account)
    query = call.query
    rows = await call.store.web.search_users(call.account, query.q, query.after, query.limit + 1)
    page = rows[: query.limit]
    await _told(call, "users", len(page), call.account)
    more = page[-1].user.user_id if len(rows) > query.limit else None
    return Answer(200, schema.Users([render.user_entry(row) for row in page], more))


async def user(call: Call) -> Answer:
    """GET …/users/{user_id}"""
    return Answer(200, render.shaped(schema.UserOut, await call.store.directory.user(*call.user)))


async def put_user(call: Call) -> Answer:
    """PUT …/users/{user_id}"""
    body = call.body
    row = User(*call.user, tuple(body.extensions), body.language, body.email)
    added, _ = await call.store.directory.import_users([row], call.actor)
    return Answer(201 if added else 200, render.shaped(schema.UserOut, row))


async def remove_user(call: Call) -> Answer:
    """DELETE …/users/{user_id}"""
    await call.store.directory.remove_user(*call.user, call.because(call.query.reason))
    return Answer(204)


async def audit(call: Call) -> Answer:
    """GET /v1/audit"""
    query = call.query
    account = account_asked(call, query.account)
    rows = await call.store.personal.audit(
        account=account, user_id=query.user_id, since=query.since, limit=query.limit, action=query.action
    )
    await _told(call, "audit", len(rows), account)
    return Answer(200, schema.Audit(render.shaped(list[schema.AuditEntry], rows)))


async def export(call: Call) -> Answer:
    """GET …/users/{user_id}/export"""
    return Answer(200, schema.Export(await export_user(call.installation, *call.user, call.actor)))


async def erase(call: Call) -> Answer:
    """POST …/users/{user_id}/erase"""
    done = await erase_user(call.installation, *call.user, call.because(call.body.reason))
    return Answer(200, render.shaped(schema.Erased, done))
