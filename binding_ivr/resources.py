"""Finds the files that travel with the package: `sql/` and `dialplan/`. It does not read them."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: Literal["sql", "dialplan"]) -> Path:
    """Return the folder *name*: inside the installed wheel, else next to the package in a checkout.

    Raises FileNotFoundError when the installation lacks it.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the installation lacks its {name}/ folder; reinstall the package binding-ivr")
