"""The dialplan and the samples on the newest Asterisk and on the oldest that the lab can get: not one complaint.

Files that are added to dialplan/ are covered by themselves: they are included as an operator would.
"""

import re
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from binding_ivr.lab import Lab
from binding_ivr.resources import data_dir
from tests.e2e.hotswitch.scene import CELL, CUSTOMER, Scene, trust
from tests.e2e.rig import no_channels, phones_of

SUITES = {"newest": "", "bullseye": "bullseye"}
NOT_THERE = {"newest": set(), "bullseye": {"STIR_SHAKEN"}}
"""What the dialplan can use and this version does not have; the dialplan asks before it does."""
RELOADS = ("dialplan reload", "module reload features", "module reload res_pjsip.so", "manager reload", "core reload")
FREEPBX = {
    "globals_custom": ("extensions.conf", "globals"),
    "features_general_custom": ("features.conf", "general"),
    "features_featuremap_custom": ("features.conf", "featuremap"),
    "features_applicationmap_custom": ("features.conf", "applicationmap"),
    "extensions_custom": ("extensions.conf", ""),
    "extensions_override_freepbx": ("extensions.conf", ""),
    "pjsip_custom": ("pjsip.conf", ""),
    "pjsip.endpoint_custom_post": ("pjsip.conf", ""),
    "manager_custom": ("manager.conf", ""),
    "queues_custom": ("queues.conf", ""),
    "ari_additional_custom": ("ari.conf", ""),
}
"""Where FreePBX includes the files that are the operator's own: file and section (none: at the end)."""
PLAIN_EXTENSIONS = """\
[general]
static = yes
writeprotect = yes
[globals]
BINDING_AGI = 127.0.0.1:4573
[from-internal]
exten => _X.,1,Hangup()
[from-trunk]
exten => _X.,1,Hangup()
"""


@pytest.fixture(scope="module", params=SUITES)
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    async with Lab(suite=SUITES[request.param]) as running:
        yield running


@pytest.fixture
def version(lab: Lab) -> str:
    return "bullseye" if lab.pbx.version.startswith("16.") else "newest"


def dialplans(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.conf") if "exten =>" in path.read_text())


def contexts(paths: Iterable[Path]) -> list[str]:
    found = [name for path in paths for name in re.findall(r"^\[([a-z0-9-]+)\]", path.read_text(), re.MULTILINE)]
    return [name for name in found if name not in {"general", "globals"}]


async def reload(lab: Lab) -> list[str]:
    """Reload everything and return what is complained about."""
    mark = lab.pbx.mark()
    for command in RELOADS:
        await lab.pbx.rx(command)
    return lab.pbx.complaints(mark)


def include(path: Path, name: str, section: str) -> None:
    """Include the file *name* in *path*: in a section, or at the end."""
    text = path.read_text()
    line = f'#include "{name}"\n'
    if section:
        assert f"[{section}]\n" in text, f"{path.name} has no section {section}"
        text = text.replace(f"[{section}]\n", f"[{section}]\n{line}", 1)
    else:
        text += "\n" + line
    path.write_text(text)


async def shown(lab: Lab, names: Iterable[str]) -> None:
    missing = [name for name in names if "There is no existence of" in await lab.pbx.rx(f"dialplan show {name}")]
    assert missing == []


async def test_the_samples_boot_and_reload(lab: Lab, version: str) -> None:
    assert lab.pbx.version.split(".")[0] == {"newest": lab.carrier.version.split(".")[0], "bullseye": "16"}[version]
    assert lab.pbx.complaints() == []
    assert await reload(lab) == []
    folder = data_dir("dialplan")
    etc = lab.pbx.folder / "etc"
    included = set(re.findall(r'^#include "([^"]+)"', (etc / "extensions.conf").read_text(), re.MULTILINE))
    for path in sorted(folder.glob("*.conf")):
        if path.name not in included:
            include(etc / "extensions.conf", path.name, "")
    assert await reload(lab) == []
    await shown(lab, contexts([*folder.glob("*.conf"), *(folder / "samples").glob("extensions*.conf")]))
    print(f"\nAsterisk {lab.pbx.version}: samples and {len(list(folder.glob('*.conf')))} dialplan files, no complaint")


async def test_a_call_moves_both_ways(lab: Lab) -> None:
    await trust(lab, "1001", CELL)
    mark = lab.pbx.mark()
    async with phones_of(lab) as take:
        scene = Scene(lab, await take("1001"), await take(CELL), await take(CUSTOMER))
        await scene.received()
        await scene.to_cell()
        await scene.cell.press("*77")
        await scene.moves(scene.cell, scene.desk)
        await scene.customer.hangup()
        await scene.desk.idle()
    await no_channels(lab)
    assert lab.pbx.complaints(mark) == []
    print(f"\nAsterisk {lab.pbx.version}: {'; '.join(scene.gaps)}")


async def test_what_operators_of_freepbx_include(lab: Lab) -> None:
    folder = data_dir("dialplan")
    own = sorted((folder / "freepbx").glob("*.conf"))
    unknown = [path.name for path in own if path.stem not in FREEPBX]
    assert unknown == [], "say in FREEPBX where FreePBX includes these"
    etc = lab.pbx.folder / "etc"
    saved = {path: path.read_text() for path in etc.glob("*.conf")}
    (etc / "extensions.conf").write_text(PLAIN_EXTENSIONS)
    (etc / "ari.conf").write_text("[general]\nenabled = yes\n")  # the samples have the user under the same name
    try:
        for path in own:
            shutil.copyfile(path, etc / path.name)
            include(etc / FREEPBX[path.stem][0], path.name, FREEPBX[path.stem][1])
        assert await reload(lab) == []
        await shown(lab, contexts(path for path in own if FREEPBX[path.stem] == ("extensions.conf", "")))
    finally:
        for path, text in saved.items():
            path.write_text(text)
        assert await reload(lab) == []


async def test_every_application_and_function_is_there(lab: Lab, version: str) -> None:
    applications = set(re.findall(r"^\s*(\w+): ", await lab.pbx.rx("core show applications"), re.MULTILINE))
    functions = set(re.findall(r"^(\w+)\s", await lab.pbx.rx("core show functions"), re.MULTILINE))
    assert len(applications) > 30
    assert len(functions) > 50
    text = "\n".join(
        line.partition(" ;")[0]
        for path in dialplans(data_dir("dialplan"))
        for line in path.read_text().splitlines()
        if re.match(r"\s*(exten|same)\s*=>", line)
    )
    used = set(re.findall(r"=>\s*[^,]*,(?:[^,()]*(?:\(\w+\))?,)?(\w+)\(", text))
    asked = set(re.findall(r"\$\{([A-Z][A-Z0-9_]+)\(", text)) | set(re.findall(r"\bSet\(([A-Z][A-Z0-9_]+)\(", text))
    assert len(used) > 10
    assert len(asked) > 10
    lower = {name.lower() for name in applications}
    missing = {name for name in used if name.lower() not in lower} | (asked - functions)
    assert missing - NOT_THERE[version] == set()
