"""Where the web's handlers find the installation, its configuration, health and metrics. Nothing else lives here."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from binding_ivr.app.installation import Installation
from binding_ivr.config import Config
from binding_ivr.metrics import Metrics
from binding_ivr.web.connections import Connections

Readiness = Callable[[], Awaitable[Mapping[str, str]]]
"""Returns for each part `ok` or what is wrong with it, in one line."""

CONFIG: web.AppKey[Config] = web.AppKey("binding_ivr.config", Config)
CONNECTIONS: web.AppKey[Connections] = web.AppKey("binding_ivr.connections", Connections)
INSTALLATION: web.AppKey[Installation] = web.AppKey("binding_ivr.installation", Installation)
METRICS: web.AppKey[Metrics] = web.AppKey("binding_ivr.metrics", Metrics)
READINESS: web.AppKey[Readiness] = web.AppKey("binding_ivr.readiness")
