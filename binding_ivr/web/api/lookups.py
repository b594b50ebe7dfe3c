"""The API's look-ups for dialplans, other PBXs and portals: the same answers as at the other doors."""

from binding_ivr.model.lookups import LookupAnswer, LookupStatus
from binding_ivr.model.scopes import LOOKUP_SCOPE
from binding_ivr.web.api import render, schema
from binding_ivr.web.api.request import Answer, Call
from binding_ivr.web.auth.access import accounts_of
from binding_ivr.web.problems import unavailable


async def trusted_number(call: Call) -> Answer:
    """GET …/extensions/{extension}/trusted-number"""
    answer = await call.installation.lookups.trusted_number(call.account, call.names["extension"])
    return _answer(call, answer, answer.number)


async def trusted_caller(call: Call) -> Answer:
    """GET /v1/trusted-callers/{e164}"""
    answer = await call.installation.lookups.trusted_caller(call.names["e164"])
    identity = call.identity
    if not (identity.is_admin or LOOKUP_SCOPE in identity.scopes) and answer.account not in accounts_of(identity):
        answer = LookupAnswer(answer.status if answer.status is LookupStatus.ERROR else LookupStatus.NONE)
    return _answer(call, answer, answer.extension)


def _answer(call: Call, answer: LookupAnswer, text: str) -> Answer:
    if answer.status is LookupStatus.ERROR:
        raise unavailable()
    match call.query.format:
        case "text":
            return Answer(200, text)
        case "csv":
            fields = (answer.number, answer.account, answer.extension, answer.since, answer.dial)
            # Not one of them can hold a comma, but for a dial string of the operator's own: it is left empty then.
            return Answer(200, ",".join((answer.status, *("" if "," in field else field for field in fields))))
        case _:
            return Answer(200, render.shaped(schema.Lookup, answer))
