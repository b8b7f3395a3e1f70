"""Whatever stands in a file: events, bad lines, or one error that names the file; never anything else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditd_client.importers import BadLine, Importer, ImportFileError, PlacedEvent, importer, parse_mapping
from auditd_client.importers._source import Source

SAMPLES = Path(__file__).parent / "samples"
IMPORTERS = {
    "csv": Importer(parse_mapping((SAMPLES / "door.toml").read_text()), "csv"),
    **{name: importer(name) for name in ("jsonl", "kubernetes", "github", "okta", "linux-audit", "syslog")},
}
FILES = {
    "csv": "door.csv",
    "jsonl": "events.jsonl",
    "kubernetes": "kubernetes-list.json",
    "github": "github.json",
    "okta": "okta.json",
    "linux-audit": "audit.log",
    "syslog": "syslog.log",
}
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def read(name, data):
    """What is found in a file; None where it is refused as a whole."""
    source = Source("f", io.BytesIO(data), lambda *_: None, is_live=False)
    found, is_refused = [], False
    try:
        for batch in IMPORTERS[name].read(source):
            found += batch
    except ImportFileError:
        is_refused = True
    for one in found:
        assert isinstance(one, BadLine | PlacedEvent)
        assert one.where.startswith("f:")
        if isinstance(one, PlacedEvent):
            assert one.event.id
            assert one.event.action
            assert one.event.HasField("time")
            one.event.SerializeToString()
    return None if is_refused else found


@pytest.mark.parametrize("name", FILES)
@quick
@given(data=st.data())
def test_damaged_samples_give_events_and_bad_lines(name, data):
    sample = bytearray((SAMPLES / FILES[name]).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(sample) - 1))
        length = data.draw(st.integers(0, 20))
        sample[at : at + length] = data.draw(
            st.binary(max_size=10) | st.sampled_from([b"\n", b'"', b"{", b"\xff", b"]"])
        )
    assert read(name, bytes(sample)) != []


@pytest.mark.parametrize("name", FILES)
@quick
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(name, data):
    read(name, data)


LINES = {
    "json depth": b'{"a":' + b"[" * 200_000,
    "json closed depth": b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "array depth": b"[" * 200_000,
    "syslog elements": b"<1>1 2026-11-20T10:00:00Z h a p m " + b'[a b="c"]' * 20_000,
    "syslog parameters": b"<1>1 2026-11-20T10:00:00Z h a p m [a" + b' b="\\\\"' * 100_000,
    "syslog open": b'<1>1 2026-11-20T10:00:00Z h a p m [a b="' + b"\\" * 200_001,
    "audit fields": b"type=SYSCALL msg=audit(1.000:1): " + b"a=b " * 100_000,
    "audit quotes": b"type=USER_LOGIN msg=audit(1.000:1): " + b"msg='a=\"" * 50_000,
    "audit pieces": b"type=EXECVE msg=audit(1.000:1): " + b"".join(b"a1[%d]=41 " % n for n in range(50_000)),
    "csv quotes": b'When\n"' * 5_000,
    "csv columns": b",".join(b"c%d" % n for n in range(50_000)) + b"\n" + b"," * 200_000,
    "numbers": b'{"time":' + b"9" * 500_000 + b"}",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_hostile_lines_cost_little(name, line):
    read(name, line)
    read(name, b"[" + line + b"]")


def test_a_thousand_interleaved_audit_events_are_held_and_no_more():
    lines = b"".join(b"type=SYSCALL msg=audit(1.000:%d): a=1\n" % number for number in range(5_000))
    found = read("linux-audit", lines)
    assert len(found) == 5_000
    endless = read("linux-audit", b"type=SYSCALL msg=audit(1.000:1): a=1\n" * 5_000)
    assert len(endless) == 5
