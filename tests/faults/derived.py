"""What is derived from the evidence after a fault: indexes that may be lost, older, ahead or torn; and dictionaries."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from auditd.filter import parse
from auditd.log import Log, LogSettings, LogSigner
from auditd.merkle import TILE_WIDTH
from auditd.query import Index, Order, Search, Tiles


def hold_searches(folder: Path, signer: LogSigner, ids: Sequence[str]) -> None:
    """Search by whatever indexes lie there: answers are exact while these are built anew, and once they are."""
    log = Log(folder.name, folder, signer, LogSettings(clock=time.time_ns))
    indexes = Index(folder / "index.db", log, retry_s=0.02), Tiles(folder / "tiles.db", log, retry_s=0.02)
    try:
        _hold(Search(log, *indexes), ids)
        covered = log.size, log.size - log.size % TILE_WIDTH
        assert all(index.wait_covered(size, 30) for index, size in zip(indexes, covered, strict=True))
        _hold(Search(log, *indexes), ids)
    finally:
        for index in indexes:
            index.close()
        log.close()


def _hold(search: Search, ids: Sequence[str]) -> None:
    for text, expected in (
        ('action = "user.login"', list(range(len(ids)))),
        (f'id = "{ids[-1]}"', [len(ids) - 1]),
        ('id = "fill0-7"', [7]),
        ('"fill0-24"', [number for number, name in enumerate(ids) if "fill0-24" in name]),
        ('action = "user.log*" AND id = "nobody"', []),
    ):
        tree_size = len(ids)
        page = search.page(parse(text), order=Order.OLDEST_FIRST, page_size=1_000, tree_size=tree_size)
        assert [index for index, _ in page.entries] == expected, text


def hold_dictionaries(folder: Path, announced: Collection[str]) -> int:
    """Every dictionary of the evidence was announced before it; return how many there are."""
    with closing(sqlite3.connect(folder / "evidence.db")) as db:
        used = {hashlib.sha256(data).hexdigest() for (data,) in db.execute("SELECT dictionary FROM dictionaries")}
    assert used <= set(announced), "a dictionary was used before it was announced"
    return len(used)
