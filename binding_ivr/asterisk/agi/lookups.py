"""The look-ups that a dialplan makes over FastAGI: query in, BINDING_ variables out; it knows no SQL and no calls."""

import asyncio
from collections.abc import Awaitable, Callable

from binding_ivr.asterisk.agi.edge import AgiRequest, PeerGoneError
from binding_ivr.asterisk.agi.proof import Proof
from binding_ivr.asterisk.agi.protocol import AgiProtocolError, is_plain, quoted
from binding_ivr.asterisk.quiet import Quiet
from binding_ivr.log import get_logger
from binding_ivr.model.lookups import AGI_KEY, LookupAnswer, LookupStatus
from binding_ivr.ports import Lookups

log = get_logger()

_ERROR = LookupAnswer(LookupStatus.ERROR)


class LookupRoutes:
    """The two routes; each answers within a bounded time, with status ERROR when it must."""

    def __init__(self, lookups: Lookups, proof: Proof, *, limit_s: float, reply_s: float) -> None:
        """Ask *lookups* for up to *limit_s* seconds; each variable may take Asterisk *reply_s*.

        Only who passes *proof* is told anything.
        """
        self._lookups = lookups
        self._proof = proof
        self._limit_s = limit_s
        self._reply_s = reply_s
        self._quiet = Quiet()

    async def trusted_number(self, request: AgiRequest) -> None:
        """`/trusted-number?account=…&extension=…`; the account is `default` when it is not named."""
        query = request.hello.query
        if query is None or "extension" not in query:
            answer = self._malformed("/trusted-number", "extension")
        else:
            account, extension = query.get("account", "default"), query["extension"]
            answer = await self._ask(request, lambda: self._lookups.trusted_number(account, extension))
        await self._set(request, answer)

    async def trusted_caller(self, request: AgiRequest) -> None:
        """`/trusted-caller?number=…`."""
        query = request.hello.query
        if query is None or "number" not in query:
            answer = self._malformed("/trusted-caller", "number")
        else:
            number = query["number"]
            answer = await self._ask(request, lambda: self._lookups.trusted_caller(number))
        await self._set(request, answer)

    async def _ask(self, request: AgiRequest, question: Callable[[], Awaitable[LookupAnswer]]) -> LookupAnswer:
        try:
            async with asyncio.timeout(self._limit_s):
                if await self._proof.is_asterisk(request):
                    return await question()
            self._complain("stranger", f"a look-up that does not come from Asterisk, which has [globals] {AGI_KEY}")
        except (AgiProtocolError, PeerGoneError):
            raise
        except TimeoutError:
            self._complain("slow", f"a look-up took more than {self._limit_s:g} s")
        except Exception as error:
            self._complain("fault", f"a look-up failed: {type(error).__name__}")
        return _ERROR

    def _malformed(self, path: str, name: str) -> LookupAnswer:
        self._complain("malformed", f"the dialplan's AGI line for {path} must give {name}= once, percent-encoded")
        return _ERROR

    def _complain(self, kind: str, detail: str) -> None:
        if (swallowed := self._quiet.admits(kind)) is not None:
            log.warning("agi.lookup_error", detail=detail, more=swallowed)

    async def _set(self, request: AgiRequest, answer: LookupAnswer) -> None:
        """Set all variables, the empty ones too (a channel may ask twice), BINDING_STATUS last."""
        values = {
            "BINDING_NUMBER": answer.number,
            "BINDING_DIAL": answer.dial,
            "BINDING_ACCOUNT": answer.account,
            "BINDING_EXTENSION": answer.extension,
            "BINDING_SINCE": answer.since,
            "BINDING_STATUS": answer.status.value,
        }
        if all(map(is_plain, values.values())):
            # One round trip instead of six. Only plain values: MSet splits at commas and expands ${}.
            settings = ",".join(f"{name}={value}" for name, value in values.items())
            if await self._command(request, f'EXEC MSet "{settings}"') == 0:
                return
        for name, value in values.items():
            await self._command(request, f"SET VARIABLE {name} {quoted(value)}")

    async def _command(self, request: AgiRequest, command: str) -> int | None:
        answer = await request.ask(command, self._reply_s)
        if answer.code == 511:
            raise AgiProtocolError("the channel hung up during its look-up")
        if answer.code != 200:
            raise AgiProtocolError(f"Asterisk answered {answer.code} to a look-up's result")
        return answer.result
