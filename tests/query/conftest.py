"""A log in memory, and the events of a small organisation to fill it with."""

import hashlib
import json
import random
import threading

import pytest

from auditd.errors import DamagedError
from auditd.query import Index, Tiles

SEALED = {"sealed": "9f86d081884c7d659a2feaa0c55ad015" * 2}
ACTORS = [
    "alice",
    "Alice",
    "alina",
    "bob",
    "x" * 60,
    "x" * 60 + "y",
    "new\nline",
    "\nfirst",
    "nul\x00nul",
    'quo"te',
    "ap'os",
]
ACTORS += ["*", "Zoë", "ﬁ", "a b", "(a)", "", SEALED]
ADDRESSES = [
    "203.0.113.9",
    "203.0.113.77",
    "203.0.114.1",
    "10.0.0.1",
    "2001:db8::1",
    "2001:0DB8::1",
    "::ffff:10.0.0.1",
]


class _Members(dict):
    """An entry's members, as an index is offered them."""

    def __call__(self):
        return self


class MemoryLog:
    """A log whose leaves lie in a list; `damaged` names leaves that are no longer those of the tree."""

    name = "main"
    origin = "audit.example.com/main"

    def __init__(self):
        self._leaves = []
        self._roots = [hashlib.sha256(b"").digest()]
        self.damaged = set()
        self.damage_met = threading.Event()
        self.reads = []

    @property
    def size(self):
        return len(self._leaves)

    def root_at(self, size):
        return self._roots[size]

    def leaves(self, start, end):
        assert 0 <= start <= end <= self.size
        self.reads.append((start, end))
        if self.damaged & set(range(start, end)):
            self.damage_met.set()
            raise DamagedError("LEAF_DIFFERS", f"leaves {start} to {end}")
        return self._leaves[start:end]

    def sift(self, start, end, sieve):
        judged = [(index, leaf, sieve.judge(leaf)) for index, leaf in enumerate(self.leaves(start, end), start)]
        return [(index, leaf, bool(selected)) for index, leaf, selected in judged if selected is not False]

    def append(self, *events, caller=None, recorded_at=None):
        """Append events; return the index of the first, and the entries as `Index.offer` takes them."""
        first = self.size
        entries = [{"caller": caller or {"kind": "token", "sub": "svc"}, "event": event} for event in events]
        for index, entry in enumerate(entries, first):
            time = recorded_at or f"2026-11-24T{index // 3600:02}:{index // 60 % 60:02}:{index % 60:02}.500Z"
            head = {"v": 1, "log": self.origin, "index": index, "recorded_at": time, "salt": "s"}
            leaf = json.dumps(head | entry, ensure_ascii=index % 2 == 0, separators=(",", ":")).encode()
            # In this order: the index's thread asks for the root of whatever size it sees.
            self._roots.append(hashlib.sha256(self._roots[-1] + leaf).digest())
            self._leaves.append(leaf)
        return first, [_Members(entry) for entry in entries]

    def view(self, size):
        """Return this log as it was when it held `size` entries."""
        view = MemoryLog()
        view._leaves, view._roots = self._leaves[:size], self._roots[: size + 1]
        return view


def make_event(choose, number):
    """Return an event whose values `choose(options)` picks."""
    return {
        "id": f"01936f5e-{number:08x}",
        "time": f"2026-11-24T00:{choose(range(60)):02}:00Z",
        "tenant": choose(["acme", "umbrella"]),
        "action": choose(["user.login", "user.logout", "record.read", "Record.Read"]),
        "outcome": choose(["SUCCESS", "SUCCESS", "FAILURE", "DENIED"]),
        "actor": choose(
            [
                {"type": "user", "id": choose(ACTORS), "roles": choose([[], ["admin"], ["ops", "admin"], SEALED])},
                {"type": "service", "id": choose(ACTORS), "session_id": choose(["s-1", "s-2\x01tail", "s"])},
                SEALED,
            ]
        ),
        "resources": [
            {"type": choose(["account", "test"]), "id": str(choose(range(5)))} for _ in choose([(), (1,), (1, 2)])
        ],
        "origin": {
            "ip": choose(ADDRESSES),
            "traceparent": choose(["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-x"]),
        },
        "attributes": {"amount": choose([1, 2.5, 10**18 + 1, None]), "note": choose(["quick", 'a"b', "\u017f", "K"])},
    }


@pytest.fixture(name="make_event", scope="session")
def make_event_fixture():
    return make_event


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture(scope="session")
def new_log():
    return MemoryLog


@pytest.fixture(scope="session")
def busy_log():
    """600 entries of many kinds, each value often."""
    log = MemoryLog()
    source = random.Random(1)
    log.append(*(make_event(source.choice, number) for number in range(600)))
    return log


@pytest.fixture(scope="session")
def long_log():
    """1,000 entries of many kinds, the only one of its action, and 1,000 more; to be viewed, not appended to."""
    log = MemoryLog()
    choose = random.Random(9).choice
    log.append(*(make_event(choose, number) for number in range(1000)))
    log.append({"id": "needle", "action": "rare", "attributes": {}})
    log.append(*(make_event(choose, number) for number in range(1001, 2001)))
    return log


@pytest.fixture
def open_index(tmp_path):
    """Open an index, by default of `tmp_path`, that has caught up with its log; it is closed at the end."""
    opened = []

    def open_(log, path=tmp_path / "index.db", **options):
        index = Index(path, log, **options)
        opened.append(index)
        assert index.wait_covered(log.size, 30)
        return index

    yield open_
    for index in opened:
        index.close()


@pytest.fixture
def open_tiles(tmp_path):
    """Open what is known of a log's tiles, once it has caught up; it is closed at the end."""
    opened = []

    def open_(log, path=tmp_path / "tiles.db", **options):
        tiles = Tiles(path, log, **options)
        opened.append(tiles)
        assert tiles.wait_covered(log.size // 256 * 256, 30)
        assert tiles.wait_text_covered(log.size // 4096 * 4096 if options.get("text", True) else 0, 30)
        return tiles

    yield open_
    for tiles in opened:
        tiles.close()
