"""The configuration: each bad value is told by its key's path, and the sample file equals the code."""

import tomllib
from pathlib import Path

import msgspec
import pytest

import binding_ivr
from binding_ivr.config import ACCOUNT_SECTIONS, Config, load, load_keys
from binding_ivr.errors import ConfigError

SAMPLE = Path(binding_ivr.__file__).with_name("binding-ivr.sample.toml")


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "binding-ivr.toml"
    path.write_text(text)
    return load(path, environ)


def test_the_sample_file_holds_every_key_with_its_default() -> None:
    sample = tomllib.loads(SAMPLE.read_text())
    code = msgspec.json.decode(msgspec.json.encode(Config()))
    code.pop("routes")
    code.pop("webhooks")
    assert sample == code
    assert msgspec.convert(sample, Config) == Config()


def test_the_sample_route_is_valid(tmp_path: Path) -> None:
    lines = SAMPLE.read_text().splitlines()
    start = lines.index("# [[routes]]")
    route = "\n".join(line.removeprefix("# ") for line in lines[start:])
    assert read(tmp_path, route).routes[0].endpoint == "PJSIP/{e164}@trunk"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[call]\nring_s = 'x'", "call.ring_s: expected `float`, got `str`"),
        ("[call]\nring_s = 0", "call.ring_s: expected `float` >= 1.0"),
        ("[call]\nrings = 1", "call.rings: unknown key; see the sample file for what is allowed"),
        ("[calls]\nring_s = 1", "calls: unknown key; see the sample file for what is allowed"),
        ("[number]\nregions = ['us']", "number.regions: 'us' is not a region with phone numbers; write US"),
        ("[number]\nregions = ['UK']", "number.regions: 'UK' is not a region with phone numbers; write GB"),
        (
            "[number]\nregions = ['US', 'World']",
            "number.regions: 'World' is not a region with phone numbers; write an ISO 3166-1 code such as US, "
            "or *, EU, EEA, NANP",
        ),
        ("[number]\nregions = ['*', '-US']", "number.default_region: must be one of number.regions"),
        (
            "[number]\nregions = ['US', 'MV']",
            "number.regions: MV is denied by number.deny; add +960 to number.allow",
        ),
        ("[number]\ndeny = ['1900']", "number.deny[0]: expected `str` matching regex '^\\\\+[1-9][0-9X]{0,14}$'"),
        ("[number]\ndefault_region = 'DE'", "number.default_region: must be one of number.regions"),
        ("[code]\nlength = 5", "code.length: expected `int` >= 6"),
        ("[auth]\njwks_url = 'http://['", "auth.jwks_url: must be a URL such as https://id.example/jwks.json"),
        (f"[web]\nproxy_secret = '{'s' * 32}'", "web.proxy_secret: needs web.trusted_proxies, whose secret it is"),
        (
            "[web]\ntrusted_proxies = ['10.0.0.1']\nuser_header = 'X-User'\nproxy_secret = 'hush'",
            "web.proxy_secret: needs at least 32 characters; make one: openssl rand -hex 32",
        ),
        (
            f"[web]\ntrusted_proxies = ['10.0.0.1']\nuser_header = 'X-User'\nproxy_secret = '{'s ' * 16}s'",
            "web.proxy_secret: may hold only ASCII without spaces; make one: openssl rand -hex 32",
        ),
        ("[auth]\naudience = ''", "auth.audience: expected `str` of length >= 1"),
        (
            "[code]\nreveal = 'later'",
            "code.reveal: invalid enum value 'later'; see the sample file for what is allowed",
        ),
        (
            "[web]\nstreams = 2500",
            "web.connections: must be more than web.streams; else live pages leave no room for requests",
        ),
        ("[agi]\nconnections = 9", "agi.connections: expected `int` >= 10"),
        ("[metrics]\nport = 65536", "metrics.port: expected `int` <= 65535"),
        ("[limits]\nuser_uncalled_day = -1", "limits.user_uncalled_day: expected `int` >= 0"),
        ("[call]\ngate = 'yes'", "call.gate: expected `bool`, got `str`"),
        ("[call]\ngate = 1", "call.gate: expected `bool`, got `int`"),
        (
            "[call]\ngate = true\nmax_s = 59",
            "call.max_s: must be 60 or more with call.gate; its prompts come before the request",
        ),
        ("[code]\nshown_s = 700", "code.shown_s: must not be longer than code.attempt_s"),
        ("[code]\nactive_key = '2'\nkeys = {1 = 'aaaaaaaaaaaaaaaa'}", "code.active_key: code.keys holds no key '2'"),
        ("[prompts]\npath = '../x'", "prompts.path: write a path below Asterisk's sounds folder, without .."),
        (
            "[[routes]]\nname = 'a'\nendpoint = 'PJSIP/x@trunk'",
            "routes[0].endpoint: needs one of the placeholders {e164}, {digits}, {national}",
        ),
        (
            "[[routes]]\nname = 'a'\nendpoint = 'PJSIP/{number}@trunk'",
            "routes[0].endpoint: unknown placeholder; use {e164}, {digits} or {national}",
        ),
        (
            "[[routes]]\nname = 'a'\nendpoint = 'PJSIP/{e164}@trunk&SIP/x'",
            'routes[0].endpoint: not a dial string such as "PJSIP/{e164}@trunk"',
        ),
        (
            "[[routes]]\nname = 'a'\nendpoint = 'PJSIP/{e164}'\n[[routes]]\nname = 'a'\nendpoint = 'PJSIP/{e164}'",
            "routes: two routes have the same name",
        ),
    ],
)
def test_a_bad_value_is_told_by_its_path(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert str(refused.value) == told


def test_a_short_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, "[code]\nkeys = {1 = 'hush'}")
    assert "code.keys.1" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_not_toml_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        read(tmp_path, "[call")
    with pytest.raises(ConfigError, match="no such configuration file"):
        load(tmp_path / "nothing.toml", {})
    with pytest.raises(ConfigError, match="no such configuration file"):
        load(None, {"BINDING_IVR_CONFIG": str(tmp_path / "nothing.toml")})


