"""The configuration: its keys with unit, range and default, and the one way to read it. It opens no connection."""

import ipaddress
import os
import re
import secrets
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from binding_ivr import daytimes, regions
from binding_ivr.errors import ConfigError

ENV_PREFIX = "BINDING_IVR__"
ENV_FILE = "BINDING_IVR_CONFIG"
DEFAULT_PATH = Path("/etc/binding-ivr/binding-ivr.toml")

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Phone = Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{5,14})?$")]


class Service(Struct, forbid_unknown_fields=True, frozen=True):
    """[service]"""

    node: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,60}$")] = ""
    state_dir: str = "/var/lib/binding-ivr"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Database(Struct, forbid_unknown_fields=True, frozen=True):
    """[database]"""

    dsn: str = ""
    pool_max: Annotated[int, Meta(ge=2, le=100)] = 10


class Ari(Struct, forbid_unknown_fields=True, frozen=True):
    """[ari]"""

    url: Annotated[str, Meta(pattern=r"^https?://[^/\s]+$")] = "http://127.0.0.1:8088"
    user: str = ""
    password: str = ""
    app: Name = "binding_ivr"


class Ami(Struct, forbid_unknown_fields=True, frozen=True):
    """[ami]"""

    host: str = "127.0.0.1"
    port: Port = 5038
    user: str = ""
    secret: str = ""


class Agi(Struct, forbid_unknown_fields=True, frozen=True):
    """[agi]"""

    bind: str = "127.0.0.1"
    port: Port = 4573
    advertise: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]+:[0-9]{1,5})?$")] = ""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    desks: Annotated[int, Meta(ge=0, le=1000)] = 20


class Web(Struct, forbid_unknown_fields=True, frozen=True):
    """[web]"""

    bind: str = "127.0.0.1"
    port: Port = 8080
    public_url: str = ""
    frame_ancestors: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    user_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{0,64}$")] = ""
    admin_users: tuple[Annotated[str, Meta(pattern=r"^[^/\s]{1,64}/[^/\s]{1,128}$")], ...] = ()
    requests_per_second: Annotated[float, Meta(ge=1, le=100_000)] = 20.0
    streams: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    streams_per_user: Annotated[int, Meta(ge=1, le=1000)] = 6


class Auth(Struct, forbid_unknown_fields=True, frozen=True):
    """[auth]"""

    jwt_secret: str = ""
    jwks_url: str = ""
    audience: str = "binding_ivr"
    session_minutes: Annotated[int, Meta(ge=1, le=1440)] = 30
    step_up_minutes: Annotated[int, Meta(ge=0, le=1440)] = 0
    leeway_s: Annotated[int, Meta(ge=0, le=60)] = 30


class Code(Struct, forbid_unknown_fields=True, frozen=True):
    """[code]"""

    length: Annotated[int, Meta(ge=6, le=10)] = 6
    reveal: Literal["at_request", "on_answer"] = "at_request"
    shown_s: Annotated[float, Meta(ge=10, le=3600)] = 300.0
    attempt_s: Annotated[float, Meta(ge=10, le=7200)] = 600.0
    tries: Annotated[int, Meta(ge=1, le=5)] = 3
    keys: Mapping[Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,20}$")], str] = field(default_factory=dict)
    active_key: str = "1"
    number_key: str = ""


class Call(Struct, forbid_unknown_fields=True, frozen=True):
    """[call]"""

    ring_s: Annotated[float, Meta(ge=1, le=120)] = 30.0
    first_digit_s: Annotated[float, Meta(ge=1, le=60)] = 10.0
    loops: Annotated[int, Meta(ge=1, le=20)] = 5
    next_digit_s: Annotated[float, Meta(ge=0.5, le=30)] = 5.0
    max_s: Annotated[float, Meta(ge=5, le=600)] = 120.0
    delay_s: Annotated[float, Meta(ge=0, le=30)] = 3.0
    gate: bool = False
    hours: Annotated[str, Meta(max_length=20)] = "08:00-21:00"
    quiet: tuple[Annotated[str, Meta(max_length=20)], ...] = ()


class Binding(Struct, forbid_unknown_fields=True, frozen=True):
    """[binding]"""

    replace: Literal["at_once", "when_verified"] = "at_once"
    stale_days: Annotated[int, Meta(ge=0, le=3650)] = 180
    suspend_days: Annotated[int, Meta(ge=0, le=3650)] = 30
    undo_h: Annotated[int, Meta(ge=0, le=720)] = 24


