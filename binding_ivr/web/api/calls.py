"""The HTTP API: every call in one table, and its routes. What a call does is in the use cases."""

from aiohttp import hdrs, web

from binding_ivr.web.api import admin as api_admin
from binding_ivr.web.api import binding as api_binding
from binding_ivr.web.api import limits as api_limits
from binding_ivr.web.api import lookups as api_lookup
from binding_ivr.web.api import moves as api_moves
from binding_ivr.web.api import numbers as api_numbers
from binding_ivr.web.api import schema, schema_limits, schema_moves, schema_numbers
from binding_ivr.web.api.events import stream
from binding_ivr.web.api.idempotency import KEYS_OF_USERS, key_rates
from binding_ivr.web.api.openapi import document
from binding_ivr.web.api.operation import Operation
from binding_ivr.web.api.render import session
from binding_ivr.web.api.request import Answer, Call
from binding_ivr.web.auth.access import Access
from binding_ivr.web.auth.credentials import LOOK_UPS
from binding_ivr.web.rendering import Rendering

ACCOUNT = "/v1/accounts/{account}"
USER = ACCOUNT + "/users/{user_id}"
BINDING = USER + "/binding"
GET, PUT, POST, DELETE = hdrs.METH_GET, hdrs.METH_PUT, hdrs.METH_POST, hdrs.METH_DELETE
ACCEPTED = {202: schema.Accepted}


async def who(call: Call) -> Answer:
    """GET /v1/session"""
    return Answer(200, session(call.identity))


