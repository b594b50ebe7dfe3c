"""Where the web's handlers find the configuration and the metrics. Nothing else lives here."""

from aiohttp import web

from binding_ivr.config import Config
from binding_ivr.metrics import Metrics

CONFIG: web.AppKey[Config] = web.AppKey("binding_ivr.config", Config)
METRICS: web.AppKey[Metrics] = web.AppKey("binding_ivr.metrics", Metrics)
