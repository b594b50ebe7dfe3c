"""What is allowed and yet unwise is said, with the key and what to do; what is fine is not talked about."""

from pathlib import Path

import pytest

from binding_ivr.config import advice, files_of, load
from binding_ivr.config.whole import convert

ROUTES = [{"name": "main", "endpoint": "PJSIP/{e164}@trunk"}]


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({}, []),
        ({"web": {"bind": "0.0.0.0"}}, ["web.bind"]),
        ({"web": {"bind": "::"}}, ["web.bind"]),
        ({"web": {"bind": "0.0.0.0", "public_url": "https://pbx.example"}}, []),
        ({"web": {"bind": "0.0.0.0", "public_url": "http://pbx.example"}}, ["web.bind"]),
        ({"web": {"bind": "::1"}, "agi": {"bind": "localhost"}}, []),
        ({"agi": {"bind": "0.0.0.0"}}, ["agi.bind"]),
        ({"ari": {"url": "http://10.0.0.5:8088"}}, ["ari.url"]),
        ({"ari": {"url": "https://10.0.0.5:8089"}}, []),
        ({"ami": {"host": "10.0.0.5"}}, []),  # AMI is not used
        ({"ami": {"host": "10.0.0.5", "user": "u"}}, ["ami.host"]),
        ({"auth": {"jwks_url": "https://id.example/keys"}}, ["auth.issuer"]),
        ({"auth": {"jwks_url": "https://id.example/keys", "issuer": "https://id.example"}}, []),
        ({"web": {"user_header": "X-User", "trusted_proxies": ["127.0.0.1"]}}, ["web.trusted_proxies"]),
        ({"web": {"user_header": "X-User", "trusted_proxies": ["0.0.0.0/0"]}}, ["web.trusted_proxies"]),
        ({"web": {"user_header": "X-User", "trusted_proxies": ["10.0.0.0/8", "::1"]}}, ["web.trusted_proxies"]),
        ({"web": {"user_header": "X-User", "trusted_proxies": ["10.0.0.0/8", "2001:db8::/32"]}}, []),
        ({"web": {"user_header": "X-User", "trusted_proxies": ["127.0.0.1"], "proxy_secret": "s" * 32}}, []),
        ({"code": {"attempt_s": 600}}, []),
        ({"code": {"attempt_s": 601}}, ["code.attempt_s"]),
    ],
)
def test_what_an_auditor_would_ask_about(sections: dict[str, dict[str, object]], told: list[str]) -> None:
    found = advice(convert(dict(sections)))
    assert [sentence.partition(":")[0] for sentence in found] == told
    assert all("; " in sentence for sentence in found)  # each says what to do


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (0o600, ""),
        (0o640, ""),
        (0o644, "chmod o-rwx"),
        (0o604, "chmod o-rwx"),
        (0o602, "chmod o-rwx"),
        (0o660, "chmod g-w"),
    ],
)
@pytest.mark.parametrize("which", ["binding-ivr.toml", "password", "hook", "state/code-keys.json"])
def test_a_file_with_secrets_that_others_can_read(tmp_path: Path, which: str, mode: int, told: str) -> None:
    for name in ("password", "hook", "state/code-keys.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a secret that is long enough")
    path = tmp_path / "binding-ivr.toml"
    path.write_text(
        f'service.state_dir = "{tmp_path}/state"\nami.secret = "x"\nari.password_file = "password"\n'
        '[[webhooks]]\nname = "a"\nurl = "https://portal.example/"\nsecret_file = "hook"\n'
    )
    for file in tmp_path.rglob("*"):
        file.chmod(0o600 if file.is_file() else 0o700)
    (tmp_path / which).chmod(mode)
    found = advice(load(path, {}), files_of(load(path, {}), path, {}))
    assert [sentence for sentence in found if told not in sentence] == []
    assert len(found) == bool(told)
    assert all(str(tmp_path / which) in sentence for sentence in found)


def test_a_file_without_secrets_may_be_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "binding-ivr.toml"
    path.write_text(f'service.state_dir = "{tmp_path}"\n')
    path.chmod(0o644)
    assert path not in files_of(load(path, {}), path, {})