NumberType = Literal["MOBILE", "FIXED_LINE_OR_MOBILE", "FIXED_LINE", "VOIP", "PERSONAL_NUMBER"]
Region = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Regions = Annotated[str, Meta(max_length=8)]
Prefix = Annotated[str, Meta(pattern=r"^\+[1-9][0-9X]{0,14}$")]
COSTLY = (
    *("+1XXX5551212", "+61147", "+7840", "+7940", "+7954"),
    *("+220", "+224", "+232", "+246", "+247", "+252", "+290", "+500", "+53", "+670", "+674", "+675", "+677"),
    *("+681", "+682", "+688", "+690", "+850", "+960"),
)
"""Prefixes that cost far more than their type says (docs/policy.md, "Denied prefixes")."""


class Number(Struct, forbid_unknown_fields=True, frozen=True):
    """[number]"""

    default_region: Region = "US"
    regions: Annotated[tuple[Regions, ...], Meta(min_length=1)] = ("US",)
    types: Annotated[tuple[NumberType, ...], Meta(min_length=1)] = ("MOBILE", "FIXED_LINE_OR_MOBILE")
    deny: tuple[Prefix, ...] = COSTLY
    allow: tuple[Prefix, ...] = ()


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """[limits]"""

    number_wait_s: Annotated[tuple[Annotated[float, Meta(ge=0, le=86_400)], ...], Meta(max_length=10)] = (
        60.0,
        120.0,
        300.0,
        900.0,
    )
    number_hour: Count = 3
    number_day: Count = 5
    number_unproven: Count = 3
    number_unproven_days: Annotated[int, Meta(ge=1, le=365)] = 30
    prefix_hour: Count = 5
    user_hour: Count = 5
    user_day: Count = 10
    user_new_numbers_day: Count = 3
    user_failed_tries: Count = 10
    user_lock_s: Annotated[float, Meta(ge=1, le=31_536_000)] = 3600.0
    user_lock_again_s: Annotated[float, Meta(ge=1, le=31_536_000)] = 86_400.0
    address_hour: Count = 10
    account_hour: Count = 20
    account_day: Count = 100
    system_hour: Count = 30
    system_day: Count = 200
    system_prefix_hour: Count = 5
    system_minutes_day: Count = 120
    breaker_calls: Annotated[int, Meta(ge=0, le=1000)] = 20
    breaker_percent: Annotated[int, Meta(ge=1, le=100)] = 20
    breaker_pause_s: Annotated[float, Meta(ge=60, le=2_592_000)] = 3600.0
    breaker_longest_s: Annotated[float, Meta(ge=60, le=2_592_000)] = 86_400.0
    breaker_probes: Annotated[int, Meta(ge=1, le=20)] = 3
    system_breaker_calls: Annotated[int, Meta(ge=0, le=1000)] = 60
    concurrent_node: Annotated[int, Meta(ge=1, le=1000)] = 2
    starts_per_second: Annotated[float, Meta(ge=0.1, le=1000)] = 10.0
    queue_length: Count = 20
    queue_s: Annotated[float, Meta(ge=5, le=3600)] = 60.0


class Prompts(Struct, forbid_unknown_fields=True, frozen=True):
    """[prompts]"""

    path: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_./-]{1,100}$")] = "binding_ivr"
    languages: Annotated[tuple[Literal["en", "es", "fr", "de", "zh"], ...], Meta(min_length=1)] = (
        "en",
        "es",
        "fr",
        "de",
        "zh",
    )
    site_name: Annotated[str, Meta(max_length=60)] = "Example"
    recordings: str = ""


class Route(Struct, forbid_unknown_fields=True, frozen=True):
    """[[routes]]"""

    name: Name
    endpoint: str
    regions: tuple[Annotated[str, Meta(pattern=r"^(\*|[A-Z]{2})$")], ...] = ("*",)
    caller_id: Phone = ""
    max_channels: Annotated[int, Meta(ge=1, le=10_000)] = 10
    trunk: str = ""


class Lock(Struct, forbid_unknown_fields=True, frozen=True):
    """[lock]"""

    max_channels: Annotated[int, Meta(ge=0, le=10_000)] = 20
    max_s: Annotated[int, Meta(ge=60, le=86_400)] = 14_400


