"""One call's conversation over its FastAGI session: prompts out, digits in, as call events; it decides nothing."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from binding_ivr.asterisk.agi.edge import AgiRequest, PeerGoneError
from binding_ivr.asterisk.agi.protocol import DIGITS, AgiProtocolError, Answer, quoted
from binding_ivr.call.events import Digit, Event, HangupNoticed, SayDone, Silence, Talking, TalkLost
from binding_ivr.log import get_logger
from binding_ivr.ports import EventSink

log = get_logger()

_KEYS = "BINDING_KEYS"
_KEYS_THAT_STOP = "0123456789*"  # not `#`: it ends an entry, and there is none yet
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}([_-][A-Za-z0-9]{1,8})*\Z")
_SPOKEN_DIGIT = re.compile(r"digit_[0-9]")
_PROMPT = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z")


@dataclass(frozen=True, slots=True)
class TalkTimes:
    """Bounds in seconds: a session's wait for its admission, one prompt, and what a reply may take beyond its task."""

    admission_s: float = 2.0
    prompt_s: float = 60.0
    reply_s: float = 5.0


@dataclass(frozen=True, slots=True)
class _Say:
    prompts: tuple[str, ...]
    escape: str


@dataclass(frozen=True, slots=True)
class _Ask:
    prompts: tuple[str, ...]
    most: int
    first_s: float
    next_s: float


@dataclass(frozen=True, slots=True)
class _Speak:
    language: str


@dataclass(frozen=True, slots=True)
class _Leave:
    variable: str
    value: str


_Job = _Say | _Ask | _Speak | _Leave


