"""The API's calls about single numbers: suppressed ones and exceptions to the policy. For administrators."""

from datetime import UTC

from binding_ivr.web.api import render
from binding_ivr.web.api import schema_numbers as schema
from binding_ivr.web.api.request import Answer, Call


async def suppressions(call: Call) -> Answer:
    """GET /v1/suppressions"""
    rows = await call.store.suppressions.list()
    listed = [schema.Suppression(r.number_hash.hex(), r.reason, r.who, r.created_at, r.note) for r in rows]
    return Answer(200, schema.Suppressions(listed))


async def suppress(call: Call) -> Answer:
    """POST /v1/suppressions"""
    added = await call.installation.numbers.suppress(call.body.number, call.because(call.body.reason))
    return Answer(201 if added else 200, schema.Suppressed(added))


async def unsuppress(call: Call) -> Answer:
    """DELETE /v1/suppressions/{number}"""
    await call.installation.numbers.unsuppress(call.names["number"], call.because(call.query.reason))
    return Answer(204)


async def exceptions(call: Call) -> Answer:
    """GET /v1/exceptions"""
    listed = render.shaped(list[schema.NumberException], await call.store.exceptions.all())
    return Answer(200, schema.NumberExceptions(listed))


async def add_exception(call: Call) -> Answer:
    """POST /v1/exceptions"""
    body = call.body
    excepted, _ = await call.installation.numbers.add_exception(
        body.account, body.number, body.reason, body.until, call.actor, prefix=body.prefix
    )
    return Answer(201, schema.ExceptionAdded(excepted.prefix, excepted.whole, body.until.astimezone(UTC)))


async def remove_exception(call: Call) -> Answer:
    """DELETE /v1/exceptions/{number}"""
    number = call.names["number"]
    await call.installation.numbers.remove_exception(
        call.query.account, number, call.actor, prefix=call.query.prefix == "true"
    )
    return Answer(204)
