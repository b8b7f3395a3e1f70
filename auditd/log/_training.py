"""Training a log's compression dictionary on its own leaves."""

from __future__ import annotations

import hashlib
import math
import os
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import zstandard

from auditd.log._durable import sync
from auditd.log._frames import LEVEL, FrameCodec

FIRST_BYTES = 16 * 1024
FIRST_LEAVES = 200
FIRST_SAMPLES = 400
FIRST_SAMPLE_BYTES = 1024 * 1024
"""Enough to learn what leaves have in common, within some 40 ms."""

DICTIONARY_BYTES = 64 * 1024
MIN_LEAVES = 2_000
SAMPLES = 3_600
SAMPLE_BYTES = 8 * 1024 * 1024
HELD_OUT = 400
RECENT_LEAVES = 5_000
"""Half the samples, and those that judge, are of so many newest leaves: they are most like those to come."""
MIN_GAIN = 0.10
INTERVAL_S = 24 * 3_600

ReadLeaf = Callable[[int], bytes]


class DictionaryTrainer:
    """Trains in the commit that brings a log to 200 leaves, again at 2,000, and then at most once a day.

    A new dictionary is taken only if it makes newest leaves, held out, at least a tenth smaller than the current one.
    `announce(sha256)` MUST return only after the dictionary's hash is durable in the `control` log; the dictionary
    itself is put as a file in `folder` before `use` is called. `monotonic` returns seconds.
    """

    def __init__(
        self,
        folder: Path,
        announce: Callable[[str], None],
        use: Callable[[bytes], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._announce = announce
        self._use = use
        self._monotonic = monotonic
        self._next_at = -math.inf
        self._first_tried = False

    def first(self, leaves: Sequence[bytes], size: int, codec: FrameCodec, read_leaf: ReadLeaf) -> bytes | None:
        """Return a first dictionary, announced and kept, for a log that has none and now gets its 200th leaf.

        `leaves` are those about to be recorded, the last of `size`. Until a log has a dictionary they take some four
        times the room, and what is recorded stays as it is, so the writer waits for this one.
        """
        if codec.dictionary_id or self._first_tried or size < FIRST_LEAVES:
            return None
        self._first_tried = True
        before = size - len(leaves)
        choice = random.SystemRandom().sample(range(size), min(size, FIRST_SAMPLES))
        samples = (leaves[index - before] if index >= before else read_leaf(index) for index in choice)
        return self._trained(FIRST_BYTES, _within(FIRST_SAMPLE_BYTES, samples), codec)

    def train_if_due(self, size: int, codec: FrameCodec, read_leaf: ReadLeaf) -> None:
        """Train and take a dictionary if it is time and it pays."""
        if size < MIN_LEAVES or self._monotonic() < self._next_at:
            return
        self._next_at = self._monotonic() + INTERVAL_S
        data = self._trained(DICTIONARY_BYTES, _within(SAMPLE_BYTES, map(read_leaf, _choice(size))), codec)
        if data is not None:
            self._use(data)

    def _trained(self, length: int, leaves: list[bytes], codec: FrameCodec) -> bytes | None:
        """Return a dictionary that these leaves teach, announced and kept; None if it would not pay."""
        held_out = leaves[: len(leaves) // 10]
        try:
            data = zstandard.train_dictionary(length, list(leaves[len(held_out) :]), level=LEVEL).as_bytes()
        except zstandard.ZstdError:
            return None  # too alike or too few to learn from; the next day may bring better ones
        if _size(FrameCodec([data]), held_out) > (1 - MIN_GAIN) * _size(codec.twin(), held_out):
            return None
        self._keep(data)
        return data

    def _keep(self, data: bytes) -> None:
        """Put the dictionary where it is, name and all, whatever comes: evidence that uses it without is damaged."""
        digest = hashlib.sha256(data).hexdigest()
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{digest}.zstd-dictionary"
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync(self._folder)
        sync(self._folder.parent)
        self._announce(digest)


def _choice(size: int) -> list[int]:
    """Choose which leaves to learn from, at first those that judge: of a log whose events changed, old ones say little.

    All are chosen at random, so that no caller decides alone what is learnt.
    """
    pick = random.SystemRandom().sample
    recent = range(max(size - RECENT_LEAVES, 0), size)
    newer = pick(recent, min(len(recent), HELD_OUT + SAMPLES // 2))
    judges = set(newer[:HELD_OUT])
    older = [index for index in pick(range(size), min(size, SAMPLES // 2)) if index not in judges]
    # In turn, because of large ones only the first are read.
    both = chain.from_iterable(zip_longest(newer[HELD_OUT:], older))
    return [*newer[:HELD_OUT], *dict.fromkeys(index for index in both if index is not None)]


def _within(max_bytes: int, leaves: Iterable[bytes]) -> list[bytes]:
    """Return the first leaves, as many as do not pass `max_bytes`: of the largest, few say as much."""
    taken: list[bytes] = []
    for leaf in leaves:
        max_bytes -= len(leaf)
        if max_bytes < 0:
            break
        taken.append(leaf)
    return taken


def _size(codec: FrameCodec, leaves: list[bytes]) -> int:
    return sum(map(len, codec.compress(leaves)))
