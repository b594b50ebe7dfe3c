"""The API's calls about what limits hold back: see it, and lift it. For administrators."""

from binding_ivr.web.api import render
from binding_ivr.web.api import schema_limits as schema
from binding_ivr.web.api.request import Answer, Call


async def state(call: Call) -> Answer:
    """GET /v1/limits"""
    found = await call.store.limits.state()
    return Answer(
        200,
        schema.LimitStateOut(
            [
                schema.PausedOut(
                    row.account, render.utc(row.until), row.trial, row.pauses, row.failed_probes, row.answered,
                    row.proven,
                )
                for row in found.paused
            ],
            [
                schema.LockedOutOut(
                    row.account, row.user_id, row.failed, row.locks, render.utc(row.until) if row.until else None,
                    row.locked,
                )
                for row in found.locked_out
            ],
            found.calls_hour, found.calls_day, round(found.minutes_day, 1), found.locked_users, found.locked_numbers,
        ),
    )  # fmt: skip


async def reset_user(call: Call) -> Answer:
    """POST …/users/{user_id}/limits/reset"""
    done = await call.store.limits.reset_user(*call.user, call.because(call.body.reason))
    return Answer(200, schema.ResetOut(done.calls, done.locks))


async def reset_number(call: Call) -> Answer:
    """POST /v1/limits/numbers/reset"""
    done = await call.installation.numbers.reset(call.body.number, call.because(call.body.reason))
    return Answer(200, schema.ResetOut(done.calls, done.locks))


async def resume(call: Call) -> Answer:
    """POST /v1/limits/resume"""
    await call.store.limits.resume(call.body.account, call.because(call.body.reason))
    return Answer(204)
