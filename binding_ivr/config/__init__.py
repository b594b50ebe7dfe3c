"""The configuration: its keys with unit, range and default, and the one way to read it. It opens no connection."""

from binding_ivr.config.advice import advice
from binding_ivr.config.checks import LOCKED
from binding_ivr.config.keys import Keys, load_keys
from binding_ivr.config.reading import check_for_service, files_of, load
from binding_ivr.config.sections import (
    Auth,
    Code,
    DeskNotices,
    EventName,
    Limits,
    Mail,
    NoticeName,
    Notices,
    OperatorNotice,
    Prompts,
    Retention,
    Route,
    Web,
    Webhook,
)
from binding_ivr.config.whole import ACCOUNT_SECTIONS, Config

__all__ = [
    "ACCOUNT_SECTIONS",
    "LOCKED",
    "Auth",
    "Code",
    "Config",
    "DeskNotices",
    "EventName",
    "Keys",
    "Limits",
    "Mail",
    "NoticeName",
    "Notices",
    "OperatorNotice",
    "Prompts",
    "Retention",
    "Route",
    "Web",
    "Webhook",
    "advice",
    "check_for_service",
    "files_of",
    "load",
    "load_keys",
]
