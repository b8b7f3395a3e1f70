"""The hot paths of appends and of reading many leaves in native code.

Each function says which Python one it stands in for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

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

def are_attributes(text: str) -> bool:
    """Tell whether `auditd.entry.encode_attributes` takes a text. Raises UnicodeEncodeError for lone surrogates."""

def read_append(request: bytes, issuer: str, subject: str, caller_terms: str, max_events: int) -> AppendBatch | int:
    """Read and encode an append request (`auditd.entry.encode_events`).

    Where Python must judge it, this returns how many of the first events are well-formed all the same.
    """

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

def entry_fields(number: int, entries: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the bytes of a repeated field of a message: an `auditd.v1.Entry` for each (index, leaf)."""

def sign_leaves(leaves: Iterable[bytes], searched_text: Callable[[bytes], bytes]) -> tuple[int, bytes]:
    """Return the signature of the leaves of a block (`auditd.query._grams.sign_leaves`)."""

def make_run(rows: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Return the blocks of a run of entries (`auditd.query._runs.make_run`); UnicodeEncodeError for surrogates."""

def merge_runs(runs: Sequence[tuple[int, Sequence[bytes]]]) -> list[tuple[bytes, bytes]]:
    """Return the blocks of a run that consists of others (`auditd.query._runs.merge_runs`)."""

def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    """Return the hash of each leaf (`auditd.merkle.leaf_hash`)."""

def parent_row(row: bytes | bytearray) -> bytes:
    """Return the concatenated parents of a row of concatenated hashes (`auditd.merkle`)."""

class Dictionaries:
    """The dictionaries of a log (`auditd.log._frames.FrameCodec`). Raises ValueError for one that is not trained."""

    def __init__(self, dictionaries: Sequence[bytes]) -> None: ...

class Sieve:
    """A filter over the bytes of leaves, made of what `auditd.filter._sieve.program` returns."""

    def __init__(self, program: tuple[Any, ...]) -> None: ...
    def judge(self, leaf: bytes) -> bool | None:
        """Tell whether the filter selects a leaf (`compile_predicate`); None for what Python must judge."""

def read_leaves(frames: Sequence[bytes], dictionaries: Dictionaries, hashes: bytes) -> list[bytes] | None:
    """Return leaves verified (`auditd.log._leaves.read_leaves`); None for what Python must judge."""

def sift_leaves(
    frames: Sequence[bytes], dictionaries: Dictionaries, hashes: bytes, sieve: Sieve, first: int
) -> list[tuple[int, bytes, bool]] | None:
    """Return what passes a sieve, verified (`auditd.log._leaves.sift_leaves`); None for what Python must judge."""

def check_leaves(
    rows: Sequence[tuple[int, bytes, bytes]], head: bytes, dictionaries: Dictionaries
) -> tuple[bytes, list[int], list[tuple[int, str]], list[tuple[int, bool, bytes]]]:
    """Check what is stored of entries, (index, key, frame) each (`auditd.log.check._leaves`).

    Return the hashes of the leaves, concatenated; the positions of rows that Python must judge, whose hash is zero;
    from where on leaves say another time of recording; where one names a credential, or (True) a certificate, for the
    first time. `head` is what the log's leaves begin with, up to their index.
    """
