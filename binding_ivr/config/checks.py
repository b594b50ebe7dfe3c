"""What a value's own type cannot say of it: checks within a section and across keys. Raises ConfigError only."""

import ipaddress
import re
from urllib.parse import urlsplit

from binding_ivr.config.sections import Auth, Call, Code, Mail, Notices, Number, Prompts, Retention, Route, Web, Webhook
from binding_ivr.errors import ConfigError
from binding_ivr.model import daytimes, forms, regions
from binding_ivr.model.hosts import is_local

NOTICE_RECEIVERS = ("mail", "mail-admin", "sip-message", "lamp")
"""The names under which notices wait in the outbox; webhooks may not have them."""
_PLACEHOLDERS = {"e164", "digits", "national"}
_ENDPOINT = re.compile(r"^(PJSIP|SIP|Local|DAHDI|IAX2)/[A-Za-z0-9@._/{}+;=-]+$")
LOCKED = re.compile(r"^Local/\{digits\}@([A-Za-z0-9_-]{1,60})/n$")
"""The endpoint of a route that goes through the lock; its context."""
_SHORTEST_KEY = 16
SHORTEST_AUDIT_DAYS = 365
SHORTEST_GATED_S = 60
"""Two rounds of the gate, the request, and the time to key the code."""
_SHORTEST_SECRET = 32
_ORIGIN = re.compile(r"^https?://[A-Za-z0-9.*:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")


def check_call(call: Call) -> None:
    """Check `[call]`."""
    if call.gate and call.max_s < SHORTEST_GATED_S:
        raise ConfigError(
            f"call.max_s: must be {SHORTEST_GATED_S} or more with call.gate; its prompts come before the request"
        )
    try:
        daytimes.read_hours(call.hours)
    except ValueError as error:
        raise ConfigError(f"call.hours: {error}") from None
    try:
        for entry in call.quiet:
            daytimes.read_quiet(entry)
    except ValueError as error:
        raise ConfigError(f"call.quiet: {error}") from None


def check_number(number: Number) -> None:
    """Check `[number]`."""
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


def check_mail(mail: Mail, notices: Notices) -> None:
    """Check `[mail]` and the addresses of `[notices]`."""
    if (mail.host or mail.sender) and not _is_mailbox(mail.sender):
        raise ConfigError('mail.sender: write an address, such as "Example <numbers@pbx.example>"')
    if bool(mail.user) != bool(mail.password):
        raise ConfigError("mail.user: needs mail.password, and mail.password needs mail.user")
    if mail.user and mail.tls == "none" and mail.host not in ("localhost", "127.0.0.1", "::1"):
        raise ConfigError('mail.tls: "none" would send the password in the clear; use "starttls" or "tls"')
    for address in notices.admin:
        if "<" in address or not _is_mailbox(address):
            raise ConfigError(f"notices.admin: {address!r} is not an e-mail address")


def _is_mailbox(text: str) -> bool:
    try:
        forms.read_mailbox(text)
    except ValueError:
        return False
    return True


def check_retention(keep: Retention) -> None:
    """Check `[retention]`."""
    if keep.row_days < keep.number_days:
        raise ConfigError("retention.row_days: must not be shorter than retention.number_days")
    if 0 < keep.audit_days < SHORTEST_AUDIT_DAYS:
        raise ConfigError(f"retention.audit_days: write 0 (never deleted), or {SHORTEST_AUDIT_DAYS} or more")


def check_webhooks(webhooks: tuple[Webhook, ...]) -> None:
    """Check `[[webhooks]]`."""
    for at, webhook in enumerate(webhooks):
        if not _is_plain_url(webhook.url):
            raise ConfigError(f"webhooks[{at}].url: write https://host/path, without user, password or fragment")
        if webhook.name in NOTICE_RECEIVERS:
            raise ConfigError(f"webhooks[{at}].name: {webhook.name} is used by the notices; choose another name")
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


