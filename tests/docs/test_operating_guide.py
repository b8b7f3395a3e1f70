"""The operating guide quotes what the server says, and names what it records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guides/operating.md").read_text(encoding="utf-8")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "auditd").rglob("*.py")))


def quoted_messages() -> list[str]:
    """Return the fixed parts of every message that the table of refusals quotes."""
    table = PAGE.split("## Refusals to start")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    parts = [part.strip(" :,") for message in messages for part in re.split(r"…|\b[N2]\b|\b1$", message)]
    return sorted({part for part in parts if " " in part})


@pytest.mark.parametrize("message", quoted_messages())
def test_a_quoted_message_is_what_the_server_says(message):
    assert message in SOURCE


def test_every_action_that_the_server_records_is_named():
    made = set(re.findall(r"by_server\(\s*\"([a-z_]+\.[a-z_]+)\"", SOURCE))
    made |= set(re.findall(r"caller, \"([a-z]+\.[a-z]+)\"", SOURCE))
    made |= set(re.findall(r"_record\(\"([a-z]+\.[a-z]+)\"", SOURCE))
    made |= set(re.findall(r"\"(clock\.[a-z]+)\"", SOURCE))
    made |= set(re.findall(r"\"(log\.(?:succeed|close))\"", SOURCE))
    reads = re.findall(r"_access\.(?:read|begin)\(\s*caller,\s*\"([a-z]+)\"", SOURCE)
    section = PAGE.split("## What the server records itself")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", section))
    assert made | {f"log.{read}" for read in reads} == named - {"auditd.toml"}
