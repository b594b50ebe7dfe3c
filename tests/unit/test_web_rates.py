"""Every route has a rate, and what is the same for all who ask is made once."""

import asyncio
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
import segno
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from binding_ivr.config import Config
from binding_ivr.metrics import Metrics
from binding_ivr.web.api.calls import OPERATIONS
from binding_ivr.web.auth.rates import RATES, Rate
from binding_ivr.web.operations import METRICS_MOVED, Operations
from binding_ivr.web.page import qr
from binding_ivr.web.rendering import FRESH_S, Cached, Rendering
from binding_ivr.web.server import make_app, make_metrics_app

DECIDED: Mapping[str, Rate] = {
    **{operation.path: Rate.SIGN_IN for operation in OPERATIONS},
    "/": Rate.SIGN_IN,
    "/admin": Rate.SIGN_IN,
    "/admin/limits": Rate.SIGN_IN,
    "/admin/suppressions": Rate.SIGN_IN,
    "/admin/user": Rate.SIGN_IN,
    "/bind": Rate.SIGN_IN,
    "/caller.svg": Rate.SIGN_IN,
    "/caller.vcf": Rate.SIGN_IN,
    "/cancel": Rate.SIGN_IN,
    "/remove": Rate.SIGN_IN,
    "/revalidate": Rate.SIGN_IN,
    "/signin": Rate.SIGN_IN,
    "/signout": Rate.SIGN_IN,
    "/undo": Rate.SIGN_IN,
    "/health/live": Rate.OPEN,
    "/health/ready": Rate.OPEN,
    "/metrics": Rate.OPEN,
    "/openapi.json": Rate.OPEN,
    "/static/{name}": Rate.FILE,
}
"""A new route belongs here, after you have decided: what does it cost when a stranger asks for it all day?"""


async def _ready() -> Mapping[str, str]:
    return {"ari": "ok"}


def _apps() -> list[web.Application]:
    config, metrics = Config(), Metrics()
    operations = Operations(_ready, metrics)
    installation = cast(Any, SimpleNamespace(store=SimpleNamespace(web=None, directory=None, audit=None)))
    public = make_app(config, installation=installation, readiness=_ready, metrics=metrics, operations=operations)
    return [public, make_metrics_app(config, metrics, operations)]


def test_every_route_has_a_decision() -> None:
    routes = {resource.canonical for app in _apps() for resource in app.router.resources()}
    assert {route: RATES.get(route, Rate.SIGN_IN) for route in routes} == dict(DECIDED)


def test_metrics_are_not_where_a_proxy_passes_everything() -> None:
    assert "[metrics]" in METRICS_MOVED
    assert "on_web" in METRICS_MOVED


class Making:
    def __init__(self) -> None:
        self.made = 0
        self.now = 0.0
        self.go = asyncio.Event()
        self.cached = Cached(self.make, lambda: self.now)

    async def make(self) -> Rendering:
        self.made += 1
        made = self.made
        await self.go.wait()
        return Rendering(b"%d" % made, "text/plain")


async def test_however_many_ask_there_is_one_rendering_a_second() -> None:
    making = Making()
    asking = [asyncio.create_task(making.cached.get()) for _ in range(500)]
    leaving = asyncio.create_task(making.cached.get())
    await asyncio.sleep(0)
    leaving.cancel()
    making.go.set()
    assert {answer.body for answer in await asyncio.gather(*asking)} == {b"1"}
    making.now = FRESH_S * 0.99
    assert (await making.cached.get()).body == b"1"
    making.now = FRESH_S
    assert (await making.cached.get()).body == b"2"
    assert making.made == 2


async def test_a_rendering_that_fails_is_no_answer_to_the_next() -> None:
    calls = []

    async def make() -> Rendering:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        return Rendering(b"", "text/plain")

    cached = Cached(make, lambda: 0.0)
    with pytest.raises(ConnectionError):
        await cached.get()
    await cached.get()
    assert len(calls) == 2


async def test_metrics_are_rendered_beside_the_event_loop() -> None:
    """However many metrics there are: meanwhile the loop hears keys and answers look-ups."""
    threads: list[int] = []
    metrics = Metrics()
    text = metrics.text

    def watched() -> bytes:
        threads.append(threading.get_ident())
        return text()

    metrics.text = watched  # type: ignore[method-assign]
    rendering = await Operations(_ready, metrics)._text.get()
    assert b"binding_ivr_attempts_total" in rendering.body
    assert threads
    assert threading.get_ident() not in threads


def test_an_entity_tag_spares_the_body() -> None:
    rendering = Rendering(b"picture", "image/svg+xml")
    first = rendering.tagged(make_mocked_request("GET", "/"), "private")
    again = rendering.tagged(make_mocked_request("GET", "/", headers={"If-None-Match": rendering.tag}), "private")
    assert (first.status, again.status, again.headers["ETag"]) == (200, 304, first.headers["ETag"])
    assert Rendering(b"other", "image/svg+xml").tag != rendering.tag


async def test_a_picture_is_computed_once_and_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    make = segno.make

    def watched(*args: Any, **named: Any) -> Any:
        computed.append(threading.get_ident())
        return make(*args, **named)

    monkeypatch.setattr(segno, "make", watched)
    card = qr.vcard("a name of its own", ["+12025550100"])
    first = await qr.picture(card)
    assert await qr.picture(card) == first
    assert len(computed) == 1
    assert threading.get_ident() not in computed
