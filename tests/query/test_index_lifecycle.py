"""An index can be lost, damaged, late or of another log at any time, and no search is the worse for it."""

import random
import threading
from contextlib import contextmanager

import apsw
import pytest

import auditd.query._index as index_module
from auditd.errors import DamagedError
from auditd.filter import parse
from auditd.query import Index, Order, Search, Tiles
from auditd.query._readers import IndexUnusableError

FILTER = parse("actor.id = alice AND outcome = DENIED")


@pytest.fixture
def filled(long_log):
    return long_log.view(2000)


def find(log, index, tree=FILTER, **options):
    return Search(log, index).page(tree, order=Order.OLDEST_FIRST, page_size=1000, tree_size=log.size, **options)


def expected(log, tree=FILTER):
    return find(log, None, tree).entries


def narrows(log, index):
    """Tell whether a search reads what the index names, and finds all of it."""
    page = find(log, index)
    assert page.entries == expected(log)
    return 0 < page.examined < log.size // 2


def change(path, sql):
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def overwrite(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def test_an_index_is_kept_from_one_process_to_the_next(filled, open_index):
    open_index(filled).close()
    filled.reads.clear()
    index = open_index(filled)
    assert filled.reads == []
    assert narrows(filled, index)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"no database at all" * 1000), id="no database"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:5000]), id="cut"),
        pytest.param(lambda path: overwrite(path, 4096, bytes(4096)), id="a page of zeros"),
        pytest.param(lambda path: change(path, "PRAGMA user_version = 999"), id="another version"),
        pytest.param(lambda path: change(path, "DROP TABLE blocks"), id="without its terms"),
        pytest.param(lambda path: change(path, "DELETE FROM covered"), id="without its record"),
        pytest.param(lambda path: change(path, "INSERT INTO covered VALUES (1, x'')"), id="with two records"),
        pytest.param(lambda path: change(path, "UPDATE covered SET size = 2001"), id="ahead of the log"),
        pytest.param(lambda path: change(path, "UPDATE covered SET root = x'00'"), id="of another tree"),
        pytest.param(lambda path: change(path, "UPDATE covered SET size = -1"), id="of a negative size"),
    ],
)
def test_an_unfit_index_is_built_anew(filled, open_index, tmp_path, spoil):
    open_index(filled).close()
    spoil(tmp_path / "index.db")
    filled.reads.clear()
    index = open_index(filled)
    assert sum(end - start for start, end in filled.reads) == 2000
    assert narrows(filled, index)
    assert index.lag == 0


def test_an_index_waits_for_room_on_the_disk_and_searches_do_without(filled, tmp_path):
    room = threading.Event()
    asked = threading.Event()

    def has_room() -> bool:
        asked.set()
        return room.is_set()

    kinds = Index, Tiles
    made = [kind(tmp_path / kind.__name__, filled, room=has_room, retry_s=0.01) for kind in kinds]
    try:
        assert asked.wait(30)
        assert find(filled, made[0]).entries == expected(filled)
        assert [one.covered for one in made] == [0, 0]
        room.set()
        assert all(one.wait_covered(1_792, 30) for one in made)
    finally:
        for one in made:
            one.close()


def test_an_index_of_a_longer_log_is_built_anew(filled, open_index):
    open_index(filled).close()
    shorter = filled.view(1500)
    assert narrows(shorter, open_index(shorter))


def test_an_index_that_is_behind_catches_up(filled, open_index):
    open_index(filled.view(700)).close()
    index = open_index(filled)
    assert filled.reads[0][0] == 700
    assert narrows(filled, index)


