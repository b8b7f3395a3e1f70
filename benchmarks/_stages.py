"""What each stage of recording costs an event: the server's own functions, one at a time, on batches of 1,000."""

from __future__ import annotations

import gc
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import zstandard

from auditd._native import native
from auditd.entry import (
    EncodedBatch,
    EncodedEvent,
    EventBatch,
    KeyMaker,
    LeafTemplate,
    Limits,
    NativeBatch,
    encode_events,
    recorded_at_text,
    time_violations,
)
from auditd.log import Log, Recorded, TreeHead, create_key_file, load_signer
from auditd.log._frames import LEVEL, FrameCodec
from auditd.log._head import HeadFile
from auditd.log._proofs import Proofs
from auditd.log._store import Batch, EvidenceStore
from auditd.log._training import DICTIONARY_BYTES
from auditd.merkle import EMPTY_ROOT, Nodes, Tree, leaf_hashes
from auditd.note import Checkpoint, sign_note
from auditd.query._derived_file import create as create_index
from auditd.query._index_file import FORM
from auditd.query._index_file import write as write_index
from auditd.query._terms import caller_terms, terms_of
from auditd.server._append import AppendCall, _response
from auditd.server._judging import Unjudged
from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._events import Kind
from benchmarks._frames import EventMaker
from benchmarks._leaves import CALLER, ISSUER, ORIGIN, SUBJECT, make_entries

_BATCH = 1_000
_Buffer = bytes | bytearray | memoryview


class Stages:
    """Runs batches through every stage and keeps the shortest time of each, in seconds."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.best: dict[str, float] = {}
        self._kind = kind
        self._keys_of = KeyMaker(ISSUER, SUBJECT)
        self._template = LeafTemplate(ORIGIN)
        key = folder / "stages.pem"
        create_key_file(key)
        self._signer = load_signer(key, ORIGIN)
        Log.create(folder / "log", self._signer)
        self._store = EvidenceStore(folder / "log" / "evidence.db")
        self._head = HeadFile(folder / "log" / "head", self._signer.verifier_key)
        self._index = create_index(folder / "index.db", FORM)
        self._tree = Tree()
        self._nodes = Nodes(self._tree, self._store.tile)
        self._codec = FrameCodec([_dictionary(kind)])

    def close(self) -> None:
        """Close the files."""
        self._index.close()
        self._head.close()
        self._store.close()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - started
        self.best[stage] = min(elapsed_s, self.best.get(stage, elapsed_s))

    def run(self, batches: int) -> None:
        """Record that many batches."""
        maker = EventMaker(self._kind.templates, time.time_ns())
        requests = list(maker.requests(_BATCH, batches, proofs=True))
        gc.collect()
        gc.disable()  # the server collects seldom
        try:
            for request in requests:
                self._record(request)
        finally:
            gc.enable()

    def _record(self, data: bytes) -> None:
        events, keys = self._read(data)
        with self._timed("size and time limits"):
            self._template.check_sizes(CALLER, events.lengths())
            time_violations(events, Limits(), now_ns=time.time_ns(), may_import=False)
        with self._timed("look up names"):
            self._store.find(keys)
        size = self._tree.size
        with self._timed("splice leaves"):
            recorded_at = recorded_at_text(time.time_ns() // 1_000)
            salts = bytes(16 * len(events))
            leaves = events.leaves(range(len(events)), size, self._template, recorded_at, salts, CALLER)
        with self._timed("leaf hashes"):
            hashes = leaf_hashes(leaves)
        with self._timed("compress"):
            frames = self._codec.compress(leaves)
        with self._timed("tree"):
            tiles = self._tree.extend(hashes)
        with self._timed("insert and commit, durably"):
            self._store.append(Batch(size, keys, frames, tiles))
        self._tree.settle(self._tree.size)
        head = self._publish()
        self._receipts(hashes, size, head)
        self._fill_index(events, size)

    def _read(self, data: bytes) -> tuple[EventBatch, Sequence[bytes]]:
        if native is not None:
            with self._timed("parse, validate, encode, name (native)"):
                batch = native.read_append(data, ISSUER, SUBJECT, caller_terms({"sub": SUBJECT}), _BATCH)
                assert not isinstance(batch, int)
                return NativeBatch(batch), batch.keys()
        with self._timed("parse the request"):
            request = pb.AppendRequest.FromString(data)
        with self._timed("validate and encode"):
            events = encode_events(request.events)
        with self._timed("keys"):
            return EncodedBatch(events), [self._keys_of(event.id, event.time, event.time_ns) for event in events]

    def _publish(self) -> TreeHead:
        with self._timed("sign and write the head (a commit)"):
            checkpoint = Checkpoint(ORIGIN, self._tree.size, self._tree.root())
            note = sign_note(checkpoint.text(), [self._signer])
            self._head.write(note)
        return TreeHead(checkpoint.size, checkpoint.root, note)

    def _receipts(self, hashes: list[bytes], size: int, head: TreeHead) -> None:
        indexes = range(size, size + len(hashes))
        recorded = Recorded(indexes, [time.time_ns() // 1_000] * len(hashes), hashes, frozenset(), (), head)
        log = cast("Any", SimpleNamespace(proofs=Proofs(cast("Any", SimpleNamespace(nodes=self._nodes)))))
        for include_proofs, stage in ((True, "receipts with inclusion proofs"), (False, "receipts")):
            call = AppendCall("", False, include_proofs, None, Unjudged(()))
            with self._timed(stage):
                _run(_response(log, call, recorded))

    def _fill_index(self, events: EventBatch, size: int) -> None:
        caller = {"sub": SUBJECT}
        with self._timed("index terms"):
            rows = events.terms(range(len(events)))
            if rows is None:
                # Parsed from the event's JSON, as the index's own thread does it.
                rows = [terms_of({"event": event.fields, "caller": caller}) for event in _each(events)]
        with self._timed("index insert"):
            write_index(self._index, size, rows, EMPTY_ROOT)


def _each(events: EventBatch) -> list[EncodedEvent]:
    return [events[position] for position in range(len(events))]


def _run(coroutine: Coroutine[Any, Any, bytes]) -> bytes:
    """Run to the end what only ever lets others go first. An event loop would cost more than what is measured."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        response: bytes = end.value
        return response


def _dictionary(kind: Kind) -> bytes:
    leaves = make_entries(kind, 3_000).leaves
    return bytes(zstandard.train_dictionary(DICTIONARY_BYTES, list[_Buffer](leaves), level=LEVEL).as_bytes())


def stage_costs_us(kind: Kind, folder: Path, batches: int) -> dict[str, float]:
    """Return microseconds an event for each stage, and for what is done once a commit microseconds a commit."""
    with TemporaryDirectory(dir=folder) as scratch:
        stages = Stages(kind, Path(scratch))
        try:
            stages.run(batches)
        finally:
            stages.close()
    return {
        stage: 1e6 * seconds / (1 if stage.endswith("(a commit)") else _BATCH) for stage, seconds in stages.best.items()
    }
