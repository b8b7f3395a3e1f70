"""Partitions in the layout of Amazon Security Lake: `region=…/accountId=…/eventDay=YYYYMMDD`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from auditd_client._rows import row, unknown_column
from auditd_client.exports._ocsf import event_ms
from auditd_client.verify import Leaf

DEFAULT_REGION = "global"
DEFAULT_ACCOUNT = "external"
_COLUMN_MARK = "@"
_MAX_BYTES = 128
_PLAIN = re.compile(rb"[A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Partitions:
    """What the first two levels are called: text, or `@` and the column of an entry that says it.

    Raises ValueError for a column that does not exist, and for text that is empty or over 128 bytes.
    """

    region: str = DEFAULT_REGION
    account: str = DEFAULT_ACCOUNT

    def __post_init__(self) -> None:
        for name, value in (("region", self.region), ("account", self.account)):
            if value.startswith(_COLUMN_MARK):
                if problem := unknown_column([value[1:]]):
                    raise ValueError(f"{name}: {problem}")
            elif not 1 <= len(value.encode()) <= _MAX_BYTES:
                raise ValueError(f"{name}: {len(value.encode())} bytes, must be 1 to {_MAX_BYTES}")

    def folder(self, leaf: Leaf) -> str:
        """Return the folder of an entry: its day is that of the event in UTC, not that of its recording."""
        day = datetime.fromtimestamp(event_ms(leaf) // 1_000, UTC).strftime("%Y%m%d")
        region = _value(self.region, leaf, DEFAULT_REGION)
        account = _value(self.account, leaf, DEFAULT_ACCOUNT)
        return f"region={region}/accountId={account}/eventDay={day}"


def escaped(text: str) -> str:
    """Return text as part of a path: as Hive does, every other byte than letters, digits and `_.-` as `%XX`."""
    encoded = "".join(
        chr(byte) if _PLAIN.match(bytes((byte,))) else f"%{byte:02X}" for byte in text.encode("utf-8", "replace")
    )
    return encoded.replace(".", "%2E", 1) if encoded.startswith(".") else encoded


def _value(wanted: str, leaf: Leaf, default: str) -> str:
    if not wanted.startswith(_COLUMN_MARK):
        return escaped(wanted)
    found = row(leaf, [wanted[1:]])[0]
    text = "" if found is None else str(found)
    return escaped(text) if 1 <= len(text.encode("utf-8", "replace")) <= _MAX_BYTES else default