EventName = Literal[
    "binding.verified",
    "binding.stale",
    "binding.suspended",
    "binding.removed",
    "attempt.ended",
    "account.paused",
    "account.resumed",
    "system.paused",
    "system.resumed",
    "limit.alert",
]


class Outbox(Struct, forbid_unknown_fields=True, frozen=True):
    """[outbox]"""

    keep_days: Annotated[int, Meta(ge=1, le=365)] = 7
    dead_days: Annotated[int, Meta(ge=1, le=365)] = 30


class Retention(Struct, forbid_unknown_fields=True, frozen=True):
    """[retention]"""

    number_days: Annotated[int, Meta(ge=1, le=365)] = 30
    row_days: Annotated[int, Meta(ge=31, le=3650)] = 365
    audit_days: Annotated[int, Meta(ge=0, le=36500)] = 0


class Webhook(Struct, forbid_unknown_fields=True, frozen=True):
    """[[webhooks]]"""

    name: Name
    url: str
    secret: str
    events: Annotated[tuple[EventName, ...], Meta(min_length=1)] = get_args(EventName)
    accounts: tuple[str, ...] = ()
    numbers: Literal["full", "masked"] = "full"


class Mail(Struct, forbid_unknown_fields=True, frozen=True):
    """[mail]"""

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{0,253}$")] = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    tls: Literal["none", "starttls", "tls"] = "starttls"
    user: str = ""
    password: str = ""
    sender: Annotated[str, Meta(max_length=320)] = ""
    timeout_s: Annotated[float, Meta(ge=1, le=120)] = 20.0
    hello: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:\[\]-]{0,253}$")] = ""
    ca_file: str = ""


NoticeName = Literal["verified", "replaced", "suspended", "stale", "removed", "reported"]
_NOTICES: tuple[NoticeName, ...] = get_args(NoticeName)
OperatorNotice = Literal["reported", "paused"]


class Notices(Struct, forbid_unknown_fields=True, frozen=True):
    """[notices]"""

    mail: tuple[NoticeName, ...] = _NOTICES
    admin: tuple[str, ...] = ()
    admin_mail: tuple[OperatorNotice, ...] = get_args(OperatorNotice)
    language: Literal["", "en", "es", "fr", "de", "zh"] = ""
    site_name: Annotated[str, Meta(max_length=60)] = ""
    templates: str = ""


_PHONE = r"(\{extension\}|\{account\}|[A-Za-z0-9._@:*#+/-])"
_SENDER = r"(\"?[A-Za-z0-9 ._-]{1,60}\"? ?)?<?sips?:[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.:\[\]-]{1,253}>?"


class DeskNotices(Struct, forbid_unknown_fields=True, frozen=True):
    """[desk_notices]"""

    node: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,60}$")] = ""
    message: tuple[NoticeName, ...] = ()
    message_to: Annotated[str, Meta(pattern=rf"^(pjsip|sip):{_PHONE}{{1,100}}$")] = "pjsip:{extension}"
    message_from: Annotated[str, Meta(pattern=rf"^({_SENDER})?$")] = ""
    lamp: bool = False
    lamp_to: Annotated[str, Meta(pattern=rf"^{_PHONE}{{1,100}}$")] = "{extension}"
    mailbox: Annotated[str, Meta(pattern=rf"^{_PHONE}{{0,100}}$")] = ""


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
            raise ConfigError(f"{unknown[0]}: an account may only override {', '.join(ACCOUNT_SECTIONS)}")
        merged = msgspec.to_builtins(self)
        for section, values in overrides.items():
            merged[section] = values if section == "routes" else {**merged[section], **values}
        own = _convert(merged)
        _check_number(own.number)
        _check_call(own.call)
        return own

    def for_account_or_default(self, overrides: Mapping[str, Any]) -> "Config":
        """Like `for_account`, but the defaults of the installation stand in for overrides that are not valid."""
        try:
            return self.for_account(overrides)
        except ConfigError:
            return self