OPERATIONS = (
    Operation(
        "getBinding", GET, BINDING, "The user's binding, its last call, and what may be done next and when.",
        Access.OWN, api_binding.get, {200: schema.Binding, 304: None}, headers=("If-None-Match",),
    ),
    Operation(
        "putBinding", PUT, BINDING, "Accept a number for the user, and call it.",
        Access.OWN, api_binding.put, ACCEPTED, schema.BindIn,
        problems=(409, 412), headers=("If-Match",), replay=api_binding.accepted_again,
    ),
    Operation(
        "deleteBinding", DELETE, BINDING, "Forget the number; a call in flight is hung up.",
        Access.OWN, api_binding.remove, {204: None}, query=schema.ReasonQuery, problems=(412,), headers=("If-Match",),
    ),
    Operation(
        "revalidate", POST, BINDING + "/revalidate", "Call the present number again, with a new code.",
        Access.OWN, api_binding.revalidate, ACCEPTED, schema.NowIn, body_optional=True,
        problems=(409, 422), replay=api_binding.accepted_again,
    ),
    Operation(
        "undo", POST, BINDING + "/undo", "Call the last proven number that was changed or removed, to restore it.",
        Access.OWN, api_binding.undo, ACCEPTED, schema.NowIn, body_optional=True,
        problems=(409, 412, 422), headers=("If-Match",), replay=api_binding.accepted_again,
    ),
    Operation(
        "getAttempt", GET, BINDING + "/attempt", "The user's last call, with its code while the code may be shown.",
        Access.OWN, api_binding.last_attempt, {200: schema.Attempt},
    ),
    Operation(
        "cancelAttempt", DELETE, BINDING + "/attempt", "End the call in flight.",
        Access.OWN, api_binding.cancel, {204: None},
    ),
    Operation(
        "getEvents", GET, BINDING + "/events", "The call and the binding, live (server-sent events).",
        Access.OWN, stream, {200: "text/event-stream"}, headers=("Last-Event-ID",),
    ),
    Operation(
        "suspend", POST, BINDING + "/suspend", "Stop trusting the number until the binding is resumed.",
        Access.ACCOUNT, api_binding.suspend, {200: schema.StatusOut}, schema.ReasonIn, body_optional=True,
        problems=(409,),
    ),
    Operation(
        "resume", POST, BINDING + "/resume", "End a suspension.",
        Access.ACCOUNT, api_binding.resume, {200: schema.StatusOut}, schema.ReasonIn, body_optional=True,
        problems=(409,),
    ),
    Operation(
        "trustedNumber", GET, ACCOUNT + "/extensions/{extension}/trusted-number", "The trusted number of an extension.",
        Access.LOOKUP, api_lookup.trusted_number, {200: schema.Lookup}, query=schema.LookupQuery,
        text_too=True, lenient_names=True,
    ),
    Operation(
        "trustedCaller", GET, "/v1/trusted-callers/{e164}", "The extension whose user's trusted number this is.",
        Access.LOOKUP, api_lookup.trusted_caller, {200: schema.Lookup}, query=schema.LookupQuery,
        text_too=True, lenient_names=True,
    ),
    Operation(
        "lookUp", POST, LOOK_UPS, "The same two questions with everything in the body.",
        Access.LOOKUP, api_lookup.look_up, {200: schema.Lookup}, schema.LookupIn, form=True, text_too=True,
        problems=(404,),
    ),
    Operation(
        "listAttempts", GET, "/v1/attempts", "Validation calls, newest first.",
        Access.ACCOUNT, api_admin.attempts, {200: schema.Attempts}, query=schema.AttemptsQuery,
    ),
    Operation(
        "listOwnMoves", GET, USER + "/moves", "The user's calls that Call Hot-switch moved, or did not, newest first.",
        Access.OWN, api_moves.own, {200: schema_moves.Moves}, query=schema_moves.OwnMovesQuery,
    ),
    Operation(
        "listMoves", GET, "/v1/moves", "Calls that Call Hot-switch moved, or did not, newest first.",
        Access.ACCOUNT, api_moves.all_moves, {200: schema_moves.Moves}, query=schema_moves.MovesQuery,
    ),
    Operation(
        "listAccounts", GET, "/v1/accounts", "The accounts that you may see.",
        Access.ACCOUNT, api_admin.accounts, {200: schema.Accounts},
    ),
    Operation(
        "getAccount", GET, ACCOUNT, "One account with its own settings.",
        Access.ACCOUNT, api_admin.account, {200: schema.AccountOut},
    ),
    Operation(
        "putAccount", PUT, ACCOUNT, "Add an account, or replace its settings.",
        Access.ADMIN, api_admin.put_account, {200: schema.AccountOut, 201: schema.AccountOut}, schema.AccountIn,
        problems=(409,),
    ),
    Operation(
        "getLimits", GET, ACCOUNT + "/limits", "The limits in force.",
        Access.ACCOUNT, api_admin.limits, {200: schema.Limits},
    ),
    Operation(
        "listUsers", GET, ACCOUNT + "/users", "Users by id, or those whose id, extension or e-mail contains a text.",
        Access.ACCOUNT, api_admin.users, {200: schema.Users}, query=schema.UsersQuery,
    ),
    Operation(
        "getUser", GET, USER, "One user.", Access.ACCOUNT, api_admin.user, {200: schema.UserOut},
    ),
    Operation(
        "putUser", PUT, USER, "Add or change a user.",
        Access.ACCOUNT, api_admin.put_user, {200: schema.UserOut, 201: schema.UserOut}, schema.UserIn, problems=(409,),
    ),
    Operation(
        "deleteUser", DELETE, USER, "Remove a user with their number and their sessions.",
        Access.ACCOUNT, api_admin.remove_user, {204: None}, query=schema.ReasonQuery,
    ),
    Operation(
        "listSuppressions", GET, "/v1/suppressions", "Numbers that are never called, by keyed hash.",
        Access.ADMIN, api_numbers.suppressions, {200: schema_numbers.Suppressions},
    ),
    Operation(
        "suppress", POST, "/v1/suppressions", "Make sure that a number is never called again.",
        Access.ADMIN, api_numbers.suppress, {200: schema_numbers.Suppressed, 201: schema_numbers.Suppressed},
        schema_numbers.SuppressIn, problems=(409,),
    ),
    Operation(
        "unsuppress", DELETE, "/v1/suppressions/{number}", "Allow a number (or its hash) again.",
        Access.ADMIN, api_numbers.unsuppress, {204: None}, query=schema.ReasonQuery, problems=(422,),
    ),
    Operation(
        "listAudit", GET, "/v1/audit", "The audit, newest first.",
        Access.ACCOUNT, api_admin.audit, {200: schema.Audit}, query=schema.AuditQuery,
    ),
    Operation(
        "exportUser", GET, USER + "/export", "Everything that is stored about a user.",
        Access.ACCOUNT, api_admin.export, {200: schema.Export},
    ),
    Operation(
        "eraseUser", POST, USER + "/erase", "Forget a user; what is counted stays under a pseudonym.",
        Access.ACCOUNT, api_admin.erase, {200: schema.Erased}, schema.EraseIn, problems=(409,),
    ),
    Operation(
        "listExceptions", GET, "/v1/exceptions", "Numbers that are allowed for a time, whatever the policy says.",
        Access.ADMIN, api_numbers.exceptions, {200: schema_numbers.NumberExceptions},
    ),
    Operation(
        "addException", POST, "/v1/exceptions", "Allow a number, or all numbers with a prefix, for a time.",
        Access.ADMIN, api_numbers.add_exception, {201: schema_numbers.ExceptionAdded}, schema_numbers.ExceptionIn,
        problems=(404, 409),
    ),
    Operation(
        "removeException", DELETE, "/v1/exceptions/{number}", "End an exception now.",
        Access.ADMIN, api_numbers.remove_exception, {204: None}, query=schema_numbers.ExceptionQuery, problems=(422,),
    ),
    Operation(
        "getLimitState", GET, "/v1/limits", "What is paused, who is locked out, and how much is used.",
        Access.ADMIN, api_limits.state, {200: schema_limits.LimitStateOut},
    ),
    Operation(
        "resetUserLimits", POST, USER + "/limits/reset", "Stop counting a user's past calls and failed tries.",
        Access.ADMIN, api_limits.reset_user, {200: schema_limits.ResetOut}, schema_limits.LimitReasonIn,
    ),
    Operation(
        "resetNumberLimits", POST, "/v1/limits/numbers/reset", "Stop counting the past calls to a number.",
        Access.ADMIN, api_limits.reset_number, {200: schema_limits.ResetOut}, schema_limits.NumberResetIn,
    ),
    Operation(
        "resumeCalls", POST, "/v1/limits/resume", "Resume paused calls.",
        Access.ADMIN, api_limits.resume, {204: None}, schema_limits.ResumeIn, problems=(404,),
    ),
    Operation("getSession", GET, "/v1/session", "Who you are.", Access.SIGNED_IN, who, {200: schema.Session}),
)  # fmt: skip


def add_routes(app: web.Application) -> None:
    """Add every call of the API and its description."""
    app[KEYS_OF_USERS] = key_rates()
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, operation.handle)
    description = Rendering(document(OPERATIONS), "application/json")

    async def describe(request: web.Request) -> web.Response:
        return description.tagged(request, "public, max-age=300")

    app.router.add_get("/openapi.json", describe)
