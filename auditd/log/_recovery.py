"""What happens before a log signs anything: the evidence on disk must extend what was signed (promise 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditd.entry import parse_leaf, parse_time
from auditd.errors import DamagedError, FolderError
from auditd.log._closing import how_to_succeed
from auditd.log._edge import tree_at
from auditd.log._frames import FrameCodec
from auditd.log._head import HeadFile
from auditd.log._keys import verify_ed25519
from auditd.log._leaves import require_leaf
from auditd.log._store import EvidenceStore, StoredCheckpoint
from auditd.log._submission import Told, TreeHead
from auditd.merkle import EMPTY_ROOT, Nodes, Tree, root_at
from auditd.note import Checkpoint, NoteError, VerifierKey, open_note


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the writer works on; `recorded_at_us` is the time of the newest entry in microseconds, UTC."""

    codec: FrameCodec
    tree: Tree
    nodes: Nodes
    recorded_at_us: int


def recover(store: EvidenceStore, key: VerifierKey, head: HeadFile, told: Sequence[Told] = ()) -> Recovered:
    """Rebuild the tree's edge from the evidence and hold it against every signed claim at hand, and what others `told`.

    Reads the ragged edge alone: at most 255 leaves and 255 tiles a level, whatever the size. Raises FolderError
    where the evidence is another log's, has lost its `head` or ends before it, DamagedError where it contradicts
    a signed root.
    """
    state = _rebuild(store, key)
    signed = head.read()
    if signed is None:
        raise _head_missing(key, state.nodes.size)
    _require_extends(state.nodes, signed[1], "its head")
    stored = store.newest_checkpoint()
    if stored is not None:
        _require_extends(state.nodes, _open_stored(stored, key), "its newest stored checkpoint")
    for known in told:
        _require_extends(state.nodes, Checkpoint(key.name, known.size, known.root), f"log {known.by}")
    return state


def recover_unsigned(
    store: EvidenceStore, key: VerifierKey, head: HeadFile, told: Sequence[Told] = ()
) -> tuple[Recovered, TreeHead, TreeHead]:
    """Do what `recover` does for a log that signs nothing more; its evidence may end before what was signed.

    Return also the largest tree signed for that the evidence has, and the largest signed for at all. What lies between
    the first and the end of the evidence nobody vouches for.
    """
    state = _rebuild(store, key)
    signed = [TreeHead(checkpoint.size, checkpoint.root, note) for note, checkpoint in head.read_all()]
    if not signed:
        raise _head_missing(key, state.nodes.size)
    rows = (store.newest_checkpoint(), store.newest_checkpoint(state.nodes.size))
    signed += [TreeHead(row.size, _open_stored(row, key).root, row.note) for row in rows if row is not None]
    signed += [TreeHead(known.size, known.root, "") for known in told]
    held = [known for known in signed if known.size <= state.nodes.size]
    for known in held:
        _require_extends(state.nodes, Checkpoint(key.name, known.size, known.root), "a checkpoint at hand")
    shown = max(held, key=lambda known: known.size, default=TreeHead(0, EMPTY_ROOT, ""))
    return state, shown, max(signed, key=lambda known: known.size)


def _rebuild(store: EvidenceStore, key: VerifierKey) -> Recovered:
    _require_identity(store, key)
    codec = FrameCodec(data for _, data in store.dictionaries())
    tree = tree_at(store, codec, store.size())
    nodes = Nodes(tree, store.tile)
    return Recovered(codec, tree, nodes, _newest_recorded_at(store, codec, nodes))


def _head_missing(key: VerifierKey, size: int) -> FolderError:
    return FolderError(
        "HEAD_MISSING",
        f"log {key.name} has {size} entries and no valid head, so nothing says that they are all;"
        " put its file 'head' back",
        {"origin": key.name, "size": str(size)},
    )


def _open_stored(stored: StoredCheckpoint, key: VerifierKey) -> Checkpoint:
    cause: NoteError | None = None
    try:
        checkpoint = Checkpoint.parse(open_note(stored.note, [key], verify_ed25519).text)
        if (checkpoint.origin, checkpoint.size) == (key.name, stored.size):
            return checkpoint
        why = f"its note is of {checkpoint.origin} at size {checkpoint.size}"
    except NoteError as error:
        why, cause = error.message, error
    raise DamagedError(
        "CHECKPOINT_DAMAGED",
        f"log {key.name}: its newest stored checkpoint, of size {stored.size}, is damaged: {why}; run 'auditlog check'",
        {"size": str(stored.size)},
    ) from cause


def _require_identity(store: EvidenceStore, key: VerifierKey) -> None:
    origin, verifier_key = store.identity()
    if (origin, verifier_key) != (key.name, str(key)):
        raise FolderError(
            "WRONG_KEY",
            f"{store.path} belongs to {verifier_key}, but the key at hand is {key};"
            " put the right key back, or the origin in auditd.toml",
        )


def _require_extends(nodes: Nodes, checkpoint: Checkpoint, what: str) -> None:
    if checkpoint.size > nodes.size:
        raise FolderError(
            "EVIDENCE_BEHIND",
            f"log {checkpoint.origin}: {what} says {checkpoint.size} entries were signed for, the evidence ends"
            f" after {nodes.size}: entries {nodes.size} to {checkpoint.size - 1} are missing. An older copy, or a"
            " damaged write-ahead log; put the newest evidence.db and evidence.db-wal back."
            f" {how_to_succeed(checkpoint.origin.rpartition('/')[2])}",
            {"origin": checkpoint.origin, "signed_size": str(checkpoint.size), "size": str(nodes.size)},
        )
    actual = root_at(checkpoint.size, nodes)
    if actual != checkpoint.root:
        raise DamagedError(
            "EVIDENCE_CONTRADICTS_HEAD",
            f"log {checkpoint.origin}: the first {checkpoint.size} entries are not those that {what} was signed for:"
            f" root {actual.hex()}, signed {checkpoint.root.hex()}; run 'auditlog check' to see where",
            {"size": str(checkpoint.size), "expected": checkpoint.root.hex(), "actual": actual.hex()},
        )


def _newest_recorded_at(store: EvidenceStore, codec: FrameCodec, nodes: Nodes) -> int:
    if nodes.size == 0:
        return 0
    newest = nodes.size - 1
    leaf = codec.decompress(store.frames(newest, newest + 1)[0], newest)
    require_leaf(leaf, newest, nodes.leaf_hash_at(newest))
    return parse_time(parse_leaf(leaf)["recorded_at"]) // 1_000
