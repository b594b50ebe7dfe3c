"""The API's look-ups for dialplans, other PBXs and portals: the same answers as at the other doors."""

from binding_ivr.model.lookups import LookupAnswer, LookupStatus
from binding_ivr.model.scopes import LOOKUP_SCOPE
from binding_ivr.web.api import render, schema
from binding_ivr.web.api.request import Answer, Call
from binding_ivr.web.auth.access import Access, accounts_of, authorize
from binding_ivr.web.problems import unavailable


async def trusted_number(call: Call) -> Answer:
    """GET …/extensions/{extension}/trusted-number"""
    answer = await call.installation.lookups.trusted_number(call.account, call.names["extension"])
    return _answer(answer, answer.number, call.query.format)


async def trusted_caller(call: Call) -> Answer:
    """GET /v1/trusted-callers/{e164}"""
    answer = _for(call, await call.installation.lookups.trusted_caller(call.names["e164"]))
    return _answer(answer, answer.extension, call.query.format)


async def look_up(call: Call) -> Answer:
    """POST /v1/look-ups"""
    asked = call.body
    if asked.number:
        answer = _for(call, await call.installation.lookups.trusted_caller(asked.number))
        return _answer(answer, answer.extension, asked.format)
    authorize(call.identity, Access.LOOKUP, asked.account or "default", None)
    answer = await call.installation.lookups.trusted_number(asked.account or "default", asked.extension)
    return _answer(answer, answer.number, asked.format)


def _for(call: Call, answer: LookupAnswer) -> LookupAnswer:
    """Leave out whose number it is where that is another account's matter."""
    identity = call.identity
    if identity.is_admin or LOOKUP_SCOPE in identity.scopes or answer.account in accounts_of(identity):
        return answer
    return LookupAnswer(answer.status if answer.status is LookupStatus.ERROR else LookupStatus.NONE)


def _answer(answer: LookupAnswer, text: str, kind: str) -> Answer:
    if answer.status is LookupStatus.ERROR:
        raise unavailable()
    match kind:
        case "text":
            return Answer(200, text)
        case "csv":
            fields = (answer.number, answer.account, answer.extension, answer.since, answer.dial)
            # Not one of them can hold a comma, but for a dial string of the operator's own: it is left empty then.
            return Answer(200, ",".join((answer.status, *("" if "," in field else field for field in fields))))
        case _:
            return Answer(200, render.shaped(schema.Lookup, answer))