def check_web(web: Web, auth: Auth) -> None:
    """Check `[web]` and `[auth]`."""
    _check_proxies(web)
    for origin in (*web.frame_ancestors, *filter(None, [web.public_url])):
        if not _ORIGIN.match(origin):
            raise ConfigError(f"web: {origin!r} is not an address such as https://pbx.example")
    if web.connections <= web.streams:
        raise ConfigError("web.connections: must be more than web.streams; else live pages leave no room for requests")
    if web.admin_users and not web.user_header:
        raise ConfigError("web.admin_users: needs web.user_header, which names them")
    for name, secret in (("web.proxy_secret", web.proxy_secret), ("auth.jwt_secret", auth.jwt_secret)):
        if secret and len(secret.encode()) < _SHORTEST_SECRET:
            raise ConfigError(f"{name}: needs at least {_SHORTEST_SECRET} characters; make one: openssl rand -hex 32")
    if auth.jwks_url:
        _check_jwks_url(auth.jwks_url)


def _check_proxies(web: Web) -> None:
    for address in web.trusted_proxies:
        try:
            ipaddress.ip_network(address)
        except ValueError:
            raise ConfigError(
                f"web.trusted_proxies: {address!r} is not an address or a network such as 10.0.0.0/8"
            ) from None
    if bool(web.user_header) != bool(web.trusted_proxies):
        raise ConfigError("web.user_header: needs web.trusted_proxies, and web.trusted_proxies needs web.user_header")
    if web.proxy_secret and not web.trusted_proxies:
        raise ConfigError("web.proxy_secret: needs web.trusted_proxies, whose secret it is")
    if not re.fullmatch(r"[!-~]*", web.proxy_secret):
        raise ConfigError("web.proxy_secret: may hold only ASCII without spaces; make one: openssl rand -hex 32")


def _check_jwks_url(url: str) -> None:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if not host or not re.match(r"^https?://[^/\s]+/?\S*$", url):
        raise ConfigError("auth.jwks_url: must be a URL such as https://id.example/jwks.json")
    if url.startswith("http:") and not is_local(host):
        raise ConfigError(
            "auth.jwks_url: must begin with https://; over http anybody on the way can answer with a key of their own "
            "and sign in as anybody. If the issuer has no https, let a web server or a tunnel on this machine fetch "
            "its keys, and write http://127.0.0.1/..."
        )


def check_routes(routes: tuple[Route, ...]) -> None:
    """Check `[[routes]]`."""
    for at, route in enumerate(routes):
        _check_endpoint(f"routes[{at}].endpoint", route.endpoint)
        _check_trunk(f"routes[{at}]", route)
    names = [route.name for route in routes]
    if len(set(names)) != len(names):
        raise ConfigError("routes: two routes have the same name")


def check_code(code: Code) -> None:
    """Check `[code]`."""
    if code.keys and code.active_key not in code.keys:
        raise ConfigError(f"code.active_key: code.keys holds no key {code.active_key!r}")
    for key_id, text in code.keys.items():
        key_bytes(text, f"code.keys.{key_id}")
    if code.number_key:
        key_bytes(code.number_key, "code.number_key")
    if code.shown_s > code.attempt_s:
        raise ConfigError("code.shown_s: must not be longer than code.attempt_s")


def check_prompts(prompts: Prompts) -> None:
    """Check `[prompts]`."""
    if re.search(r"(^|/)\.\.(/|$)", prompts.path) or prompts.path.startswith("/"):
        raise ConfigError("prompts.path: write a path below Asterisk's sounds folder, without ..")


def _check_endpoint(path: str, endpoint: str) -> None:
    names = set(re.findall(r"\{([^{}]*)\}", endpoint))
    if names - _PLACEHOLDERS:
        raise ConfigError(f"{path}: unknown placeholder; use {{e164}}, {{digits}} or {{national}}")
    if not names:
        raise ConfigError(f"{path}: needs one of the placeholders {{e164}}, {{digits}}, {{national}}")
    if not _ENDPOINT.match(endpoint):
        raise ConfigError(f'{path}: not a dial string such as "PJSIP/{{e164}}@trunk"')


def _check_trunk(path: str, route: Route) -> None:
    """A route with a trunk goes through the lock, whose context dials the trunk."""
    if not route.trunk:
        return
    _check_endpoint(f"{path}.trunk", route.trunk)
    if not LOCKED.match(route.endpoint):
        raise ConfigError(f'{path}.endpoint: with a trunk, write "Local/{{digits}}@CONTEXT/n"')
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