def test_the_environment_wins(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "[limits]\nnumber_hour = 1",
        BINDING_IVR__LIMITS__NUMBER_HOUR="9",
        BINDING_IVR__DATABASE__DSN="postgresql://db/x",
        BINDING_IVR__SERVICE__NODE="7",
        BINDING_IVR__NUMBER__REGIONS='["US", "CA"]',
        BINDING_IVR__ROUTES='[{"name": "main", "endpoint": "PJSIP/{e164}@trunk"}]',
    )
    assert config.limits.number_hour == 9
    assert config.database.dsn == "postgresql://db/x"
    assert config.node == "7"
    assert config.number.regions == ("US", "CA")
    assert config.routes[0].name == "main"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("BINDING_IVR__LIMITS__NUMBER_HOUR", "many", "must be a number"),
        ("BINDING_IVR__LIMITS__NOTHING", "1", "limits.nothing: unknown key"),
        ("BINDING_IVR__LIMITS", "1", "write it as"),
    ],
)
def test_bad_environment(tmp_path: Path, variable: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(tmp_path, "", **{variable: value})


@pytest.mark.parametrize(
    "url", ["https://id.example/keys", "http://127.0.0.1:8/k", "http://[::1]/k", "http://localhost"]
)
def test_published_keys_come_over_https_or_from_this_machine(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, f"[auth]\njwks_url = '{url}'").auth.jwks_url == url


def test_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-a-file\n")
    config = read(tmp_path, "[ari]\npassword_file = 'password'")
    assert config.ari.password == "from-a-file"
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read(tmp_path, "[ari]\npassword_file = 'empty'")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path, "", BINDING_IVR__AMI__SECRET_FILE=str(tmp_path / "nothing"))


def test_account_overrides() -> None:
    config = Config()
    own = config.for_account({"limits": {"number_hour": 7}, "number": {"default_region": "DE", "regions": ["DE"]}})
    assert (own.limits.number_hour, own.limits.number_day, own.number.regions) == (7, 5, ("DE",))
    assert config.limits.number_hour == 3
    with pytest.raises(ConfigError, match=r"limits\.number_hour"):
        config.for_account({"limits": {"number_hour": "x"}})
    assert config.for_account({"call": {"gate": True}}).call.gate is True
    with pytest.raises(ConfigError, match=r"call\.gate: expected `bool`"):
        config.for_account({"call": {"gate": "on"}})
    with pytest.raises(ConfigError, match=r"call\.max_s: must be 60 or more with call\.gate"):
        config.for_account({"call": {"gate": True, "max_s": 30}})
    with pytest.raises(ConfigError, match="an account may override only"):
        config.for_account({"ari": {"user": "x"}})
    assert set(ACCOUNT_SECTIONS) <= set(Config.__struct_fields__)


@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ([{"name": "own", "endpoint": "PJSIP/900"}], r"routes\[0\]\.endpoint: needs one of the placeholders"),
        ([{"name": "own", "endpoint": "PJSIP/{number}@trunk"}], r"routes\[0\]\.endpoint: unknown placeholder"),
        ([{"name": "own", "endpoint": "Local/{digits}&PJSIP/9@x"}], r"routes\[0\]\.endpoint: not a dial string"),
        ([{"name": "own", "endpoint": "PJSIP/{e164}@a"}] * 2, "two routes have the same name"),
    ],
)
def test_routes_of_an_account_are_checked_like_those_of_the_file(routes: list[dict[str, str]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config().for_account({"routes": routes})
    assert Config().for_account_or_default({"routes": routes}).routes == ()


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    config = read(tmp_path, f"[service]\nstate_dir = '{tmp_path / 'state'}'")
    keys = load_keys(config)
    assert load_keys(config) == keys
    assert len(keys.codes[keys.active]) >= 16
    assert keys.number == keys.codes[keys.active]
    assert keys.codes[keys.active].decode() not in repr(keys)
    assert (tmp_path / "state" / "code-keys.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "state" / "code-keys.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read or created"):
        load_keys(config)
