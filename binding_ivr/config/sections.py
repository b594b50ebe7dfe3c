"""Every section of the configuration with the range and default of its keys. It reads and checks nothing itself."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct, field

from binding_ivr.model import forms

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Connections = Annotated[int, Meta(ge=10, le=100_000)]
Phone = Annotated[str, Meta(pattern=forms.whole(forms.E164, may_be_empty=True))]


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


DeskEndpoint = Annotated[str, Meta(pattern=r"^(\*|([A-Za-z0-9_.-]|\{account\}|\{extension\}){1,128})$")]


class Agi(Struct, forbid_unknown_fields=True, frozen=True):
    """[agi]"""

    bind: str = "127.0.0.1"
    port: Port = 4573
    advertise: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]+:[0-9]{1,5})?$")] = ""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    connections: Connections = 1000
    desks: Annotated[int, Meta(ge=0, le=1000)] = 20
    desk_endpoint: DeskEndpoint = "{extension}"
    desk_contexts: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,79}$")], ...] = ("binding-ivr-enrol-desk",)


class Web(Struct, forbid_unknown_fields=True, frozen=True):
    """[web]"""

    bind: str = "127.0.0.1"
    port: Port = 8080
    public_url: str = ""
    frame_ancestors: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    proxy_secret: str = ""
    user_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{0,64}$")] = ""
    admin_users: tuple[Annotated[str, Meta(pattern=r"^[^/\s]{1,64}/[^/\s]{1,128}$")], ...] = ()
    requests_per_second: Annotated[float, Meta(ge=1, le=100_000)] = 20.0
    connections: Connections = 2500
    streams: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    streams_per_user: Annotated[int, Meta(ge=1, le=1000)] = 6


class Metrics(Struct, forbid_unknown_fields=True, frozen=True):
    """[metrics]"""

    bind: str = "127.0.0.1"
    port: Port = 9473
    on_web: bool = False


class Auth(Struct, forbid_unknown_fields=True, frozen=True):
    """[auth]"""

    jwt_secret: str = ""
    jwks_url: str = ""
    issuer: Annotated[str, Meta(max_length=500)] = ""
    audience: Annotated[str, Meta(min_length=1, max_length=500)] = "binding_ivr"
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
    user_uncalled_hour: Count = 10
    user_uncalled_day: Count = 30
    user_failed_tries: Count = 10
    user_failed_stop: Count = 100
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
    "move.ended",
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


NoticeName = Literal["verified", "replaced", "suspended", "stale", "removed", "reported", "pulled"]
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
