"""The API's lists of moves of calls: a user's own, and those that administrators and portals may see."""

from binding_ivr.web.api import render, schema_moves
from binding_ivr.web.api.admin import account_asked
from binding_ivr.web.api.request import Answer, Call


async def own(call: Call) -> Answer:
    """GET …/users/{user_id}/moves"""
    account, user_id = call.user
    await call.store.directory.user(account, user_id)
    rows = await call.store.moves.moves(
        account=account, user_id=user_id, since=call.query.since, limit=call.query.limit
    )
    return Answer(200, schema_moves.Moves(render.shaped(list[schema_moves.MoveEntry], rows)))


async def all_moves(call: Call) -> Answer:
    """GET /v1/moves"""
    query = call.query
    rows = await call.store.moves.moves(
        account=account_asked(call, query.account),
        user_id=query.user_id,
        extension=query.extension,
        since=query.since,
        limit=query.limit,
    )
    return Answer(200, schema_moves.Moves(render.shaped(list[schema_moves.MoveEntry], rows)))
