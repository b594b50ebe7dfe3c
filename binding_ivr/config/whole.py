"""The whole configuration, and how an account's own sections change it. It reads no file."""

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from binding_ivr.config.checks import check_call, check_number, check_routes
from binding_ivr.config.sections import (
    Agi,
    Ami,
    Ari,
    Auth,
    Binding,
    Call,
    Code,
    Database,
    DeskNotices,
    Limits,
    Lock,
    Mail,
    Notices,
    Number,
    Outbox,
    Prompts,
    Retention,
    Route,
    Service,
    Web,
    Webhook,
)
from binding_ivr.errors import ConfigError

ACCOUNT_SECTIONS = ("number", "limits", "call", "binding", "notices", "desk_notices", "routes")


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole configuration; every part is immutable."""

    service: Service = field(default_factory=Service)
    database: Database = field(default_factory=Database)
    ari: Ari = field(default_factory=Ari)
    ami: Ami = field(default_factory=Ami)
    agi: Agi = field(default_factory=Agi)
    web: Web = field(default_factory=Web)
    auth: Auth = field(default_factory=Auth)
    code: Code = field(default_factory=Code)
    call: Call = field(default_factory=Call)
    binding: Binding = field(default_factory=Binding)
    number: Number = field(default_factory=Number)
    limits: Limits = field(default_factory=Limits)
    prompts: Prompts = field(default_factory=Prompts)
    outbox: Outbox = field(default_factory=Outbox)
    mail: Mail = field(default_factory=Mail)
    notices: Notices = field(default_factory=Notices)
    desk_notices: DeskNotices = field(default_factory=DeskNotices)
    lock: Lock = field(default_factory=Lock)
    retention: Retention = field(default_factory=Retention)
    routes: tuple[Route, ...] = ()
    webhooks: tuple[Webhook, ...] = ()

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
