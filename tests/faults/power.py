"""The states in which a power cut may leave recorded files."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults.recording import Operation

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""


@dataclass
class File:
    """A file: what is surely on the disk, None where it is not there, and what may or may not have followed."""

    durable: bytes | None = None
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        self.durable = self.state(self.pending)
        self.pending = []

    def state(self, applied: Sequence[Operation]) -> bytes | None:
        """Return the content if exactly these of the pending operations reached the disk."""
        content = None if self.durable is None else bytearray(self.durable)
        for operation, _, at, data in applied:
            if operation == "delete":
                content = None
                continue
            content = bytearray() if content is None else content
            if operation == "truncate":
                del content[at:]
                continue
            content.extend(bytes(max(0, at - len(content))))
            content[at : at + len(data)] = data
        return None if content is None else bytes(content)

    def torn(self, choose: random.Random) -> bytes | None:
        """Return a state in which some operations were done, some not, some in part, whatever their order was."""
        applied = []
        for operation in self.pending:
            kind, name, at, data = operation
            luck = choose.random()
            if luck < 0.4:
                applied.append(operation)
            elif luck < 0.7 and kind == "write":
                applied += [(kind, name, *part) for part in _sectors(at, data) if choose.random() < 0.5]
        return self.state(applied)


def _sectors(at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split a write where the disk's sectors end."""
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR_BYTES - (at + start) % SECTOR_BYTES)
        yield at + start, data[start:end]
        start = end


def _is_derived(name: str) -> bool:
    return name.startswith(("index.db", "tiles.db"))


State = dict[str, bytes | None]


@dataclass
class Disk:
    """The files of one folder, as operations are played back, and what callers were told until then."""

    files: dict[str, File]
    told: list[str] = field(default_factory=list)

    def play(self, operation: Operation) -> None:
        kind, name, _, data = operation
        if kind == "told":
            self.told.append(data.decode())
            return
        file = self.files.setdefault(name, File())
        if kind == "sync":
            file.sync()
        else:
            file.pending.append(operation)

    def unsynced_lost(self) -> State:
        return {name: file.durable for name, file in self.files.items()}

    def all_stored(self) -> State:
        return {name: file.state(file.pending) for name, file in self.files.items()}

    def indexes_stored(self) -> State:
        """Of the evidence nothing unsynced is there, of the indexes everything: they may be ahead of it."""
        return {name: file.state(file.pending if _is_derived(name) else []) for name, file in self.files.items()}

    def indexes_lost(self) -> State:
        """Of the evidence everything is there, of the indexes nothing: not even what was synced."""
        return {name: None if _is_derived(name) else file.state(file.pending) for name, file in self.files.items()}

    def torn(self, choose: random.Random) -> State:
        return {name: file.torn(choose) for name, file in self.files.items()}
