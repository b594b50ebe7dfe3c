"""Carries a request out once per Idempotency-Key and caller, and answers again what it answered. It keeps no code."""

import hashlib
import re
import time
from dataclasses import replace

from aiohttp import web

from binding_ivr.errors import UnavailableError
from binding_ivr.log import get_logger
from binding_ivr.store import Reply
from binding_ivr.web.api.request import Answer, Call, Run
from binding_ivr.web.auth.buckets import Buckets
from binding_ivr.web.problems import Problem

log = get_logger()

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_FORM = re.compile(r"[!-~]{1,255}")
PATTERN = "^[!-~]{1,255}$"
USER_HOUR = 60
"""So often a user may send a key in an hour: each is written down, also that of a request that is refused then."""
KEYS_OF_USERS: web.AppKey[Buckets] = web.AppKey("binding_ivr.idempotency_keys", Buckets)


def key_rates() -> Buckets:
    """The rate of keys that one user sends. Portals and programs have API keys, which are trusted with more."""
    return Buckets(USER_HOUR / 3600, time.monotonic, USER_HOUR)


async def once(name: str, call: Call, raw: bytes, run: Run, replay: Run | None) -> Answer | web.StreamResponse:
    """Carry out *call* of the operation *name* by *run*, unless its key was used before.

    A reply that may not be kept is made again by *replay* from the attempt's id, which was chosen and kept before the
    request was carried out: so also a request whose node died in between is not carried out twice. What is refused is
    not kept.
    Raises Problem 400 (no fit key), 409 (the first is still running), 422 (used for another request), 429 (of a user).
    """
    replies = call.store.web
    caller = call.identity.caller
    digest, request = _digests(call.request, raw)
    if call.identity.is_user and (wait_s := call.request.app[KEYS_OF_USERS].wait(caller)) > 0:
        told = f"at most {USER_HOUR} requests with {HEADER} in an hour; send it without"
        raise Problem(429, "too_many_requests", told, limit="idempotency_keys", retry_at=time.time() + wait_s)
    kept = await replies.begin_reply(caller, digest, request, call.attempt_id)
    if kept.request != request:
        raise Problem(422, "key_reused", f"this {HEADER} was used for another request")
    if not kept.mine:
        return await _again(call, kept, replay)
    call = replace(call, attempt_id=kept.attempt_id)
    try:
        answer = await run(call)
    except UnavailableError:
        raise  # nobody knows how far it came: the entry stays, and whoever asks again takes it over
    except Exception:
        await replies.forget_reply(caller, digest)
        raise
    if isinstance(answer, web.StreamResponse):
        return answer
    try:
        await replies.finish_reply(caller, digest, answer.status, answer.encoded() if answer.kept else b"")
    except UnavailableError:  # it is done, and the caller shall know; the key finds it by its attempt
        log.warning("web.reply_not_kept", route=name)
    return answer


async def _again(call: Call, kept: Reply, replay: Run | None) -> Answer | web.StreamResponse:
    if kept.status is None:
        raise Problem(409, "in_progress", "the first request with this key is still running", retry_after=1)
    headers = {REPLAYED: "true"}
    if replay is None:
        kind = {"Content-Type": "application/json; charset=utf-8"} if kept.body else {}
        return web.Response(status=kept.status, body=kept.body or None, headers={**headers, **kind})
    answer = await replay(replace(call, attempt_id=kept.attempt_id))
    return answer if isinstance(answer, web.StreamResponse) else replace(answer, headers={**answer.headers, **headers})


def _digests(request: web.Request, raw: bytes) -> tuple[bytes, bytes]:
    """The digests of the key and of the request; the key salts the latter, so that no number can be guessed."""
    keys = request.headers.getall(HEADER)
    if len(keys) != 1 or not _FORM.fullmatch(keys[0]):
        raise Problem(400, "bad_key", f"{HEADER} takes one value of 1 to 255 visible ASCII characters, best a UUID")
    key = keys[0].encode()
    asked = b"\0".join((key, request.method.encode(), request.raw_path.encode("utf-8", "surrogatepass"), raw))
    return hashlib.sha256(b"key\0" + key).digest(), hashlib.sha256(asked).digest()
