"""Checking chains: each successor's first entry against the log before it, and `control` against both."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from auditd.errors import AuditdError, UnavailableError
from auditd.log.check import Finding, LogReport, unverified_leaves
from auditd.note import VerifierKey
from auditd.server._chain import Link, chain_of, chains_of, closure, own_name, place_of
from auditd.server._config import Config


class ChainChecks:
    """What the logs of a folder, whose keys are given by the names they were made with, say of those before them.

    Some may be missing: nothing is said then of the two beside each.
    """

    def __init__(self, config: Config, keys: Mapping[str, VerifierKey]) -> None:
        self._config = config
        self._keys = keys
        self._links: dict[str, Link] = {}
        self.findings: list[Finding] = []
        self.unread: list[str] = []
        for names in chains_of(keys).values():
            for before, after in pairwise(names):
                if place_of(after)[1] == place_of(before)[1] + 1:
                    self._read(before, after)

    def sizes(self, name: str) -> list[int]:
        """Return the sizes at which the root of a log must be known."""
        return [size for link in self._links_from(name) for size in (link.size, *(link.found or ())[:1])]

    def lost_to(self, name: str) -> int:
        """Return up to which entry those of a log are lost, as its successor says; 0 where none is."""
        return next((link.lost[1] for link in self._links_from(name) if link.lost), 0)

    def is_closed(self, name: str) -> bool:
        """Whether the successor of a log is there."""
        chain, number = place_of(name)
        return own_name(chain, number + 1) in self._keys

    def _links_from(self, name: str) -> list[Link]:
        return [link for link in self._links.values() if link.predecessor == self._keys[name].name]

    def compare(self, outcomes: Mapping[str, LogReport], closures: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Hold the links against the logs as checked, by name, and `closures`, which `control` has, by origin.

        Return what could not be excluded.
        """
        by_origin = {outcome.origin: outcome for outcome in outcomes.values()}
        unrecorded = []
        for after, link in self._links.items():
            before = by_origin[link.predecessor]
            if problem := _problem(link, before):
                self._found(after, f"goes on from {link.predecessor}, but {problem}")
            if link.lost:
                first, last = link.lost
                what = f"that the entries {first} to {last - 1} were as they are told: they are lost, as {after} says"
                unrecorded.append(f"log {before.name}: {what}")
            if chain_of(after) == "control":
                continue
            recorded = closures.get(link.predecessor)
            if recorded is None:
                what = f"that {link.predecessor} was closed for it at another size: control does not say so yet"
                unrecorded.append(f"log {after}: {what}")
            elif recorded != closure(link, self._keys[after]):
                self._found(after, f"does not say of {link.predecessor} what control has recorded of its end")
        for origin, recorded in closures.items():
            successor = recorded["successor"]["origin"]
            if successor not in by_origin:
                what = f"is missing; control says that it succeeded {origin}"
                self.findings.append(Finding("LOG_MISSING", f"log {successor}", what))
        return unrecorded

    def spoken_for(self, origins: set[str]) -> set[str]:
        """Return the origins of these logs, and of those before them: the first entry of each fixes the one before."""
        spoken = set(origins)
        for after, link in sorted(self._links.items(), key=lambda item: place_of(item[0]), reverse=True):
            if self._keys[after].name in spoken:
                spoken.add(link.predecessor)
        return spoken

    def _read(self, before: str, after: str) -> None:
        try:
            with unverified_leaves(self._config.log_folder(after)) as leaves:
                self._links[after] = Link.of(leaves(0, 1)[0], self._keys[before], self._keys[after])
        except UnavailableError as error:
            self.unread.append(f"how log {after} goes on from the one before is not known: {error.message}")
        except AuditdError as error:
            self._found(after, error.message)

    def _found(self, name: str, what: str) -> None:
        self.findings.append(Finding("CHAIN_BROKEN", f"log {name}, entry 0", what))


def _problem(link: Link, before: LogReport) -> str:
    """Say what is wrong with the log before as checked: its last good tree, or what was found behind that."""
    if before.knows(link.size) and (problem := link.difference(before.entries, before.roots.get(link.size))):
        return problem
    if link.found is None or not before.knows(link.found[0]):
        return ""
    size, root = link.found
    if before.entries < size:
        return f"{size} entries were found when it was closed, and it has {before.entries}"
    if before.roots.get(size) != root:
        return f"its first {size} entries are not those that were found when it was closed"
    return ""
