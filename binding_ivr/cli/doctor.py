"""The command that looks at each part of an installation."""

import argparse
from dataclasses import asdict

from binding_ivr.cli import show
from binding_ivr.config import files_of, load
from binding_ivr.doctor.checks import Status
from binding_ivr.doctor.examination import examine
from binding_ivr.log import set_up

COLUMNS = ("status", "check", "detail")


async def doctor(options: argparse.Namespace) -> int:
    """doctor"""
    config = load(options.config)
    set_up("console", "critical")  # every fault is a line of the table
    checks = await examine(config, files_of(config, options.config))
    show.table([asdict(check) for check in checks], COLUMNS, as_json=options.json)
    return 1 if any(check.status is Status.FAIL for check in checks) else 0
