"""Dockerfile and docker-compose.yml, checked without an engine: what they name exists and is accepted by the code."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from binding_ivr.cli.parser import build_parser
from binding_ivr.config import check_for_service, load, load_keys

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SECRETS = {"POSTGRES_PASSWORD", "ARI_PASSWORD", "AMI_SECRET", "JWT_SECRET", "CODE_KEY", "NUMBER_KEY"}
VALUES = {"PUBLIC_ADDRESS": "192.0.2.10", "TRUNK_HOST": "192.0.2.20", "CALLER_ID": "+12025550199"} | {
    name: f"{name.lower()}-0123456789abcdef0123456789abcdef" for name in SECRETS
}
"""What an operator puts into `.env`."""
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([?-])([^}]*))?\}")
YAMLLINT = """
extends: default
rules:
  line-length: disable
  document-start: disable
  comments: {min-spaces-from-content: 1}
  truthy: {check-keys: false}
"""


@cache
def compose() -> dict[str, Any]:
    tree = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(tree, dict)
    return tree


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def filled(text: str) -> str:
    """Replace variables as Compose does, with VALUES for those that must be set."""
    return VARIABLE.sub(lambda found: found[3] if found[2] == "-" else VALUES[found[1]], text)


@cache
def instructions() -> list[tuple[str, str, str]]:
    """(stage, instruction, arguments) of the Dockerfile, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    found, stage = [], ""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stage = rest.partition(" AS ")[2].strip()
        found.append((stage, word, rest.strip()))
    return found


def of_stage(stage: str, word: str) -> list[str]:
    return [rest for at, instruction, rest in instructions() if (at, instruction) == (stage, word)]


def environment(service: str) -> dict[str, str]:
    return {name: filled(str(value)) for name, value in services()[service].get("environment", {}).items()}


