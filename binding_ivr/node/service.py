"""The running service of one node: starts its parts in order, stops them in reverse, drains on the first signal."""

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from binding_ivr import __version__
from binding_ivr.app.enrolment import Enrolment
from binding_ivr.app.installation import Installation, open_installation
from binding_ivr.app.signin import prepare_sign_in
from binding_ivr.asterisk.agi.server import AgiServer
from binding_ivr.asterisk.ami.client import AmiClient
from binding_ivr.asterisk.ari.driver import AriDriver
from binding_ivr.config import Config, check_for_service
from binding_ivr.delivery.notices import Readers, mail_channels
from binding_ivr.delivery.notices_desk import desk_channels
from binding_ivr.delivery.outbox import Outbox
from binding_ivr.delivery.user_events import UserEvents
from binding_ivr.dialing.dispatcher import Dispatcher
from binding_ivr.errors import BindingError
from binding_ivr.jobs.audit_log import AuditLog
from binding_ivr.jobs.lifecycle import Lifecycle
from binding_ivr.jobs.retention import Retention
from binding_ivr.jobs.schedule import Jobs
from binding_ivr.jobs.web_upkeep import reminder, upkeep
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.mirror import astdb, pins
from binding_ivr.mirror.moves import MoveReader
from binding_ivr.mirror.sync import Mirror
from binding_ivr.node.files import make_room
from binding_ivr.policy.callers import caller_plan
from binding_ivr.ports import ClaimedAttempt
from binding_ivr.web.server import WebServer

log = get_logger()

