"""Which tiles may hold what a search looks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditd.filter import time_ns
from auditd.query._grams import BLOCK_ENTRIES, BLOCK_TILES, TILE_ENTRIES
from auditd.query._narrow import Bounds, Narrowing
from auditd.query._text_need import TextNeed, tiles_of
from auditd.query._tiles_file import ALL_TILES, TilesSnapshot

_MOST_AHEAD = 64
_FIRST_NS, _LAST_NS = 0, 2**63 - 1


class ChosenTiles:
    """Tells tile by tile, looking at blocks of sixteen before they are asked for: the more, the more it has looked at.

    Args:
        snapshot: what is known of tiles.
        narrowing: what selected entries fulfil.
        newest_first: whether the tiles before one that is asked for are likely to be asked for next, or those after it.

    Raises:
        IndexUnusableError: the file cannot be read; so does every method.

    """

    def __init__(self, snapshot: TilesSnapshot, narrowing: Narrowing, *, newest_first: bool) -> None:
        self._snapshot = snapshot
        self._newest_first = newest_first
        self._text: TextNeed | None = narrowing.text
        self._signed = snapshot.text_size // BLOCK_ENTRIES
        self._times = times_within(narrowing.event_time) if narrowing.event_time.limits_time else None
        self._blocks: dict[int, int] = {}

    def may_hold(self, tile: int) -> bool:
        """Whether a tile may hold an entry that is selected."""
        block, number = divmod(tile, BLOCK_TILES)
        return bool(self._tiles(block) >> number & 1)

    def block_may_hold(self, block: int) -> bool:
        """Whether any tile of a block may hold an entry that is selected."""
        return bool(self._tiles(block))

    def _tiles(self, block: int) -> int:
        if block not in self._blocks:
            self._look(block)
        return self._blocks[block]

    def _look(self, block: int) -> None:
        """Look at a block and at those that are likely to be asked for next."""
        ahead = min(len(self._blocks) + 1, _MOST_AHEAD)
        start, end = (block - ahead + 1, block + 1) if self._newest_first else (block, block + ahead)
        unknown = [number for number in range(max(0, start), end) if number not in self._blocks]
        chosen = self._with_text(dict.fromkeys(unknown, ALL_TILES))
        in_time = self._with_times(unknown)
        for number in unknown:
            self._blocks[number] = chosen.get(number, 0) & in_time.get(number, ALL_TILES)

    def _with_text(self, among: dict[int, int]) -> Mapping[int, int]:
        signed = {block: tiles for block, tiles in among.items() if block < self._signed}
        if self._text is None or not signed:
            return among
        return {**among, **dict.fromkeys(signed, 0), **tiles_of(self._text, signed, self._snapshot.tiles_with)}

    def _with_times(self, blocks: Sequence[int]) -> Mapping[int, int]:
        """Return the tiles of blocks whose entries may be within the times; those of which nothing is known among them.

        Empty if any time will do.
        """
        if self._times is None or not blocks:
            return {}
        known = self._snapshot.size // TILE_ENTRIES
        start, end = min(min(blocks) * BLOCK_TILES, known), min((max(blocks) + 1) * BLOCK_TILES, known)
        found = {block: ALL_TILES & -1 << min(max(known - block * BLOCK_TILES, 0), BLOCK_TILES) for block in blocks}
        for tile, _, _ in self._snapshot.within((start, end), self._times, latest_first=self._newest_first):
            block, number = divmod(tile, BLOCK_TILES)
            if block in found:
                found[block] |= 1 << number
        return found


def times_within(bounds: Bounds) -> tuple[int, int]:
    """Return the first and the last time within bounds, in nanoseconds since 1970, as tiles have them."""
    first = time_ns(bounds.earliest) if bounds.earliest[:1].isdigit() else _FIRST_NS
    last = time_ns(bounds.latest) if bounds.latest[:1].isdigit() else _LAST_NS
    # Times beyond what 63 bits hold are kept as the nearest one that they do.
    return min(max(first, _FIRST_NS), _LAST_NS), min(max(last, _FIRST_NS), _LAST_NS)
