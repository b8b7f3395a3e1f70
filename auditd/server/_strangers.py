"""Refusals of peers that could not say who they are, told apart as far as a flood of them allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_APART = 32
MAX_NAMES = 16
_ANY = "any address"


@dataclass(slots=True)
class _Names:
    """Different names, the first sixteen of them by name and the rest by number of times."""

    names: dict[str, None] = field(default_factory=dict)
    others: int = 0

    def add(self, name: str) -> None:
        """Take one in; an empty one is none."""
        if not name or name in self.names:
            return
        if len(self.names) < MAX_NAMES:
            self.names[name] = None
        else:
            self.others += 1


@dataclass(slots=True)
class Strangers:
    """Refusals that are counted together: those of one address for one reason, or of any address for it."""

    together: bool
    addresses: _Names = field(default_factory=_Names)
    subjects: _Names = field(default_factory=_Names)
    methods: _Names = field(default_factory=_Names)

    def add(self, address: str, subject: str, method: str) -> None:
        """Take in one more refusal; `subject` is what its token claims, unverified."""
        self.addresses.add(address)
        self.subjects.add(subject)
        self.methods.add(method)

    def totals(self) -> dict[str, Any]:
        """Return what the entry that counts them says of whom they came from."""
        totals: dict[str, Any] = {"methods": list(self.methods.names)}
        if self.subjects.names:
            totals["claimed_subjects"] = list(self.subjects.names)
        if self.subjects.others:
            totals["more_claimed_subjects"] = self.subjects.others
        if self.together:
            totals |= {"addresses": list(self.addresses.names), "more_addresses": self.addresses.others}
        return totals


class StrangersByKey:
    """Finds what a refusal is counted with. At most 32 addresses and reasons are kept apart at a time.

    So that many addresses fill the log no faster than few. Belongs to the event loop's thread.
    """

    def __init__(self) -> None:
        self._by_key: dict[tuple[object, ...], Strangers] = {}

    def find(self, address: str, reason: str) -> tuple[tuple[object, ...], Strangers]:
        """Return the key to count by, and what is counted by it."""
        key: tuple[object, ...] = (address, reason)
        if key not in self._by_key and len(self._by_key) >= MAX_APART:
            key = (_ANY, reason)
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = Strangers(together=key[0] == _ANY)
        return key, found

    def end(self, key: tuple[object, ...]) -> None:
        """Forget what was counted by a key, if anything was."""
        self._by_key.pop(key, None)