def test_yamllint_is_content() -> None:
    run = subprocess.run(
        [BIN / "yamllint", "--strict", "-d", YAMLLINT, ROOT / "docker-compose.yml"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


def test_hadolint_is_content() -> None:
    run = subprocess.run([BIN / "hadolint", "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_no_secret_has_a_default_and_each_says_what_to_do() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    uses: dict[str, set[tuple[str, str]]] = {}
    for name, kind, what in VARIABLE.findall(text):
        uses.setdefault(name, set()).add((kind, what))
    assert set(VALUES) <= set(uses)
    for name in VALUES:
        assert all(kind == "?" and what for kind, what in uses[name]), name
    assert set(uses) - set(VALUES) == {"REGION"}  # the only one with a default; no secret
    # Nothing is written down in clear either: every secret-looking variable comes from outside.
    for service in services():
        for name, value in services()[service].get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEYS?$|DSN", name):
                assert VARIABLE.search(str(value)), f"{service}: {name}"


@pytest.mark.parametrize("service", ["binding_ivr", "migrate"])
def test_the_service_accepts_its_environment(service: str) -> None:
    ours = environment(service)
    ours |= dict(re.findall(r"(BINDING_IVR__\w+)=(\S+)", " ".join(of_stage("service", "ENV"))))
    assert all(name.startswith("BINDING_IVR__") for name in environment(service))
    config = load(None, ours)
    assert config.database.dsn.startswith("postgresql://binding_ivr:")
    assert config.service.log_format == "json"
    if service == "binding_ivr":
        check_for_service(config)
        assert load_keys(config).active == "1"
        assert config.ari.password == environment("asterisk")["ARI_PASSWORD"]
        assert config.ami.secret == environment("asterisk")["AMI_SECRET"]


def test_addresses_agree() -> None:
    asterisk, ours = environment("asterisk"), environment("binding_ivr")
    address = {
        name: tree["networks"]["control"]["ipv4_address"]
        for name, tree in services().items()
        if "control" in tree["networks"]
    }
    assert asterisk["CONTROL_ADDRESS"] == address["asterisk"]
    assert asterisk["TRUNK_ADDRESS"] == services()["asterisk"]["networks"]["trunk"]["ipv4_address"]
    config = load(None, ours)
    assert config.ari.url == f"http://{address['asterisk']}:8088"
    assert config.ami.host == address["asterisk"]
    assert config.agi.bind == address["binding_ivr"]
    assert config.agi.allow == (f"{address['asterisk']}/32",)
    assert config.agi.advertise == asterisk["AGI_ADDRESS"] == f"{address['binding_ivr']}:{config.agi.port}"
    for name in ("control", "trunk"):
        subnet = compose()["networks"][name]["ipam"]["config"][0]["subnet"]
        assert subnet == asterisk[f"{name.upper()}_NETWORK"]


def test_networks_let_nothing_out_that_must_stay_in() -> None:
    networks = compose()["networks"]
    assert networks["data"]["internal"]
    assert networks["control"]["internal"]
    assert list(services()["postgres"]["networks"]) == ["data"]
    assert list(services()["migrate"]["networks"]) == ["data"]
    assert set(services()["asterisk"]["networks"]) == {"control", "trunk"}
    assert services()["binding_ivr"]["ports"] == ["127.0.0.1:8080:8080", "127.0.0.1:9473:9473"]
    assert all(port.endswith("/udp") for port in services()["asterisk"]["ports"])
    assert "ports" not in services()["postgres"]


@pytest.mark.parametrize("name", list(services()))
def test_every_service_is_locked_down_and_watched(name: str) -> None:
    service = services()[name]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["logging"]["options"]["max-size"]
    assert int(service["user"].split(":")[0]) > 0
    if name == "migrate":
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
    for needed, condition in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if needed == "migrate" else "service_healthy"
        assert condition == {"condition": expected}


def test_users_are_those_of_the_images() -> None:
    for service, stage in (("asterisk", "asterisk"), ("binding_ivr", "service"), ("migrate", "service")):
        assert services()[service]["user"] == of_stage(stage, "USER")[-1]
        assert services()[service]["build"] == {"context": ".", "target": stage}


def test_named_volumes_are_declared() -> None:
    used = {entry.split(":")[0] for service in services().values() for entry in service.get("volumes", [])}
    assert used == set(compose()["volumes"])


def test_every_command_is_one_of_ours() -> None:
    entry = of_stage("service", "ENTRYPOINT")
    assert entry == ['["binding-ivr"]']
    commands = [services()[name]["command"] for name in ("binding_ivr", "migrate")] + [
        yaml.safe_load(of_stage("service", "CMD")[-1])
    ]
    built = " ".join(of_stage("build", "RUN"))
    commands += [shlex.split(words) for words in re.findall(r"bin/binding-ivr ([^&|]+)", built)]
    assert ["prompts", "build", "--output", "/sounds"] in commands
    for command in commands:
        assert build_parser().parse_args(command).run


def test_every_copied_file_exists_and_is_sent_to_the_builder() -> None:
    sent = [
        line.lstrip("!/").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for _, word, rest in instructions():
        if word != "COPY" or "--from=" in rest:
            continue
        for source in rest.split()[:-1]:
            assert list(ROOT.glob(source.rstrip("/"))), source
            assert source.split("/")[0] in sent, source


def test_dockerfile_rules() -> None:
    images = [rest.split()[0] for _, word, rest in instructions() if word == "FROM"]
    images += [service["image"] for service in services().values() if "build" not in service]
    for image in images:
        assert ":" in image, image
        assert not image.endswith(":latest"), image
    for stage in ("asterisk", "service"):
        assert not of_stage(stage, "USER")[-1].startswith(("0", "root"))
        for word in ("ENTRYPOINT", "CMD"):
            assert of_stage(stage, word)[-1].startswith("["), f"{stage}: {word} in shell form"
        assert 'CMD ["' in of_stage(stage, "HEALTHCHECK")[-1]
    for _, _, rest in instructions():
        if "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists/*" in rest
    assert not [
        rest for _, word, rest in instructions() if word in ("ARG", "ENV") and re.search("PASSWORD|SECRET", rest)
    ]


def test_the_port_of_the_health_checks_is_the_default() -> None:
    port = load(None, {"BINDING_IVR__WEB__BIND": "0.0.0.0"}).web.port
    for text in (of_stage("service", "HEALTHCHECK")[-1], services()["binding_ivr"]["healthcheck"]["test"][-1]):
        assert f"127.0.0.1:{port}/health/" in text


# --- render-config.sh: what happens without a secret; the booted result is tested end to end -----------------------


def render(tmp_path: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    (tmp_path / "modules").mkdir(exist_ok=True)
    samples = tmp_path / "samples"
    samples.mkdir(exist_ok=True)
    for source in [*(ROOT / "dialplan/samples").glob("*.conf"), *(ROOT / "dialplan").glob("*.conf")]:
        (samples / source.name).write_text(source.read_text())
    (samples / "modules-common.txt").write_text("app_dial\n")
    values = environment("asterisk") | {
        "ASTERISK_MODULES": str(tmp_path / "modules"),
        "ASTERISK_STATE": str(tmp_path / "state"),
        "SITE": str(tmp_path / "site"),
        "PATH": "/usr/bin:/bin",
    }
    env = {name: value for name, value in (values | changes).items() if value is not None}
    script = ROOT / "dialplan/samples/render-config.sh"
    command = [
        str(script),
        str(samples),
        str(tmp_path / "etc"),
        "sh",
        "-c",
        'echo "started ${ARI_PASSWORD-}${AMI_SECRET-}"',
    ]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def test_render_gives_each_setting_its_value_and_keeps_secrets_to_itself(tmp_path: Path) -> None:
    run = render(tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "started \n", "")
    written = {path.name: path.read_text() for path in (tmp_path / "etc").iterdir()}
    assert f"password = {VALUES['ARI_PASSWORD']}\n" in written["ari.conf"]
    assert f"secret = {VALUES['AMI_SECRET']}\n" in written["manager.conf"]
    assert "permit = 172.28.73.0/24\n" in written["manager.conf"]
    assert "bindaddr = 172.28.73.20\n" in written["http.conf"]
    assert "BINDING_AGI = 172.28.73.10:4573\n" in written["extensions.conf"]
    assert "match = 192.0.2.20\n" in written["pjsip.conf"]
    assert not [name for name, text in written.items() if "change-this" in text]
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "etc").iterdir()} == {0}
    assert render(tmp_path).returncode == 0  # a restarted container finds its files again


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ARI_PASSWORD", None, "ARI_PASSWORD is not set"),
        ("AMI_SECRET", "", "AMI_SECRET is not set"),
        ("AMI_SECRET", "short", "AMI_SECRET is shorter than 16"),
        ("ARI_PASSWORD", "change-this-password", "the sample's placeholder"),
        ("ARI_PASSWORD", "0123456789abcdef\npermit = 0.0.0.0", "holds a character"),
        ("ARI_PASSWORD", "0123456789abcdef;x", "holds a character"),
        ("TRUNK_HOST", "a b", "holds a character"),
        ("CONTROL_NETWORK", None, "CONTROL_NETWORK is not set"),
        ("ASTERISK_MODULES", "/nowhere", "no folder of Asterisk modules"),
    ],
)
def test_render_refuses_to_start(tmp_path: Path, name: str, value: str | None, told: str) -> None:
    run = render(tmp_path, **{name: value})
    assert run.returncode == 1
    assert run.stdout == ""
    assert told in run.stderr
    assert value is None or len(value) < 16 or "0123456789abcdef" not in run.stderr


def test_render_takes_the_operators_own_files(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "pjsip.conf").write_text("; mine\n")
    (site / "musiconhold.conf").write_text("; mine too\n")
    assert render(tmp_path).returncode == 0
    assert (tmp_path / "etc/pjsip.conf").read_text() == "; mine\n"
    assert (tmp_path / "etc/musiconhold.conf").read_text() == "; mine too\n"


def test_render_fails_when_a_sample_lost_a_setting(tmp_path: Path) -> None:
    render(tmp_path)
    sample = tmp_path / "samples/ari.conf"
    script = ROOT / "dialplan/samples/render-config.sh"
    sample.write_text(sample.read_text().replace("password =", "passwort ="))
    env = environment("asterisk") | {
        "ASTERISK_MODULES": str(tmp_path / "modules"),
        "ASTERISK_STATE": str(tmp_path / "state"),
        "PATH": "/usr/bin:/bin",
    }
    run = subprocess.run([script, sample.parent, tmp_path / "etc"], capture_output=True, text=True, env=env)
    assert run.returncode == 1
    assert "ari.conf has no setting password in [binding_ivr]" in run.stderr
