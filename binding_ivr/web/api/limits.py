"""The API's calls about what limits hold back: see it, and lift it. For administrators."""

from binding_ivr.web.api import render
from binding_ivr.web.api import schema_limits as schema
from binding_ivr.web.api.request import Answer, Call


async def state(call: Call) -> Answer:
    """GET /v1/limits"""
    body = render.shaped(schema.LimitStateOut, await call.store.limits.state())
    body.minutes_day = round(body.minutes_day, 1)
    return Answer(200, body)


async def reset_user(call: Call) -> Answer:
    """POST …/users/{user_id}/limits/reset"""
    done = await call.store.limits.reset_user(*call.user, call.because(call.body.reason))
    return Answer(200, render.shaped(schema.ResetOut, done))


async def reset_number(call: Call) -> Answer:
    """POST /v1/limits/numbers/reset"""
    done = await call.installation.numbers.reset(call.body.number, call.because(call.body.reason))
    return Answer(200, render.shaped(schema.ResetOut, done))


async def resume(call: Call) -> Answer:
    """POST /v1/limits/resume"""
    await call.store.limits.resume(call.body.account, call.because(call.body.reason))
    return Answer(204)