class Talk:
    """Implements `ports.Conversation` and `DeskConversation`. Its session's connection lends its task to `run`."""

    def __init__(
        self,
        channel_id: str,
        sink: EventSink,
        *,
        prefix: str,
        times: TalkTimes,
        forget: Callable[["Talk"], None],
        is_late: Callable[[], bool],
        secret: str = "",
    ) -> None:
        """Wait for the session of *channel_id*; *prefix* is the prompts' folder, *forget* is called once at the end.

        *is_late* tells that the event loop is too slow to collect digit by digit. *secret* is what a session of one of
        our own calls has to name.
        """
        self._is_late = is_late
        self.secret = secret
        self.channel_id = channel_id
        self.taken = False
        self._sink = sink
        self._prefix = prefix
        self._times = times
        self._forget = forget
        self._admitted = asyncio.Event()
        self._jobs: deque[_Job] = deque()
        self._job_came: asyncio.Future[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._closed = False
        self._over = asyncio.Event()

    # --- ports.Conversation ----------------------------------------------------------------------------------

    def admit(self) -> None:
        """The channel was answered: from now on its (one) session may begin. Talking follows when it does."""
        self._admitted.set()

    def say(self, prompts: Sequence[str], escape: str) -> None:
        """Play prompts one after another: Digit, SayDone or TalkLost follows."""
        if not set(escape) <= set(DIGITS):
            raise ValueError("escape digits are of 0-9*#A-D")
        self._push(_Say(_names(prompts), escape))

    def ask(self, prompts: Sequence[str], most: int, first_s: float, next_s: float) -> None:
        """Play prompts and collect up to *most* digits: Digits, then perhaps Silence, or TalkLost (see call.Ask)."""
        self._push(_Ask(_names(prompts), most, first_s, next_s))

    def speak(self, language: str) -> None:
        """Play what follows in *language* (an Asterisk language code). No event follows."""
        if not _LANGUAGE.match(language):
            raise ValueError("write the language as a code such as en or pt_BR")
        self._push(_Speak(language))

    def leave(self, variable: str, value: str) -> None:
        """When all that was asked for is done, set a channel variable and end the session. No event follows."""
        self._push(_Leave(variable, value))

    async def ended(self) -> None:
        """Wait for the end of the session."""
        await self._over.wait()

    def close(self) -> None:
        """End the session, if it began, and forget it. No event follows. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._forget(self)
        self._admitted.set()
        if self._task is not None:
            self._task.cancel()

    # --- the session -----------------------------------------------------------------------------------------

    async def admission(self) -> bool:
        """Wait a little for `admit`: the session may come a moment before the answer was noticed."""
        try:
            async with asyncio.timeout(self._times.admission_s):
                await self._admitted.wait()
        except TimeoutError:
            return False
        return not self._closed

    async def run(self, request: AgiRequest) -> None:
        """Converse until the session ends; says so to the sink unless `close` ended it."""
        self._task = asyncio.current_task()
        try:
            self._tell(Talking())
            await self._converse(request)
        except PeerGoneError as error:
            self._tell(HangupNoticed() if error.hung_up else TalkLost("Asterisk closed the FastAGI session"))
        except AgiProtocolError as error:
            self._tell(TalkLost(str(error)))
        except asyncio.CancelledError:
            if not self._closed:
                self._tell(TalkLost("the FastAGI server was stopped"))
                raise
        finally:
            self._task = None
            self._over.set()

    async def _converse(self, request: AgiRequest) -> None:
        while True:
            match await self._next_job(request):
                case _Say(prompts, escape):
                    self._tell(await self._say(request, prompts, escape))
                case _Ask() as job:
                    await self._ask(request, job)
                case _Speak(language):
                    await self._set(request, "CHANNEL(language)", language)
                case _Leave(variable, value):
                    await self._set(request, variable, value)
                    return

    async def _set(self, request: AgiRequest, variable: str, value: str) -> None:
        await self._command(request, f"SET VARIABLE {variable} {quoted(value)}", self._times.reply_s)

    async def _next_job(self, request: AgiRequest) -> _Job:
        """Wait for something to do, and notice meanwhile when the session ends."""
        if request.hung_up:
            raise PeerGoneError(True)
        if not self._jobs:
            self._job_came = asyncio.get_running_loop().create_future()
            line = asyncio.ensure_future(request.line())
            try:
                await asyncio.wait((self._job_came, line), return_when=asyncio.FIRST_COMPLETED)
                if line.done():
                    line.result()  # raises what ended the session
                    if request.hung_up:
                        raise PeerGoneError(True)
                    raise AgiProtocolError("Asterisk sent a reply without a command")
            finally:
                self._job_came = None
                if not line.done():
                    line.cancel()  # what it has not returned stays in the reader's buffer
                    await asyncio.wait((line,))
        return self._jobs.popleft()

    async def _say(self, request: AgiRequest, prompts: Sequence[str], escape: str) -> Event:
        for name in prompts:
            file = f"{self._prefix}/{name}"
            answer = await self._command(request, f'STREAM FILE {file} "{escape}"', self._times.prompt_s)
            if answer.result == -1:
                raise await self._failure(request, file)
            if (digit := _digit(answer)) is not None:
                return Digit(digit)
        return SayDone()

    async def _ask(self, request: AgiRequest, job: _Ask) -> None:
        """Collect digit by digit; keys that come while no command runs are lost, so when our loop is late, in one go.

        Then Asterisk reads the rest of the entry by itself: its digits arrive together, but all of them.
        """
        left, seconds = job.most, job.first_s
        if self._is_late():
            await self._read(request, job.prompts, left, seconds)
            return
        heard = await self._say(request, job.prompts, _KEYS_THAT_STOP)
        while True:
            if isinstance(heard, SayDone):
                heard = await self._listen(request, seconds)
            self._tell(heard)
            if not isinstance(heard, Digit):
                return
            left -= heard.digit in "0123456789"
            if left == 0 or heard.digit in "#*":
                return
            heard, seconds = SayDone(), job.next_s
            if self._is_late():
                await self._read(request, (), left, seconds)
                return

    async def _read(self, request: AgiRequest, prompts: Sequence[str], most: int, seconds: float) -> None:
        """Let Asterisk's Read() collect up to *most* digits, and tell them one after another.

        It counts the keys A to D too; so many digits more are asked for then.
        """
        while (letters := await self._read_once(request, prompts, most, seconds)) > 0:
            prompts, most = (), letters

    async def _read_once(self, request: AgiRequest, prompts: Sequence[str], most: int, seconds: float) -> int:
        """Read once; return how many digits more to ask for."""
        files = "&".join(f"{self._prefix}/{name}" for name in prompts)
        limit_s = len(prompts) * self._times.prompt_s + most * seconds + self._times.reply_s
        answer = await self._command(request, f'EXEC Read "{_KEYS},{files},{most},,1,{seconds:g}"', limit_s)
        if answer.result == -1:
            raise await self._failure(request, files.partition("&")[0] or "silence")
        status = (await self._command(request, "GET VARIABLE READSTATUS", self._times.reply_s)).data
        keys = (await self._command(request, f"GET VARIABLE {_KEYS}", self._times.reply_s)).data
        if status in ("HANGUP", "ERROR"):
            raise await self._failure(request, files.partition("&")[0] or "silence")
        left = self._tell_keys(keys, most, status)
        # For nobody else to read; last, since a phone that hangs up at once has keyed them all the same.
        await self._command(request, f'SET VARIABLE {_KEYS} ""', self._times.reply_s)
        return left

    def _tell_keys(self, keys: str, most: int, status: str) -> int:
        """Tell what Read() collected; return how many digits are missing because letters stood in their places."""
        for key in keys:
            if key in DIGITS:
                self._tell(Digit(key))
                if key == "*":
                    return 0
        if status == "TIMEOUT":
            self._tell(Silence())
            return 0
        if len(keys) < most:
            self._tell(Digit("#"))  # Read() ends at it and does not return it
            return 0
        return sum(key not in "0123456789" for key in keys)

    async def _listen(self, request: AgiRequest, seconds: float) -> Event:
        milliseconds = max(1, round(seconds * 1000))  # never below: -1 would wait for ever
        limit_s = milliseconds / 1000 + self._times.reply_s
        answer = await self._command(request, f"WAIT FOR DIGIT {milliseconds}", limit_s)
        if answer.result == -1:
            raise PeerGoneError(True)
        digit = _digit(answer)
        return Silence() if digit is None else Digit(digit)

    async def _command(self, request: AgiRequest, command: str, limit_s: float) -> Answer:
        verb = command.partition(" ")[0]
        try:
            answer = await request.ask(command, limit_s)
        except TimeoutError:
            raise AgiProtocolError(f"stalled: Asterisk did not answer {verb} within {limit_s:g} s") from None
        if answer.code == 511:  # not permitted on a dead channel
            raise PeerGoneError(True)
        if answer.code != 200 or answer.result is None:
            raise AgiProtocolError(f"Asterisk answered {answer.code} to {verb}")
        return answer

    async def _failure(self, request: AgiRequest, file: str) -> Exception:
        """Tell a missing file from a hang-up: STREAM FILE answers -1 to both, so ask whether the channel lives."""
        try:
            status = await self._command(request, "CHANNEL STATUS", self._times.reply_s)
        except PeerGoneError:
            return PeerGoneError(True)  # a hang-up ends the session (AGIEXITONHANGUP), sometimes before its notice
        if request.hung_up or status.result == -1:
            return PeerGoneError(True)
        language = request.hello.language or "?"
        file = _SPOKEN_DIGIT.sub("digit_N", file)  # it may be one of an access code
        detail = f"prompt {file} ({language}) is missing in Asterisk's sounds folder"
        log.error("agi.prompt_missing", detail=detail + "; run binding-ivr prompts build --output <that folder>")
        return AgiProtocolError(detail)

    def _push(self, job: _Job) -> None:
        self._jobs.append(job)
        if self._job_came is not None and not self._job_came.done():
            self._job_came.set_result(None)

    def _tell(self, event: Event) -> None:
        if self._closed:
            return
        try:
            self._sink(event)
        except Exception:  # one call's fault must not end the listener
            log.exception("agi.sink_failed", channel=self.channel_id)


def _names(prompts: Sequence[str]) -> tuple[str, ...]:
    names = tuple(str(name) for name in prompts)
    if not all(_PROMPT.match(name) for name in names):
        raise ValueError("prompt names are made of letters, digits, _ and -")
    return names


def _digit(answer: Answer) -> str | None:
    """The key that the reply names by its ASCII value, if it is one."""
    if answer.result is None or not 0 < answer.result < 128:
        return None
    key = chr(answer.result).upper()
    return key if key in DIGITS else None