READY_ANSWER_S = 2.0
AMI_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs on a node once it has started. `mirror` is None without AMI."""

    installation: Installation
    enrolment: Enrolment
    agi: AgiServer
    ari: AriDriver
    mirror: Mirror | None
    web: WebServer
    dispatcher: Dispatcher


@dataclass(frozen=True, slots=True)
class Readiness:
    """Answers whether this node can work."""

    installation: Installation
    ari: AriDriver
    mirror: Mirror | None
    dispatcher: Dispatcher

    async def __call__(self) -> Mapping[str, str]:
        """Tell for each part `ok` or what is wrong."""
        parts = {"ari": "ok" if self.ari.ready else "no connection to Asterisk's ARI"}
        if self.mirror is not None:
            parts["mirror"] = self.mirror.health
        if not self.dispatcher.running:  # it is started last, and until then the start may still fail
            parts["dialing"] = "not started yet"
        try:
            async with asyncio.timeout(READY_ANSWER_S):
                await self.installation.store.attempts.next_due()
            parts["postgresql"] = "ok"
        except (BindingError, TimeoutError):
            parts["postgresql"] = "PostgreSQL does not answer"
        return parts


class Service:
    """All parts of one node. Use `run`, or `start` and `stop`."""

    def __init__(self, config: Config) -> None:
        """Prepare the service; raises ConfigError when it could not make calls."""
        check_for_service(config)
        self._config = config
        self._stack = AsyncExitStack()
        self.metrics = Metrics()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT: the first lets calls end by themselves, the second ends them now."""
        first, second = asyncio.Event(), asyncio.Event()

        def signaled() -> None:
            (second if first.is_set() else first).set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signaled)
        try:
            parts = await self.start()
            await first.wait()
            log.info("service.stopping", calls=parts.dispatcher.active)
            parts.enrolment.drain()
            await _either(parts.dispatcher.drain(), second.wait())
        finally:
            await self.stop()
            log.info("service.stopped")

    async def start(self) -> Parts:
        """Start every part and return them. Raises BindingError; parts that had started are stopped by `stop`."""
        config = self._config
        make_room(config)
        installation = await self._stack.enter_async_context(open_installation(config, self.metrics))
        ami = self._ami_client()
        if ami is not None:
            installation = replace(installation, held_pins=partial(pins.held, ami))
        await installation.store.changes.start()
        if ahead_s := (await installation.store.clock.read()).ahead_s:
            log.error("clock.ahead", ahead_s=ahead_s, reason="a rehearsal moved the clock of this database")
        outbox = self._make_outbox(installation, ami)
        self._stack.push_async_callback(outbox.stop)
        await outbox.start()
        await installation.store.bindings.set_caller_plan(caller_plan(config.number.default_region))
        enrolment = Enrolment(config, installation, self.metrics)
        agi = AgiServer(
            installation.lookups,
            enrolment,
            key=installation.codes.lookup_key(),
            desks=config.agi.desks,
            desk_endpoint=config.agi.desk_endpoint,
            desk_contexts=config.agi.desk_contexts,
            bind=config.agi.bind,
            port=config.agi.port,
            allow=config.agi.allow,
            prefix=config.prompts.path,
            max_sessions=config.agi.connections,
            dropped=self.metrics.connections_dropped.labels("agi").inc,
        )
        self.metrics.connections.labels("agi").set_function(lambda: float(agi.sessions))
        self.metrics.loop_lag_seconds.set_function(lambda: agi.lag.worst_s)
        await agi.start()
        self._stack.push_async_callback(agi.stop)
        self._stack.push_async_callback(enrolment.stop)  # when the calls they tell of have ended
        ari = AriDriver(url=config.ari.url, user=config.ari.user, password=config.ari.password, app=config.ari.app)
        agi.proof.channels = ari
        self.metrics.ari_ready.set_function(lambda: float(ari.ready))
        dispatcher = self._make_dispatcher(installation, agi, ari)

        async def connected() -> None:
            await agi.proof.give()
            await dispatcher.recover()

        ari.on_connect = connected
        self._stack.push_async_callback(ari.stop)
        await ari.start()
        mirror = await self._start_mirror(installation, ami) if ami is not None else None
        web = await self._start_web(installation, Readiness(installation, ari, mirror, dispatcher))
        self._start_jobs(installation)
        # Last, so that no call is begun by a service that then cannot start; and the page outlives the last call.
        self._stack.push_async_callback(dispatcher.stop)
        await dispatcher.start()
        log.info(
            "service.ready",
            node=config.node,
            version=__version__,
            agi_port=agi.port,
            web_port=web.port,
            metrics_port=web.metrics_port,
            ari="ok" if ari.ready else "not connected",
        )
        return Parts(installation, enrolment, agi, ari, mirror, web, dispatcher)

    def _ami_client(self) -> AmiClient | None:
        ami = self._config.ami
        return AmiClient(host=ami.host, port=ami.port, user=ami.user, secret=ami.secret) if ami.user else None

    def _make_outbox(self, installation: Installation, ami: AmiClient | None) -> Outbox:
        config, readers = self._config, Readers(self._config, installation.store)
        at_desks, elsewhere = desk_channels(config, readers, ami, self.metrics)
        channels = [*mail_channels(config, readers, self.metrics), *at_desks]
        return Outbox(
            config,
            installation.store.outbox,
            installation.store.changes,
            metrics=self.metrics,
            channels=channels,
            elsewhere=elsewhere,
        )

    async def _start_mirror(self, installation: Installation, ami: AmiClient) -> Mirror:
        mirror = Mirror(
            ami,
            installation.store.mirror,
            installation.store.changes,
            node=self._config.node,
            plan=astdb.plan(self._config),
            metrics=self.metrics,
        )
        self._stack.push_async_callback(ami.stop)
        self._stack.push_async_callback(mirror.stop)
        await mirror.start()
        user_events = UserEvents(ami, installation.store.outbox, installation.store.changes, metrics=self.metrics)
        self._stack.push_async_callback(user_events.stop)
        await user_events.start()
        moves = MoveReader(ami, installation.store.moves, node=self._config.node, metrics=self.metrics)
        ami.on_user_event = moves.news
        self._stack.push_async_callback(moves.stop)
        moves.start()
        await ami.start(AMI_PATIENCE_S)
        return mirror

    def _start_jobs(self, installation: Installation) -> None:
        jobs = Jobs(
            [
                Lifecycle(self._config, installation.store),
                Retention(self._config, installation.store, installation.codes.of_number),
            ],
            installation.store.jobs,
            installation.store.lifecycle,
            installation.store.limits,
            installation.store.changes,
            node=self._config.node,
            metrics=self.metrics,
        )
        self._stack.push_async_callback(jobs.stop)
        jobs.start()
        audit_log = AuditLog(installation.store.audit)
        self._stack.push_async_callback(audit_log.stop)
        audit_log.start()

    async def _start_web(self, installation: Installation, readiness: Readiness) -> WebServer:
        await prepare_sign_in(self._config, installation.store)
        for loop in (upkeep(installation.store.web), reminder(installation.store.web)):
            self._stack.push_async_callback(loop.stop)
            loop.start()
        web = WebServer(
            self._config,
            installation=installation,
            readiness=readiness,
            metrics=self.metrics,
            secret=installation.codes.of_number("web"),  # keyed, hence the same on all nodes and known to nobody else
        )
        self._stack.push_async_callback(web.stop)
        await web.start()
        return web

    async def stop(self) -> None:
        """Stop every part, the last started first. Calls in flight end with a verdict."""
        await self._stack.aclose()

    def _make_dispatcher(self, installation: Installation, agi: AgiServer, ari: AriDriver) -> Dispatcher:
        def code_of(attempt: ClaimedAttempt) -> str:
            return installation.codes.of_attempt(attempt.attempt_id, attempt.key_id)

        def agi_address() -> str:
            return self._config.agi.advertise or f"{_reachable(self._config.agi.bind)}:{agi.port}"

        return Dispatcher(
            self._config,
            ledger=installation.store.attempts,
            changes=installation.store.changes,
            telephony=ari,
            conversations=agi,
            code_of=code_of,
            agi_address=agi_address,
            metrics=self.metrics,
            version=__version__,
        )


def _reachable(bind: str) -> str:
    """An address to connect to for a server that listens on *bind*."""
    return "127.0.0.1" if bind in ("", "0.0.0.0", "::") else bind  # noqa: S104 - compared, not bound


async def _either(*awaitables: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of *awaitables* is done; cancel the others."""
    tasks = [asyncio.create_task(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
