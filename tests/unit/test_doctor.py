"""Lines of doctor that need no part to be there."""

import msgspec
import pytest

from binding_ivr.config import Config
from binding_ivr.doctor.checks import Status
from binding_ivr.doctor.examination import _metrics


@pytest.mark.parametrize(
    ("section", "status", "words"),
    [
        ({}, Status.OK, "http://127.0.0.1:9473/metrics"),
        ({"port": 0}, Status.OK, "service.ready"),
        ({"bind": ""}, Status.OK, "switched off"),
        ({"on_web": True}, Status.WARN, "everybody who reaches the page"),
    ],
)
def test_where_metrics_are(section: dict[str, object], status: Status, words: str) -> None:
    [line] = _metrics(msgspec.convert({"metrics": section}, Config))
    assert (line.check, line.status) == ("metrics", status)
    assert words in line.detail
