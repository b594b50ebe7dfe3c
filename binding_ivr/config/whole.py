"""The whole configuration, and how an account's own sections change it. It reads no file."""

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from binding_ivr.config import sections
from binding_ivr.config.checks import check_call, check_number, check_routes
from binding_ivr.errors import ConfigError

ACCOUNT_SECTIONS = ("number", "limits", "call", "binding", "notices", "desk_notices", "routes")


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole configuration; every part is immutable."""

    service: sections.Service = field(default_factory=sections.Service)
    database: sections.Database = field(default_factory=sections.Database)
    ari: sections.Ari = field(default_factory=sections.Ari)
    ami: sections.Ami = field(default_factory=sections.Ami)
    agi: sections.Agi = field(default_factory=sections.Agi)
    web: sections.Web = field(default_factory=sections.Web)
    metrics: sections.Metrics = field(default_factory=sections.Metrics)
    auth: sections.Auth = field(default_factory=sections.Auth)
    code: sections.Code = field(default_factory=sections.Code)
    call: sections.Call = field(default_factory=sections.Call)
    binding: sections.Binding = field(default_factory=sections.Binding)
    number: sections.Number = field(default_factory=sections.Number)
    limits: sections.Limits = field(default_factory=sections.Limits)
    prompts: sections.Prompts = field(default_factory=sections.Prompts)
    outbox: sections.Outbox = field(default_factory=sections.Outbox)
    mail: sections.Mail = field(default_factory=sections.Mail)
    notices: sections.Notices = field(default_factory=sections.Notices)
    desk_notices: sections.DeskNotices = field(default_factory=sections.DeskNotices)
    lock: sections.Lock = field(default_factory=sections.Lock)
    retention: sections.Retention = field(default_factory=sections.Retention)
    routes: tuple[sections.Route, ...] = ()
    webhooks: tuple[sections.Webhook, ...] = ()

    @property
    def node(self) -> str:
        """The name of this node: `[service] node`, else the host's name."""
        return self.service.node or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:60] or "node"

    @property
    def state_dir(self) -> Path:
        """Where an embedded installation keeps its key and its database."""
        return Path(self.service.state_dir).expanduser()

    def for_account(self, overrides: Mapping[str, Any]) -> "Config":
        """Return this configuration with an account's own sections (ACCOUNT_SECTIONS).

        Raises ConfigError when the stored overrides are not valid (any more).
        """
        if not overrides:
            return self
        unknown = sorted(set(overrides) - set(ACCOUNT_SECTIONS))
        if unknown:
            raise ConfigError(f"{unknown[0]}: an account may override only {', '.join(ACCOUNT_SECTIONS)}")
        merged = msgspec.to_builtins(self)
        for section, values in overrides.items():
            merged[section] = values if section == "routes" else {**merged[section], **values}
        own = convert(merged)
        check_number(own.number)
        check_call(own.call)
        check_routes(own.routes)
        return own

    def for_account_or_default(self, overrides: Mapping[str, Any]) -> "Config":
        """Like `for_account`, but the defaults of the installation stand in for overrides that are not valid."""
        try:
            return self.for_account(overrides)
        except ConfigError:
            return self


def convert(tree: dict[str, Any]) -> Config:
    """Return *tree* as a configuration. Raises ConfigError that names the path of the key at fault."""
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_told(str(error))) from None


def _told(message: str) -> str:
    """Turn msgspec's "Expected … - at `$.call.ring_s`" into "call.ring_s: expected …"."""
    what, _, where = message.partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    if what.startswith("Invalid enum value"):
        what += "; see the sample file for what is allowed"
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        key = f"{path}.{unknown[1]}" if path else unknown[1]
        return f"{key}: unknown key; see the sample file for what is allowed"
    return f"{path or 'configuration'}: {what[:1].lower()}{what[1:]}"
