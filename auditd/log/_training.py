"""Training a log's compression dictionary on its own leaves."""

from __future__ import annotations

import hashlib
import math
import os
import random
from collections.abc import Callable
from pathlib import Path

import zstandard

from auditd.log._frames import LEVEL, FrameCodec

DICTIONARY_BYTES = 64 * 1024
MIN_LEAVES = 2_000
SAMPLES = 4_000
HELD_OUT = 400
MIN_GAIN = 0.10
INTERVAL_S = 24 * 3_600

ReadLeaf = Callable[[int], bytes]


class DictionaryTrainer:
    """Trains when a log first holds 2,000 leaves, and then at most once a day.

    A new dictionary is taken only if it makes held-out leaves at least a tenth smaller than the current one does.
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

    def train_if_due(self, size: int, codec: FrameCodec, read_leaf: ReadLeaf) -> None:
        """Train and take a dictionary if it is time and it pays."""
        if size < MIN_LEAVES or self._monotonic() < self._next_at:
            return
        self._next_at = self._monotonic() + INTERVAL_S
        choice = random.SystemRandom().sample(range(size), min(size, SAMPLES + HELD_OUT))
        leaves = [read_leaf(index) for index in choice]
        held_out = leaves[: len(leaves) // 10]
        try:
            trained = zstandard.train_dictionary(DICTIONARY_BYTES, list(leaves[len(held_out) :]), level=LEVEL)
        except zstandard.ZstdError:
            return  # too alike or too few to learn from; the next day may bring better ones
        candidate = FrameCodec([trained.as_bytes()])
        if _size(candidate, held_out) > (1 - MIN_GAIN) * _size(codec.twin(), held_out):
            return
        self._take(trained.as_bytes())

    def _take(self, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{digest}.zstd-dictionary"
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._announce(digest)
        self._use(data)


def _size(codec: FrameCodec, leaves: list[bytes]) -> int:
    return sum(map(len, codec.compress(leaves)))
