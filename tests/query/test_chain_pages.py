"""Several logs are searched as one: nothing twice, nothing left out, in order, however pages are cut."""

from __future__ import annotations

import json
import random

import pytest

from auditd.filter import EVERYTHING, compile_predicate, parse
from auditd.query import ChainSearch, Index, Order, Search, Tiles, aggregate
from auditd.query._leaf import parse_leaf
from tests.query.conftest import MemoryLog

SIZES = (300, 1, 0, 517)
RANDOM = random.Random(7)


def log_of(size: int, number: int) -> MemoryLog:
    log = MemoryLog()
    log.origin = f"audit.example.com/main~{number}"
    for _ in range(size):
        second = RANDOM.randrange(40)
        action = "rare" if RANDOM.random() < 0.02 else RANDOM.choice(["a.b", "c.d"])
        log.append({"id": "i", "time": f"2026-11-24T00:00:{second:02}Z", "action": action, "outcome": "SUCCESS"})
    return log


@pytest.fixture(scope="module")
def logs():
    return [log_of(size, number) for number, size in enumerate(SIZES, 1)]


@pytest.fixture(scope="module", params=[True, False], ids=["with indexes", "without"])
def search(request, logs, tmp_path_factory):
    opened = []
    searches = []
    for log in logs:
        folder = tmp_path_factory.mktemp("log")
        index = tiles = None
        if request.param:
            index, tiles = Index(folder / "index.db", log), Tiles(folder / "tiles.db", log)
            opened += [index, tiles]
        searches.append(Search(log, index, tiles))
    yield ChainSearch(searches)
    for one in opened:
        one.close()


def expected(logs, text, order, tree_size):
    """Return (index counted through the chain, leaf) of what is selected, found without any search."""
    everything = [leaf for log in logs for leaf in log.leaves(0, log.size)][:tree_size]
    found = [
        (number, leaf) for number, leaf in enumerate(everything) if compile_predicate(parse(text))(parse_leaf(leaf))
    ]
    if order.by_event_time:
        found.sort(key=lambda item: (json.loads(item[1])["event"]["time"], item[0]))
    if order in (Order.NEWEST_FIRST, Order.LATEST_EVENT_FIRST):
        found.reverse()
    return found


def pages(search, text, order, tree_size, **options):
    cursor, time_ns = None, 0
    while True:
        page = search.page(
            parse(text), order=order, tree_size=tree_size, cursor=cursor, cursor_time_ns=time_ns, **options
        )
        yield page
        if page.next_cursor is None:
            return
        assert (page.next_cursor, page.next_time_ns) != (cursor, time_ns), "no progress"
        cursor, time_ns = page.next_cursor, page.next_time_ns


TEXTS = ["", "action = rare", 'action = "a.b"', "index < 5", 'recorded_at < "2020-01-01T00:00:00Z"']


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("text", TEXTS)
def test_pages_together_are_what_is_selected_in_order(search, logs, order, text):
    for tree_size in (sum(SIZES), 301, 300, 150):
        wanted = expected(logs, text, order, tree_size)
        for page_size in (1, 7, 1_000) if len(wanted) < 100 else (40, 1_000):
            found = []
            for page in pages(search, text, order, tree_size, page_size=page_size):
                assert len(page.entries) <= page_size
                found += page.entries
            assert found == wanted


@pytest.mark.parametrize("order", list(Order))
def test_a_search_that_is_stopped_all_the_time_comes_to_its_end(search, logs, order):
    options = {"max_bytes": 1} if order.by_event_time else {"stopped": lambda: True}
    found = [
        entry for page in pages(search, "action = rare", order, 818, page_size=50, **options) for entry in page.entries
    ]
    assert found == expected(logs, "action = rare", order, 818)


def test_a_page_holds_no_more_bytes_than_allowed_but_one_leaf(search, logs):
    longest = max(len(leaf) for log in logs for leaf in log.leaves(0, log.size))
    for order in Order:
        for page in pages(search, "", order, 818, page_size=1_000, max_bytes=20_000):
            assert sum(len(leaf) for _, leaf in page.entries) <= 20_000 + longest


@pytest.mark.parametrize("order", list(Order))
def test_every_page_says_how_many_entries_of_all_logs_are_in_range(search, order):
    for text, in_range in (("", 818), ("action = rare", 818), ("index < 5", 11)):
        for page in pages(search, text, order, 818, page_size=200):
            assert page.in_range == in_range
            assert page.uncovered <= in_range
            assert len(page.entries) <= page.examined <= in_range


@pytest.mark.parametrize("stops", [False, True])
def test_counting_goes_on_from_log_to_log(search, logs, stops):
    first, count = 0, 0
    while first < 818:
        part = aggregate(
            search, parse("action = rare"), [], first_index=first, tree_size=818, max_groups=1, max_bytes=1_000,
            stopped=lambda: stops,
        )  # fmt: skip
        assert part.next_index > first
        count, first = count + part.count, part.next_index
    assert count == len(expected(logs, "action = rare", Order.OLDEST_FIRST, 818))
    whole = aggregate(search, EVERYTHING, [], first_index=0, tree_size=818, max_groups=1, max_bytes=9, stopped=bool)
    assert whole.count == 818