ACCOUNT_SECTIONS = ("number", "limits", "call", "binding", "notices", "desk_notices", "routes")
_SECRETS = {
    ("database", "dsn"),
    ("ari", "password"),
    ("ami", "secret"),
    ("auth", "jwt_secret"),
    ("code", "number_key"),
    ("mail", "password"),
}
NOTICE_RECEIVERS = ("mail", "mail-admin", "sip-message", "lamp")
"""The names under which notices wait in the outbox; webhooks may not have them."""
_ADDRESS = re.compile(r"^([^<>]*<)?[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[^\s<>@]+>?$")
_PLACEHOLDERS = {"e164", "digits", "national"}
_ENDPOINT = re.compile(r"^(PJSIP|SIP|Local|DAHDI|IAX2)/[A-Za-z0-9@._/{}+;=-]+$")
_SHORTEST_KEY = 16
SHORTEST_AUDIT_DAYS = 365
SHORTEST_GATED_S = 60
"""Two rounds of the gate, the request, and the time to key the code."""
_SHORTEST_JWT_SECRET = 32
_ORIGIN = re.compile(r"^https?://[A-Za-z0-9.*:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration: *path*, else BINDING_IVR_CONFIG, else /etc/binding-ivr/binding-ivr.toml, else defaults.

    Values of the environment (BINDING_IVR__SECTION__KEY) win. Raises ConfigError that names the key's path.
    """
    named = path or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)
    tree = _read(named or DEFAULT_PATH, required=named is not None)
    _read_secret_files(tree, (named or DEFAULT_PATH).parent)
    _merge_environment(tree, environ)
    _read_webhook_secrets(tree, (named or DEFAULT_PATH).parent)
    return _checked(_convert(tree))


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        if required:
            raise ConfigError(f"{path}: no such configuration file") from None
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _read_secret_files(tree: dict[str, Any], folder: Path) -> None:
    """Replace `key_file = "PATH"` by the file's first line, for every secret."""
    for section, key in _SECRETS:
        values = tree.get(section)
        if not isinstance(values, dict) or f"{key}_file" not in values:
            continue
        values[key] = _secret_of(folder / str(values.pop(f"{key}_file")), f"{section}.{key}_file")


def _read_webhook_secrets(tree: dict[str, Any], folder: Path) -> None:
    webhooks = tree.get("webhooks")
    for at, webhook in enumerate(webhooks if isinstance(webhooks, list) else ()):
        if isinstance(webhook, dict) and "secret_file" in webhook:
            webhook["secret"] = _secret_of(folder / str(webhook.pop("secret_file")), f"webhooks[{at}].secret_file")


def _secret_of(path: Path, name: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {path} cannot be read: {getattr(error, 'strerror', 'not text')}") from None
    if not lines or not lines[0].strip():
        raise ConfigError(f"{name}: {path} is empty")
    return lines[0].strip()


def _merge_environment(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX):
            continue
        parts = [part.lower() for part in variable.removeprefix(ENV_PREFIX).split("__")]
        if parts in (["routes"], ["webhooks"]):
            tree[parts[0]] = _value(text, variable)
            continue
        if len(parts) != 2 or not all(parts):
            raise ConfigError(f"{variable}: write it as {ENV_PREFIX}SECTION__KEY")
        section, key = parts
        if key.endswith("_file") and (section, key.removesuffix("_file")) in _SECRETS:
            key, text = key.removesuffix("_file"), _secret_of(Path(text), variable)
        values = tree.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{section}: must be a table")
        values[key] = text if _wants_text(section, key) else _value(text, variable)


def _wants_text(section: str, key: str) -> bool:
    default = getattr(getattr(Config(), section, None), key, None)
    return isinstance(default, str)


def _value(text: str, variable: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ConfigError(f"{variable}: must be a number, true, false, or JSON for lists and tables") from None


def _convert(tree: dict[str, Any]) -> Config:
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_told(str(error))) from None


def _told(message: str) -> str:
    """Turn msgspec's "Expected … - at `$.call.ring_s`" into "call.ring_s: expected …"."""
    what, _, where = message.partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    if what.startswith("Invalid enum value"):
        what += "; see the sample file for those that exist"
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        key = f"{path}.{unknown[1]}" if path else unknown[1]
        return f"{key}: unknown key; see the sample file for those that exist"
    return f"{path or 'configuration'}: {what[:1].lower()}{what[1:]}"


def _checked(config: Config) -> Config:
    """Check what spans several keys."""
    for at, route in enumerate(config.routes):
        _check_endpoint(f"routes[{at}].endpoint", route.endpoint)
        _check_trunk(f"routes[{at}]", route)
    names = [route.name for route in config.routes]
    if len(set(names)) != len(names):
        raise ConfigError("routes: two routes have the same name")
    if config.code.keys and config.code.active_key not in config.code.keys:
        raise ConfigError(f"code.active_key: code.keys holds no key {config.code.active_key!r}")
    for key_id, text in config.code.keys.items():
        key_bytes(text, f"code.keys.{key_id}")
    if config.code.number_key:
        key_bytes(config.code.number_key, "code.number_key")
    if config.code.shown_s > config.code.attempt_s:
        raise ConfigError("code.shown_s: must not be longer than code.attempt_s")
    _check_number(config.number)
    _check_call(config.call)
    _check_web(config.web, config.auth)
    _check_retention(config.retention)
    if re.search(r"(^|/)\.\.(/|$)", config.prompts.path) or config.prompts.path.startswith("/"):
        raise ConfigError("prompts.path: a path below Asterisk's sounds folder, without ..")
    _check_webhooks(config.webhooks)
    _check_mail(config.mail, config.notices)
    return config


def _check_call(call: Call) -> None:
    if call.gate and call.max_s < SHORTEST_GATED_S:
        raise ConfigError(f"call.max_s: with call.gate {SHORTEST_GATED_S} or more; its prompts come before the request")
    try:
        daytimes.read_hours(call.hours)
    except ValueError as error:
        raise ConfigError(f"call.hours: {error}") from None
    try:
        for entry in call.quiet:
            daytimes.read_quiet(entry)
    except ValueError as error:
        raise ConfigError(f"call.quiet: {error}") from None


def _check_number(number: Number) -> None:
    try:
        allowed = regions.expand(number.regions)
    except ValueError as error:
        raise ConfigError(f"number.regions: {error}") from None
    if number.default_region not in allowed:
        raise ConfigError("number.default_region: must be one of number.regions")
    for region in sorted(allowed & set(number.regions)):
        # A list that takes back what it names is a mistake, and its refusals would be a riddle.
        code = f"+{regions.calling_code(region)}"
        if code in number.deny and code not in number.allow:
            raise ConfigError(f"number.regions: {region} is denied by number.deny; add {code} to number.allow")


def _check_mail(mail: Mail, notices: Notices) -> None:
    if (mail.host or mail.sender) and not _ADDRESS.match(mail.sender):
        raise ConfigError('mail.sender: write an address, such as "Example <numbers@pbx.example>"')
    if bool(mail.user) != bool(mail.password):
        raise ConfigError("mail.user: needs mail.password, and the other way round")
    if mail.user and mail.tls == "none" and mail.host not in ("localhost", "127.0.0.1", "::1"):
        raise ConfigError('mail.tls: "none" would send the password in the clear; use "starttls" or "tls"')
    for address in notices.admin:
        if "<" in address or not _ADDRESS.match(address):
            raise ConfigError(f"notices.admin: {address!r} is no e-mail address")


def _check_retention(keep: Retention) -> None:
    if keep.row_days < keep.number_days:
        raise ConfigError("retention.row_days: must not be shorter than retention.number_days")
    if 0 < keep.audit_days < SHORTEST_AUDIT_DAYS:
        raise ConfigError(f"retention.audit_days: 0 (never deleted), or {SHORTEST_AUDIT_DAYS} and more")


def _check_webhooks(webhooks: tuple[Webhook, ...]) -> None:
    for at, webhook in enumerate(webhooks):
        if not _is_plain_url(webhook.url):
            raise ConfigError(f"webhooks[{at}].url: write https://host/path, without user, password or fragment")
        if webhook.name in NOTICE_RECEIVERS:
            raise ConfigError(f"webhooks[{at}].name: {webhook.name} is taken by the notices; choose another name")
        key_bytes(webhook.secret, f"webhooks[{at}].secret")
    if len({webhook.name for webhook in webhooks}) != len(webhooks):
        raise ConfigError("webhooks: two webhooks have the same name")


def _is_plain_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return fine and "@" not in parts.netloc and "#" not in url and url.isascii() and re.search(r"\s", url) is None


def _check_web(web: Web, auth: Auth) -> None:
    for address in web.trusted_proxies:
        try:
            ipaddress.ip_network(address)
        except ValueError:
            raise ConfigError(f"web.trusted_proxies: {address!r} is no address or network such as 10.0.0.0/8") from None
    for origin in (*web.frame_ancestors, *filter(None, [web.public_url])):
        if not _ORIGIN.match(origin):
            raise ConfigError(f"web: {origin!r} is not an address such as https://pbx.example")
    if bool(web.user_header) != bool(web.trusted_proxies):
        raise ConfigError("web.user_header: needs web.trusted_proxies, and the other way round")
    if web.admin_users and not web.user_header:
        raise ConfigError("web.admin_users: needs web.user_header; they are named by it")
    if auth.jwt_secret and len(auth.jwt_secret.encode()) < _SHORTEST_JWT_SECRET:
        raise ConfigError("auth.jwt_secret: needs at least 32 characters; make one: openssl rand -hex 32")
    if auth.jwks_url and not re.match(r"^https?://[^/\s]+/?\S*$", auth.jwks_url):
        raise ConfigError("auth.jwks_url: not a URL such as https://id.example/jwks.json")


def _check_endpoint(path: str, endpoint: str) -> None:
    names = set(re.findall(r"\{([^{}]*)\}", endpoint))
    if names - _PLACEHOLDERS:
        raise ConfigError(f"{path}: unknown placeholder; use {{e164}}, {{digits}} or {{national}}")
    if not names:
        raise ConfigError(f"{path}: needs one of the placeholders {{e164}}, {{digits}}, {{national}}")
    if not _ENDPOINT.match(endpoint):
        raise ConfigError(f'{path}: not a dial string such as "PJSIP/{{e164}}@trunk"')


LOCKED = re.compile(r"^Local/\{digits\}@([A-Za-z0-9_-]{1,60})/n$")
"""The endpoint of a route that goes through the lock; its context."""


def _check_trunk(path: str, route: Route) -> None:
    """A route with a trunk goes through the lock, whose context dials the trunk."""
    if not route.trunk:
        return
    _check_endpoint(f"{path}.trunk", route.trunk)
    if not LOCKED.match(route.endpoint):
        raise ConfigError(f'{path}.endpoint: with a trunk write "Local/{{digits}}@CONTEXT/n"')
    codes = {regions.calling_code(region) for region in route.regions}
    if "{national}" in route.trunk and (len(codes) != 1 or 0 in codes):
        raise ConfigError(f"{path}.trunk: {{national}} needs regions that share one country code; use {{e164}}")
    if LOCKED.match(route.trunk):
        raise ConfigError(f"{path}.trunk: the lock would dial itself; write the trunk's own endpoint")


def key_bytes(text: str, name: str) -> bytes:
    """Return an access-code key as bytes. Raises ConfigError naming *name*, never the key, when it is too short."""
    key = text.encode()
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(f"{name}: needs at least {_SHORTEST_KEY} characters; make one: openssl rand -base64 32")
    return key


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of an installation: `active` names the key of new attempts, `number` keys the hashes of numbers."""

    active: str
    codes: Mapping[str, bytes] = dataclass_field(repr=False)
    number: bytes = dataclass_field(repr=False)


def load_keys(config: Config) -> Keys:
    """Return the configured keys; without them, those of `state_dir/code-keys.json`.

    The file is made at the first start (mode 0600). Raises ConfigError when it cannot be read or made.
    """
    active, codes = _code_keys(config)
    if config.code.number_key:
        return Keys(active, codes, key_bytes(config.code.number_key, "code.number_key"))
    return Keys(active, codes, codes[min(codes, key=_natural)])


def _code_keys(config: Config) -> tuple[str, Mapping[str, bytes]]:
    if config.code.keys:
        keys = {key_id: key_bytes(text, f"code.keys.{key_id}") for key_id, text in config.code.keys.items()}
        return config.code.active_key, keys
    path = config.state_dir / "code-keys.json"
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key_file(path)
        stored = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        why = getattr(error, "strerror", None) or "not valid"
        raise ConfigError(
            f"{path}: the access-code key cannot be read or made: {why}; check [service] state_dir"
        ) from None
    keys = {key_id: key_bytes(text, f"{path}: {key_id}") for key_id, text in stored.items()}
    if not keys:
        raise ConfigError(f"{path}: holds no key; remove the file to have one made")
    return max(keys, key=_natural), keys


def _natural(key_id: str) -> tuple[int, str]:
    """Order key ids as people count: 9 before 10."""
    return (int(key_id) if key_id.isdecimal() else 0, key_id)


def _make_key_file(path: Path) -> None:
    """Write a fresh key so that of two processes starting together both read the same one."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode({"1": secrets.token_urlsafe(32)}))
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