def test_damage_that_shows_while_searching_costs_no_result_and_is_repaired(filled, open_index, tmp_path):
    open_index(filled).close()
    path = tmp_path / "index.db"
    connection = apsw.Connection(str(path))
    # Only the blocks are spoilt, so the file still opens.
    connection.execute("UPDATE blocks SET block = zeroblob(length(block))")
    connection.close()
    index = Index(path, filled)
    try:
        assert find(filled, index).entries == expected(filled)
        assert index.wait_covered(filled.size, 30)
        for _ in range(2):
            assert find(filled, index).entries == expected(filled)
            with index._condition:
                assert index._condition.wait_for(lambda: index._usable and index._covered == 2000, 30)
        assert narrows(filled, index)
    finally:
        index.close()


@pytest.mark.parametrize("seed", range(6))
def test_damage_to_the_blocks_never_breaks_a_search(filled, open_index, tmp_path, seed):
    open_index(filled).close()
    path = tmp_path / "index.db"
    choose = random.Random(seed)
    connection = apsw.Connection(str(path))
    for row, block in connection.execute("SELECT id, block FROM blocks").fetchall():
        spoilt = bytearray(block)
        for _ in range(len(block) // 50):
            spoilt[choose.randrange(len(block))] = choose.randrange(256)
        connection.execute("UPDATE blocks SET block = ? WHERE id = ?", (bytes(spoilt), row))
    connection.close()
    index = Index(path, filled)
    for order in (Order.NEWEST_FIRST, Order.OLDEST_FIRST):
        for text in ["actor.id = alice", 'actor.id = "a*"', "outcome = DENIED AND NOT tenant = acme"]:
            tree = parse(text)
            page = Search(filled, index).page(tree, order=order, page_size=1000, tree_size=2000)
            assert len(set(page.entries)) == len(page.entries)
            assert set(page.entries) <= set(expected(filled, tree))
    index.close()


def test_a_file_deleted_under_a_running_index_is_built_anew(filled, open_index, tmp_path):
    index = open_index(filled)
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    assert find(filled, index).entries == expected(filled)
    with index._condition:
        assert index._condition.wait_for(lambda: index._usable and index._covered == 2000, 30)
    assert (tmp_path / "index.db").exists()
    assert narrows(filled, index)


def test_offered_entries_are_indexed_without_reading_them(log, open_index, make_event):
    index = open_index(log)
    with index._condition:
        assert index._condition.wait_for(lambda: index._usable and not index._behind, 30)
    choose = random.Random(4).choice
    for batch in range(10):
        index.offer(*log.append(*(make_event(choose, batch * 100 + number) for number in range(100))))
    assert index.wait_covered(1000, 30)
    assert log.reads == []
    assert narrows(log, index)


def test_entries_never_offered_are_read_once_a_later_one_is(log, open_index, make_event):
    index = open_index(log)
    choose = random.Random(5).choice
    log.append(*(make_event(choose, number) for number in range(500)))
    index.offer(*log.append(make_event(choose, 500)))
    assert index.wait_covered(501, 30)
    assert narrows(log, index)


@pytest.mark.parametrize("limit", ["_MAX_WAITING", "_MAX_WAITING_BYTES"])
def test_offers_beyond_what_may_wait_are_read_later(log, open_index, make_event, monkeypatch, limit):
    monkeypatch.setattr(index_module, limit, 30)
    index = open_index(log)
    choose = random.Random(6).choice
    for batch in range(50):
        index.offer(*log.append(*(make_event(choose, batch * 20 + number) for number in range(20))))
    assert index.wait_covered(1000, 30)
    assert narrows(log, index)


def test_offers_made_twice_or_too_early_do_no_harm(log, open_index, make_event):
    index = open_index(log)
    choose = random.Random(7).choice
    first, entries = log.append(*(make_event(choose, number) for number in range(300)))
    index.offer(first, entries)
    index.offer(first, entries)
    index.offer(100, entries[100:])
    index.offer(300, entries)
    assert index.wait_covered(300, 30)
    assert narrows(log, index)
    assert index.covered == 300


def test_what_is_not_indexed_yet_is_found(filled, tmp_path):
    index = Index(tmp_path / "index.db", filled.view(1000))
    assert index.wait_covered(1000, 30)
    page = find(filled, index)
    assert page.entries == expected(filled)
    assert page.examined < 1500
    index.close()


def test_damaged_evidence_stops_the_index_and_not_the_process(filled, tmp_path):
    filled.damaged = {1200}
    index = Index(tmp_path / "index.db", filled, retry_s=0.01)
    assert filled.damage_met.wait(30)
    assert index.lag >= 2000 - 1200
    with pytest.raises(DamagedError):
        find(filled, index)
    filled.damaged = set()
    assert index.wait_covered(filled.size, 30)
    index.close()


def test_a_folder_that_cannot_be_written_leaves_searches_to_the_evidence(filled, tmp_path):
    index = Index(tmp_path / "absent" / "index.db", filled, retry_s=0.01)
    assert find(filled, index).entries == expected(filled)
    assert index.lag == 2000
    (tmp_path / "absent").mkdir()
    assert index.wait_covered(2000, 30)
    index.close()


def test_closing_ends_the_thread_at_any_moment(filled, tmp_path):
    for _ in range(5):
        index = Index(tmp_path / "index.db", filled)
        index.close()
        assert not index._thread.is_alive()


def test_readers_never_see_half_a_commit(log, open_index, make_event):
    index = open_index(log)
    choose = random.Random(8).choice
    tree = parse("tenant = acme")
    for batch in range(30):
        index.offer(*log.append(*(make_event(choose, batch * 50 + number) for number in range(50))))
        assert find(log, index, tree).entries == expected(log, tree)


def test_filters_at_their_limits_leave_the_index_usable(filled, open_index):
    index = open_index(filled)
    nested = "(" * 30 + "actor.id = alice" + " OR tenant = x) AND outcome = DENIED)" * 15
    for text in [" OR ".join(["actor.id = alice"] * 200), " ".join(['actor.id = "a*"'] * 200), nested]:
        tree = parse(text)
        assert find(filled, index, tree).entries == expected(filled, tree)
        assert index.covered == 2000
    assert narrows(filled, index)


class FailingIndex:
    """An index that says the truth about the first 1,000 entries, until it has named `most` of them."""

    def __init__(self, log, tree, most):
        self._true = [index for index, _ in expected(log.view(1000), tree)]
        self._left = most
        self.size = self.covered = 1000

    @contextmanager
    def snapshot(self):
        yield self

    def rows_by_run(self, need, start, end, *, newest_first):
        for low in sorted(range(start, end, 100), reverse=newest_first):
            part = low, min(end, low + 100)
            found = [index for index in self._true if part[0] <= index < part[1]]
            yield part, self._named(found[::-1] if newest_first else found)
        raise IndexUnusableError("it breaks here")

    def _named(self, found):
        for index in found:
            if not self._left:
                raise IndexUnusableError("it breaks here")
            self._left -= 1
            yield index


@pytest.mark.parametrize("order", [Order.NEWEST_FIRST, Order.OLDEST_FIRST])
@pytest.mark.parametrize("most", [0, 1, 5, 1000])
def test_an_index_that_fails_half_way_costs_and_repeats_no_result(filled, order, most):
    tree = parse("actor.id = alice")
    page = Search(filled, FailingIndex(filled, tree, most)).page(tree, order=order, page_size=2000, tree_size=2000)
    found = expected(filled, tree)
    assert page.entries == (found if order is Order.OLDEST_FIRST else found[::-1])
    assert page.examined < 2 * len(found) + 2000


def test_the_index_of_a_closed_log_needs_no_thread_and_is_built_anew_when_found_unfit(filled, open_index):
    index = open_index(filled)
    index.seal()
    index._thread.join(timeout=30)
    assert not index._thread.is_alive()
    assert narrows(filled, index)
    index._distrust()
    assert find(filled, index).entries == expected(filled)
    index._thread.join(timeout=30)
    assert (index._thread.is_alive(), index.usable) == (False, True)
    assert narrows(filled, index)
