"""Which tiles may hold what a search looks for."""

from __future__ import annotations

from auditd.filter import time_ns
from auditd.query._grams import BLOCK_ENTRIES, BLOCK_TILES
from auditd.query._narrow import Bounds, Narrowing
from auditd.query._text_need import TextNeed
from auditd.query._tiles_file import ALL_TILES, TilesSnapshot

_FIRST_NS, _LAST_NS = 0, 2**63 - 1


class ChosenTiles:
    """Tells tile by tile, looking at a block of sixteen when its first tile is asked for.

    Raises:
        IndexUnusableError: the file cannot be read; so does every method.

    """

    def __init__(self, snapshot: TilesSnapshot, narrowing: Narrowing) -> None:
        self._snapshot = snapshot
        self._text: TextNeed | None = narrowing.text
        self._times = times_within(narrowing.event_time) if narrowing.event_time.limits_time else None
        self._blocks: dict[int, int] = {}

    def may_hold(self, tile: int) -> bool:
        """Whether a tile may hold an entry that is selected."""
        block, number = divmod(tile, BLOCK_TILES)
        tiles = self._blocks.get(block)
        if tiles is None:
            tiles = self._blocks[block] = self._look(block)
        return bool(tiles >> number & 1)

    def _look(self, block: int) -> int:
        tiles = ALL_TILES
        if self._text is not None and (block + 1) * BLOCK_ENTRIES <= self._snapshot.text_size:
            tiles = self._snapshot.tiles_with(block, self._text)
        if tiles and self._times is not None:
            first, last = self._times
            start = block * BLOCK_TILES
            end = max(start, min(start + BLOCK_TILES, self._snapshot.size // (BLOCK_ENTRIES // BLOCK_TILES)))
            for tile, earliest, latest in self._snapshot.spans(start, end):
                if latest < first or earliest > last:
                    tiles &= ~(1 << (tile - start))
        return tiles


def times_within(bounds: Bounds) -> tuple[int, int]:
    """Return the first and the last time within bounds, in nanoseconds since 1970, as tiles have them."""
    first = time_ns(bounds.earliest) if bounds.earliest[:1].isdigit() else _FIRST_NS
    last = time_ns(bounds.latest) if bounds.latest[:1].isdigit() else _LAST_NS
    # Times beyond what 63 bits hold are kept as the nearest one that they do.
    return min(max(first, _FIRST_NS), _LAST_NS), min(max(last, _FIRST_NS), _LAST_NS)
