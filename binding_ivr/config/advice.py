"""What is allowed and yet unwise in a configuration: one sentence each, which says what to do. It forbids nothing."""

import stat
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from binding_ivr.config.whole import Config
from binding_ivr.model.hosts import is_local

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
LONGEST_CODE_S = 600
"""The life of a one-time code by NIST SP 800-63B, 5.1.3: ten minutes."""


def advice(config: Config, files: Iterable[Path] = ()) -> list[str]:
    """Return what an auditor would ask about; *files* are those that hold secrets (`reading.files_of`)."""
    return [
        *_in_the_clear(config),
        *_any_program(config),
        *_any_issuer(config),
        *_long_codes(config),
        *_open_files(files),
    ]


def _in_the_clear(config: Config) -> list[str]:
    """Passwords, codes and numbers that would cross a network unencrypted."""
    found = []
    if not is_local(config.web.bind) and not config.web.public_url.startswith("https://"):
        found.append(
            f"web.bind: {config.web.bind} is open to other machines without TLS: codes and cookies pass in the clear; "
            "listen on 127.0.0.1 behind an https proxy, and set web.public_url to its https address"
        )
    ari = urlsplit(config.ari.url)
    if ari.scheme == "http" and not is_local(ari.hostname or ""):
        found.append("ari.url: the password of ARI crosses the network without TLS; use https, or a tunnel")
    if config.ami.user and not is_local(config.ami.host):
        found.append("ami.host: AMI has no TLS here, and numbers cross the network; use a tunnel, or a private network")
    if not is_local(config.agi.bind):
        found.append(
            f"agi.bind: {config.agi.bind} is open to other machines without TLS; keep [agi] allow small, "
            "and the network between Asterisk and the service private"
        )
    return found


def _any_program(config: Config) -> list[str]:
    """A proxy that is known by an address which it shares with every program of its machine."""
    web = config.web
    local = [text for text in web.trusted_proxies if ip_network(text, strict=False).overlaps(_LOOPBACK[":" in text])]
    if not local or web.proxy_secret:
        return []
    return [
        f"web.trusted_proxies: {local[0]} is this machine, and every program on it can say that it is any user; set "
        "web.proxy_secret_file, and let the proxy send it as X-Proxy-Secret"
    ]


def _any_issuer(config: Config) -> list[str]:
    """Published keys that may sign for others than the users of this PBX."""
    if not config.auth.jwks_url or config.auth.issuer:
        return []
    return [
        "auth.issuer: any token for the audience that a key of auth.jwks_url has signed is taken, whoever issued it; "
        "set it to the iss that your tokens carry"
    ]


def _long_codes(config: Config) -> list[str]:
    if config.code.attempt_s <= LONGEST_CODE_S:
        return []
    return [
        f"code.attempt_s: a code that lives {config.code.attempt_s:g} s can be guessed or overheard for longer than "
        f"the {LONGEST_CODE_S} s that standards allow (NIST SP 800-63B); lower it unless your calls wait that long"
    ]


def _open_files(files: Iterable[Path]) -> list[str]:
    found = []
    for path in files:
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            found.append(f"{path}: holds secrets, and every user of this machine can read it; run: chmod o-rwx {path}")
        elif mode & stat.S_IWGRP:
            found.append(f"{path}: holds secrets, and a whole group can change it; run: chmod g-w {path}")
    return found
