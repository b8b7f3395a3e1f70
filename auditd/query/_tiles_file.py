"""The file of what is known of tiles, 256 entries each: event times, and which text cannot be in them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import cast

import apsw

from auditd.query._derived_file import Form, record_covered
from auditd.query._grams import BLOCK_TILES, MAX_BITS, MIN_BITS, SPREAD_BITS, TILE_ENTRIES, spread_of
from auditd.query._readers import IndexUnusableError, Snapshot

# Any change of tables, grams or hashes is another version: the file is then built anew.
VERSION = 2
ALL_TILES = (1 << BLOCK_TILES) - 1
MAX_TIME_NS = 2**63 - 1
_CHUNK_PLACES = 1_024  # with two bytes a place a row fits a page
_CHUNKS = (1 << MAX_BITS) // _CHUNK_PLACES

_PLACE_BYTES = 2
_FAR = 3
_PLACE_OF_GRAM = f"(:spread >> ({SPREAD_BITS} - bits))"
_TILES_WITH = f"""
SELECT block, bits, substr(places, {_PLACE_BYTES} * ({_PLACE_OF_GRAM} % {_CHUNK_PLACES}) + 1, {_PLACE_BYTES})
FROM texts JOIN places ON id = block * {_CHUNKS} + {_PLACE_OF_GRAM} / {_CHUNK_PLACES}
WHERE block >= :first AND block < :end
"""  # noqa: S608
_WITHIN = "SELECT tile, earliest, latest FROM tiles WHERE tile >= ? AND tile < ? AND latest >= ? AND earliest <= ?"
_LATEST_FIRST = _WITHIN + " ORDER BY latest DESC"
_EARLIEST_FIRST = _WITHIN + " ORDER BY earliest"

FORM = Form(
    """
    CREATE TABLE tiles(tile INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL) STRICT;
    CREATE TABLE times(tile INTEGER PRIMARY KEY, times BLOB NOT NULL) STRICT;
    CREATE TABLE texts(block INTEGER PRIMARY KEY, bits INTEGER NOT NULL) STRICT;
    CREATE TABLE places(id INTEGER PRIMARY KEY, places BLOB NOT NULL) STRICT;
    """,
    VERSION,
    "SELECT (SELECT max(tile) FROM tiles), (SELECT max(tile) FROM times), (SELECT max(id) FROM places)",
)


def text_blocks(connection: apsw.Connection) -> int:
    """Return how many blocks, from the first on, have signatures."""
    return cast("int", connection.execute("SELECT coalesce(max(block) + 1, 0) FROM texts").get)


def write_times(connection: apsw.Connection, tile: int, times: Sequence[Sequence[int]], root: bytes) -> None:
    """Add the event times, in nanoseconds, of the tiles from `tile` on, and record what is then covered."""
    with connection:
        for number, of_tile in enumerate(times, tile):
            connection.execute("INSERT INTO tiles VALUES (?, ?, ?)", (number, min(of_tile), max(of_tile)))
            connection.execute("INSERT INTO times VALUES (?, ?)", (number, packed_times(of_tile)))
        record_covered(connection, (tile + len(times)) * TILE_ENTRIES, root)


def write_text(connection: apsw.Connection, block: int, bits: int, places: bytes) -> None:
    """Add the signature of a block, which must be the next one."""
    length = 2 * _CHUNK_PLACES
    with connection:
        connection.execute("INSERT INTO texts VALUES (?, ?)", (block, bits))
        for chunk in range(len(places) // length):
            row = block * _CHUNKS + chunk, places[chunk * length : (chunk + 1) * length]
            connection.execute("INSERT INTO places VALUES (?, ?)", row)


def stored_text(connection: apsw.Connection, block: int) -> tuple[int, bytes] | None:
    """Return the signature of a block as `sign_leaves` gives it; None where it has none yet."""
    row = connection.execute("SELECT bits FROM texts WHERE block = ?", (block,)).fetchone()
    if row is None:
        return None
    sql = "SELECT places FROM places WHERE id >= ? AND id < ? ORDER BY id"
    rows = connection.execute(sql, (block * _CHUNKS, (block + 1) * _CHUNKS))
    return cast("int", row[0]), b"".join(cast("bytes", places) for (places,) in rows)


def packed_times(times: Sequence[int]) -> bytes:
    """Return event times as they are stored."""
    packed = array("q", times)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


class TilesSnapshot(Snapshot):
    """What is known of tiles, as one reader sees it."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self.text_size = min(self._integer("SELECT coalesce(max(block) + 1, 0) FROM texts"), 2**40) * (
            BLOCK_TILES * TILE_ENTRIES
        )

    def within(
        self, tiles: tuple[int, int], times: tuple[int, int], *, latest_first: bool
    ) -> Generator[tuple[int, int, int]]:
        """Yield (tile, earliest, latest event time in nanoseconds) of tiles that reach into a span of time.

        Args:
            tiles: the first that is considered, and the one behind the last.
            times: the first and the last time, in nanoseconds.
            latest_first: whether they come by their latest time, the latest first, or by their earliest one.

        """
        # SQLite passes over thousands of tiles in the time in which a few hundred would become rows of Python.
        first, end = tiles
        known = self._integer("SELECT count(*) FROM tiles WHERE tile >= ? AND tile < ?", tiles)
        if known != max(0, end - first):
            raise IndexUnusableError(f"{known} tiles in [{first}, {end})")
        with closing(self._connection.cursor()) as cursor:
            try:
                yield from cursor.execute(_LATEST_FIRST if latest_first else _EARLIEST_FIRST, (*tiles, *times))
            except apsw.Error as error:
                raise IndexUnusableError(str(error)) from error

    def times(self, tile: int) -> Sequence[int]:
        """Return the event times of a tile's entries, in nanoseconds."""
        rows = self._rows("SELECT times FROM times WHERE tile = ?", (tile,))
        times = array("q")
        if len(rows) != 1 or len(cast("bytes", rows[0][0])) != TILE_ENTRIES * times.itemsize:
            raise IndexUnusableError(f"no times of tile {tile}")
        times.frombytes(cast("bytes", rows[0][0]))
        if sys.byteorder == "big":
            times.byteswap()
        return times

    def tiles_with(self, gram: bytes, among: Mapping[int, int]) -> dict[int, int]:
        """Return the tiles that may hold a gram, of those given: for each block a bit for each of its tiles.

        Blocks of which no tile remains are left out; all that are given MUST have signatures.
        """
        spread, first, end = spread_of(gram), min(among), max(among) + 1
        # The first few grams of a word rule out most blocks; those that remain, far apart, are read one by one.
        ranges = [(first, end)] if len(among) * _FAR >= end - first else [(block, block + 1) for block in among]
        remaining: dict[int, int] = {}
        known = 0
        for low, high in ranges:
            for block, bits, places in self._rows(_TILES_WITH, {"spread": spread, "first": low, "end": high}):
                if type(bits) is not int or not MIN_BITS <= bits <= MAX_BITS:
                    raise IndexUnusableError(f"a signature of {bits} bits")
                if type(places) is not bytes or len(places) != _PLACE_BYTES:
                    raise IndexUnusableError(f"no signature of block {block}")
                known += block in among
                tiles = among.get(cast("int", block), 0) & int.from_bytes(places, "little")
                if tiles:
                    remaining[cast("int", block)] = tiles
        if known != len(among):
            raise IndexUnusableError(f"{known} signatures of {len(among)} blocks")
        return remaining

    def _integer(self, sql: str, values: tuple[int, ...] = ()) -> int:
        rows = self._rows(sql, values)
        if len(rows) != 1 or not isinstance(rows[0][0], int):
            raise IndexUnusableError("a number is missing")
        return rows[0][0]
