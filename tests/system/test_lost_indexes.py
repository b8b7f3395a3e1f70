"""The indexes of a server that was stopped can be lost, spoilt, old, or ahead of the evidence.

Searches are exact from the first one on, and the indexes are whole again soon after.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path

import apsw
import pytest

from auditd._native import available
from auditd.log import checksum_vfs
from auditd_client import AdminClient
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import Server

HALF = 8_192
HUNDRED_THOUSAND = 102_400
MILLION = 1_024_000
BLOCK = 4_096
"""Text is indexed by blocks of so many entries, each once it is whole; times by 256."""
START_NS = 1_790_000_000_000_000_000
NAMES = ("index.db", "tiles.db")
PAGE = 50
REBUILT_S = 30.0
A_SECOND = 5_000
"""Entries that are indexed in a second at the very least, where others compete for the processor."""
MEMORY_BYTES = 300_000_000
ORDERS = (pb.ORDER_NEWEST_FIRST, pb.ORDER_LATEST_EVENT_FIRST)
"""The same here: event times rise as indexes do."""


def request(first: int, count: int) -> pb.AppendRequest:
    made = pb.AppendRequest()
    for number in range(first, first + count):
        event = made.events.add(id=identifier(number), action="user.login" if number % 3 else "record.read")
        event.outcome = "SUCCESS" if number % 10 else "FAILURE"
        event.actor.id = f"user{number % 1_000}"
        event.time.FromNanoseconds(START_NS + number * 1_000_000)
        if number % 5_000 == 7:
            event.attributes_json = f'{{"note":"a needle in stack {number}"}}'
    return made


def identifier(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def questions(size: int) -> dict[str, Callable[[int], bool]]:
    """Return filters for every kind of index, and for what only the first or last entries hold, with their sense."""
    late = (size - 300) // 1_000
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START_NS // 10**9 + late))
    needle = (size // 5_000 - 1) * 5_000 + 7
    return {
        f'id = "{identifier(size // 3)}" OR id = "{identifier(size - 5)}"': lambda n: n in (size // 3, size - 5),
        'actor.id = "user7" AND action = record.read': lambda n: n % 1_000 == 7 and n % 3 == 0,
        "outcome = FAILURE AND action = user.login": lambda n: n % 10 == 0 and n % 3 != 0,
        f'"needle in stack {needle}"': lambda n: n == needle,
        f'time >= "{since}" AND action = user.login': lambda n: n >= late * 1_000 and n % 3 != 0,
    }


class Caller:
    """An administrator."""

    def __init__(self, server: Server) -> None:
        self._address, self._token, self._stub = server.address, server.token("admin"), server.stub()
        self._metadata = (("authorization", f"Bearer {self._token}"),)

    def append(self, start: int, end: int) -> None:
        for first in range(start, end, 1_000):
            self._stub.Append(request(first, min(1_000, end - first)), metadata=self._metadata, timeout=60)

    def found(self, text: str, order: int) -> list[int]:
        """Return the indexes of the first entries that a filter finds."""
        indexes: list[int] = []
        asked = pb.QueryRequest(filter=text, order=order, page_size=PAGE)
        while len(indexes) < PAGE:
            page = self._query(asked)
            indexes += [entry.index for entry in page.entries]
            asked.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return indexes[:PAGE]

    def examined(self, text: str) -> int:
        """Return how many entries were read to find the one that a filter is for."""
        asked = pb.QueryRequest(filter=text, order=pb.ORDER_NEWEST_FIRST, page_size=PAGE, explain=True)
        page = self._query(asked)
        assert len(page.entries) == 1
        return page.explanation.examined

    def _query(self, asked: pb.QueryRequest) -> pb.QueryResponse:
        return self._stub.Query(asked, metadata=self._metadata, timeout=60)

    def log(self) -> pb.LogStatus:
        with AdminClient(self._address, self._token) as admin:
            return next(log for log in admin.status().logs if log.name == "main")

    def lag(self) -> int:
        """How many entries the index that is furthest behind does not cover, of those that it could."""
        log = self.log()
        behind = [log.tree_size - log.index_covered, log.tree_size // 256 * 256 - log.time_index_covered]
        if available():
            behind.append(log.tree_size // BLOCK * BLOCK - log.text_index_covered)
        return max(behind)

    def await_whole(self, timeout_s: float = REBUILT_S) -> None:
        until = time.monotonic() + timeout_s
        while lag := self.lag():
            assert time.monotonic() < until, f"still {lag} entries behind"


class Stopped:
    """One log in two folders: as it was early on, and whole. Tests change nothing but its indexes."""

    def __init__(self, folder: Path, early: int, whole: int) -> None:
        self.whole = Server.make(folder / "whole")
        self.early = Server(folder / "early", self.whole.vkeys)
        self._size = {self.early.folder: early, self.whole.folder: whole}

    def fill(self) -> None:
        early, whole = self._size.values()
        self._append(0, early)
        shutil.copytree(self.whole.folder, self.early.folder)
        self._append(early, whole)

    def _append(self, start: int, end: int) -> None:
        self.whole.start()
        caller = Caller(self.whole)
        caller.append(start, end)
        caller.await_whole(REBUILT_S + (end - start) / A_SECOND)
        self.whole.stop()

    def close(self) -> None:
        self.whole.stop()
        self.early.stop()

    def require_exact(self, server: Server) -> None:
        """Ask everything, and hold the answers against what was recorded."""
        caller = Caller(server)
        size = self._size[server.folder]
        for text, is_meant in questions(size).items():
            expected = list(islice(filter(is_meant, reversed(range(size))), PAGE))
            for order in ORDERS:
                assert caller.found(text, order) == expected, text

    def require_whole(self, server: Server) -> None:
        """Wait until the indexes cover everything, and narrow what is asked."""
        caller = Caller(server)
        size = self._size[server.folder]
        caller.await_whole(REBUILT_S + size / A_SECOND)
        self.require_exact(server)
        for text in names_of(size // 2):
            assert caller.examined(text) < size // 10 or not available()

    def require_used(self, server: Server, covered: int) -> None:
        """Wait until searches of entries that old indexes cover read little but what these do not cover."""
        caller = Caller(server)
        uncovered = self._size[server.folder] - covered
        until = time.monotonic() + REBUILT_S
        for text in names_of(covered // 2) if available() else names_of(covered // 2)[:1]:
            # One that cannot be written is let go now and then, and opened again.
            while not uncovered <= caller.examined(text) < uncovered + covered // 2:
                assert time.monotonic() < until, f"{text}: everything is read"


def names_of(number: int) -> list[str]:
    """Return a filter that the index of fields narrows to one entry, and one that the index of text does."""
    return [f'id = "{identifier(number)}"', f'"{identifier(number)}"']


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    with closing(Stopped(tmp_path_factory.mktemp("lost"), HALF, 2 * HALF)) as made:
        made.fill()
        yield made


def indexes(server: Server) -> list[Path]:
    return [server.folder / "logs" / "main" / name for name in NAMES]


def change(path: Path, sql: str) -> None:
    # By the VFS that keeps the checksums of pages, or it would be those that do not fit.
    with closing(apsw.Connection(str(path), vfs=checksum_vfs())) as db:
        db.execute(sql)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // 4_096 * 4_096)


def put_old_ones(stopped: Stopped) -> None:
    """Put the indexes back that were there early on; those are left alone until now."""
    for old, new in zip(indexes(stopped.early), indexes(stopped.whole), strict=True):
        shutil.copy(old, new)


@contextmanager
def held_back(server: Server) -> Iterator[None]:
    """Let nobody write the indexes."""
    with ExitStack() as opened:
        for path in indexes(server):
            db = opened.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
            db.execute("BEGIN IMMEDIATE")
        yield


def test_old_ones_that_cannot_be_written_are_used_as_far_as_they_go(stopped):
    put_old_ones(stopped)
    with held_back(stopped.whole):
        stopped.whole.start()
        stopped.require_used(stopped.whole, HALF)
        stopped.require_exact(stopped.whole)
        assert Caller(stopped.whole).lag() >= HALF
    stopped.require_whole(stopped.whole)
    stopped.whole.stop()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="deleted"),
        pytest.param(cut, id="cut"),
        pytest.param(lambda path: path.write_bytes(b"no database at all" * 1_000), id="no database"),
        pytest.param(lambda path: change(path, "PRAGMA user_version = 1"), id="older version"),
    ],
)
def test_spoilt_ones_are_built_anew_while_searches_are_exact(stopped, spoil):
    for path in indexes(stopped.whole):
        spoil(path)
    stopped.whole.start()
    stopped.require_exact(stopped.whole)
    stopped.require_whole(stopped.whole)
    stopped.whole.stop()


def test_those_of_a_longer_log_are_built_anew(stopped):
    for newer, old in zip(indexes(stopped.whole), indexes(stopped.early), strict=True):
        shutil.copy(newer, old)
    stopped.early.start()
    stopped.require_exact(stopped.early)
    stopped.require_whole(stopped.early)
    stopped.early.stop()


@pytest.mark.soak
def test_an_index_of_text_that_is_cut_off_is_built_anew_for_a_hundred_thousand_entries(tmp_path):
    with closing(Stopped(tmp_path, HALF, HUNDRED_THOUSAND)) as stopped:
        stopped.fill()
        _, tiles = indexes(stopped.whole)
        cut(tiles)
        stopped.whole.start()
        stopped.require_exact(stopped.whole)
        stopped.require_whole(stopped.whole)
        # Under a server that has read some of it, too: it notices once it reads what is gone, or when it starts again.
        cut(tiles)
        caller = Caller(stopped.whole)
        for number in range(5_007, HUNDRED_THOUSAND, 5_000):
            assert caller.found(f'"needle in stack {number}"', pb.ORDER_NEWEST_FIRST) == [number]
        stopped.require_exact(stopped.whole)
        assert stopped.whole.stop() == 0
        stopped.whole.start()
        stopped.require_exact(stopped.whole)
        stopped.require_whole(stopped.whole)
        assert stopped.whole.stop() == 0
        assert stopped.whole.check("--indexes").returncode == 0


@pytest.mark.soak
def test_ones_behind_by_a_million_catch_up_in_bounded_memory(tmp_path):
    with closing(Stopped(tmp_path, HALF, HALF + MILLION)) as stopped:
        stopped.fill()
        put_old_ones(stopped)
        stopped.whole.start()
        assert Caller(stopped.whole).lag() > MILLION * 0.9
        stopped.require_exact(stopped.whole)
        stopped.require_whole(stopped.whole)
        assert stopped.whole.memory_kb("VmHWM") * 1_024 < MEMORY_BYTES
