"""The metrics page names every metric with its labels, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from auditd.log._measures import WriterMeasures
from auditd.server._clock import ClockState
from auditd.server._damage import Damage
from auditd.server._http import MAX_CONNECTIONS, MAX_HEADER_BYTES, REQUEST_S
from auditd.server._last_check import LastCheck
from auditd.server._metrics import render
from auditd.server._snapshot import IndexStatus, LogStatus, MethodStatus, ServerStatus

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/metrics.md").read_text(encoding="utf-8")


def everything() -> ServerStatus:
    """Return a state in which every metric has a value."""
    times = WriterMeasures().store.read()
    indexes = {name: IndexStatus("CURRENT", 1, 0) for name in ("fields", "text", "times")}
    log = LogStatus("main", "a/main", 1, "", 0, 0, 1, 0, 1, 0, {"store": times}, indexes, {"index.db": 1})
    method = MethodStatus("Get", 1, 1, 0, 0, {("DATA_LOSS", "LEAF_DAMAGED"): 1}, {"work": times})
    damage = (Damage("main", 5, "LEAF_DAMAGED", "", 0),)
    check = LastCheck(0, True, 0, 1)
    clock = ClockState(True, 0, "")
    return ServerStatus("a", "1", 0, (log,), (method,), 0, 0, 1, 1, clock, check, damage, 1, ())


def test_every_metric_is_described_with_its_labels():
    made: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(render(everything()).decode()):
        if family.name.startswith("auditd_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            made[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    described = {
        name: set(re.findall(r"`(\w+)`", labels))
        for names, labels in re.findall(r"^\| (`auditd_.+?) \| (.*?) ?\| ", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert described == made


def test_the_limits_are_those_that_hold():
    assert f"at most {MAX_CONNECTIONS} connections" in PAGE
    assert f"at most {MAX_HEADER_BYTES // 1024} KiB" in PAGE
    assert f"within {REQUEST_S:.0f} seconds" in PAGE
