"""The hot path of appends in native code. Each function says which Python one it stands in for."""

from collections.abc import Callable, Mapping, Sequence

LIMITS: Mapping[str, int]
"""The limits of an event that the code holds, by their names in `auditd.entry._limits`."""

class AppendBatch:
    """A well-formed append request; see `auditd.entry.NativeBatch`."""

    log: str
    return_leaves: bool
    include_proofs: bool
    known_size: int | None
    event_bytes: int
    time_range_ns: tuple[int, int]

    def __len__(self) -> int: ...
    def lengths(self) -> list[int]: ...
    def keys(self) -> list[bytes]: ...
    actor_tokens: list[tuple[int, str]]
    def event(self, position: int) -> tuple[bytes, int, int, bytes]: ...
    def acts(self) -> list[tuple[str, bytes, bytes, int, int, list[int]]]: ...
    def with_actors(self, edits: Sequence[tuple[list[int], bytes, bytes, str]]) -> AppendBatch: ...
    def terms(self, positions: tuple[int, int] | list[int]) -> list[str]: ...
    def leaves(
        self,
        positions: tuple[int, int] | list[int],
        index: int,
        parts: tuple[bytes, bytes, bytes],
        salts: bytes,
    ) -> list[bytes]: ...

def encode_append(request: bytes, issuer: str, subject: str, caller_terms: str, max_events: int) -> AppendBatch | None:
    """Read and encode an append request (`auditd.entry.encode_events`); None for what Python must judge."""

def append_response(
    checkpoint: str,
    consistency: Sequence[bytes],
    first_index: int,
    recorded_at_us: int,
    leaf_hashes: Sequence[bytes],
    leaves: Sequence[bytes] | None = None,
    paths: Sequence[bytes] | None = None,
) -> bytes:
    """Return the bytes of an `auditd.v1.AppendResponse` to events that were all new."""

def sign_leaves(leaves: Sequence[bytes], searched_text: Callable[[bytes], bytes]) -> tuple[int, bytes]:
    """Return the signature of the leaves of a block (`auditd.query._grams.sign_leaves`)."""

def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    """Return the hash of each leaf (`auditd.merkle.leaf_hash`)."""

def parent_row(row: bytes | bytearray) -> bytes:
    """Return the concatenated parents of a row of concatenated hashes (`auditd.merkle`)."""
