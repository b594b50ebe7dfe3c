"""The API's calls about one user's binding."""

from aiohttp import web

from binding_ivr.app.view import Shown, View
from binding_ivr.model.rows import BindingStatus
from binding_ivr.web.api import render, schema
from binding_ivr.web.api.operation import found
from binding_ivr.web.api.request import Answer, Call
from binding_ivr.web.auth.credentials import is_fresh
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import CONFIG


async def get(call: Call) -> Answer:
    """GET …/binding"""
    view = await call.bindings.view(*call.user, call.actor)
    body = render.binding(view, with_code=render.sees_code(call.identity))
    tag = render.etag(body)
    headers = {"ETag": f'"{tag}"'}
    if _names(call.request, "If-None-Match", tag):
        return Answer(304, None, headers)
    return Answer(200, body, headers)


async def put(call: Call) -> Answer:
    """PUT …/binding"""
    await _check(call)
    begun = await call.bindings.bind(
        *call.user, call.body.number, call.actor, now=call.body.now, attempt_id=call.attempt_id
    )
    return _accepted(call, begun, begun.view)


async def revalidate(call: Call) -> Answer:
    """POST …/binding/revalidate"""
    begun = await call.bindings.revalidate(*call.user, call.actor, now=call.body.now, attempt_id=call.attempt_id)
    return _accepted(call, begun, begun.view)


async def undo(call: Call) -> Answer:
    """POST …/binding/undo"""
    await _check(call)
    begun = await call.bindings.undo(*call.user, call.actor, now=call.body.now, attempt_id=call.attempt_id)
    return _accepted(call, begun, begun.view)


async def accepted_again(call: Call) -> Answer:
    """The reply to the same request once more: the attempt as it is now."""
    shown = await call.bindings.attempt(call.attempt_id)
    return _accepted(call, shown, await call.bindings.view(*call.user, call.actor))


async def remove(call: Call) -> Answer:
    """DELETE …/binding"""
    await _check(call)
    await call.bindings.remove(*call.user, call.because(call.query.reason))
    return Answer(204)


async def last_attempt(call: Call) -> Answer:
    """GET …/binding/attempt"""
    view = await call.bindings.view(*call.user, call.actor)
    return Answer(200, render.attempt(found(view.last), with_code=render.sees_code(call.identity)))


async def cancel(call: Call) -> Answer:
    """DELETE …/binding/attempt"""
    await call.bindings.cancel(*call.user, call.actor)
    return Answer(204)


async def suspend(call: Call) -> Answer:
    """POST …/binding/suspend"""
    await call.bindings.suspend(*call.user, call.because(call.body.reason))
    return Answer(200, schema.StatusOut(BindingStatus.SUSPENDED))


async def resume(call: Call) -> Answer:
    """POST …/binding/resume"""
    return Answer(200, schema.StatusOut(await call.bindings.resume(*call.user, call.because(call.body.reason))))


def _accepted(call: Call, shown: Shown, view: View) -> Answer:
    """Whoever asked for a call sees its code: it is the answer to this very request."""
    body = schema.Accepted(
        binding=render.binding(view, with_code=render.sees_code(call.identity)),
        attempt=render.attempt(shown, with_code=True),
    )
    return Answer(202, body, kept=False)


async def _check(call: Call) -> None:
    """Before a number is changed or removed: is it still what the caller saw, and is the sign-in fresh enough?"""
    minutes = call.request.app[CONFIG].auth.step_up_minutes
    if not minutes and "If-Match" not in call.request.headers:
        return
    view = await call.bindings.view(*call.user, call.actor)
    if "If-Match" in call.request.headers:
        check_match(call, view)
    check_step_up(call, view, minutes)


def check_match(call: Call, view: View) -> None:
    """Raise Problem 412 when the binding is not what If-Match says. It is compared just before, not in the change."""
    tags = _tags(call.request, "If-Match")
    if "*" in tags and view.can_remove:
        return
    now = render.etag(render.binding(view, with_code=render.sees_code(call.identity)))
    if f'"{now}"' not in tags:
        raise Problem(412, "changed", "the binding has changed; read it again")


def check_step_up(call: Call, view: View, minutes: int) -> None:
    """Raise Problem 403 when a verified number would change after too old a sign-in."""
    if view.binding.status is BindingStatus.VERIFIED and not is_fresh(call.identity, minutes):
        raise step_up(minutes)


def step_up(minutes: int) -> Problem:
    """The sign-in is too old to change a verified number."""
    return Problem(403, "step_up_required", f"sign in again: this needs a sign-in from the last {minutes} minutes")


def _names(request: web.Request, header: str, tag: str) -> bool:
    tags = _tags(request, header)
    return "*" in tags or f'"{tag}"' in tags


def _tags(request: web.Request, header: str) -> set[str]:
    """The entity tags of a header, compared weakly (RFC 9110, section 13.1)."""
    listed = ",".join(request.headers.getall(header, ()))
    return {tag.strip().removeprefix("W/") for tag in listed.split(",")}
