"""What an index and a search need of a log."""

from __future__ import annotations

from typing import Protocol

from auditd.filter import Sieve


class Source(Protocol):
    """One append-only log, as its readers see it. Every member may be used from any thread."""

    @property
    def name(self) -> str:
        """The log's name on this server."""

    @property
    def origin(self) -> str:
        """The log's globally unique name."""

    @property
    def size(self) -> int:
        """Number of committed entries. It never falls."""

    def root_at(self, size: int) -> bytes:
        """Return the root hash of the first `size` entries; 32 bytes.

        Raises:
            DamagedError: the evidence contradicts itself.
            UnavailableError: it cannot be read now.

        """

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Return the leaves `[start, end)`, where `0 <= start <= end <= size`.

        Each MUST have been compared with the tree before it is returned.

        Raises:
            DamagedError: a leaf is not the one in the tree.
            UnavailableError: it cannot be read now.

        """

    def sift(self, start: int, end: int, sieve: Sieve) -> list[tuple[int, bytes, bool]]:
        """Return the entries of `[start, end)` that a sieve does not exclude.

        As (index, leaf, whether the filter certainly selects it); read, compared and raising as `leaves` are.
        """
