"""How a search pages, stops, and what it reads."""

import json

import pytest

from auditd.errors import DamagedError
from auditd.filter import EVERYTHING, compile_predicate, parse
from auditd.query import Order, Search
from auditd.query._leaf import parse_leaf


@pytest.fixture
def filled(long_log):
    return long_log.view(2001)


def page(search, text="", **options):
    options = {"order": Order.OLDEST_FIRST, "page_size": 100, "tree_size": 2001} | options
    return search.page(parse(text), **options)


def indexes(page):
    return [index for index, _ in page.entries]


def test_newest_first_is_the_reverse_of_oldest_first(filled):
    search = Search(filled, None)
    newest = page(search, page_size=2001, order=Order.NEWEST_FIRST)
    oldest = page(search, page_size=2001)
    assert newest.entries == oldest.entries[::-1]
    assert indexes(oldest) == list(range(2001))
    assert newest.next_cursor is oldest.next_cursor is None


def test_leaves_are_returned_to_the_byte(filled):
    assert page(Search(filled, None)).entries == list(enumerate(filled.leaves(0, 100)))


@pytest.mark.parametrize("order", [Order.NEWEST_FIRST, Order.OLDEST_FIRST])
def test_a_page_that_ends_with_the_log_is_the_last(filled, order):
    result = page(Search(filled, None), page_size=50, tree_size=50, order=order)
    assert len(result.entries) == 50
    assert result.next_cursor is None


def test_entries_beyond_the_tree_size_are_not_seen(filled, open_index):
    search = Search(filled, open_index(filled))
    for options in [{}, {"order": Order.NEWEST_FIRST}, {"use_index": False}]:
        assert indexes(page(search, "action = rare", tree_size=1000, **options)) == []
        assert indexes(page(search, "action = rare", tree_size=1001, **options)) == [1000]


def test_a_page_holds_no_more_bytes_than_allowed_but_one_leaf_at_least(filled):
    search, leaves = Search(filled, None), filled.leaves(0, 2001)
    exact = sum(map(len, leaves[:3]))
    assert indexes(page(search, max_bytes=exact)) == [0, 1, 2]
    assert indexes(page(search, max_bytes=exact - 1)) == [0, 1]
    assert indexes(page(search, max_bytes=1)) == [0]
    newest = page(search, max_bytes=len(leaves[-1]) + len(leaves[-2]), order=Order.NEWEST_FIRST)
    assert indexes(newest) == [2000, 1999]
    assert page(search, max_bytes=exact - 1).next_cursor == 2


@pytest.mark.parametrize("order", [Order.NEWEST_FIRST, Order.OLDEST_FIRST])
@pytest.mark.parametrize("text", ["", "actor.id = alice", 'NOT actor.id = "a*"', "amount OR quick"])
def test_a_search_stopped_again_and_again_still_comes_to_its_end(filled, open_index, order, text):
    search = Search(filled, open_index(filled))
    found, cursor, pages = [], None, 0
    while True:
        result = page(search, text, cursor=cursor, order=order, page_size=5000, stopped=lambda: True)
        found += result.entries
        pages += 1
        if result.next_cursor is None:
            break
        assert result.next_cursor != cursor
        cursor = result.next_cursor
    whole = page(search, text, order=order, page_size=5000)
    assert found == whole.entries
    assert whole.next_cursor is None
    assert pages > 1


def test_a_stopped_search_reads_one_chunk(filled):
    result = page(Search(filled, None), "action = never", stopped=lambda: True)
    assert result.entries == []
    assert result.examined == result.next_cursor == 256


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "needle"),
        ("tenant", "rare"),
        ("action", "rare"),
        ("outcome", "DENIED"),
        ("reason", "rare"),
        ("actor.type", "rare"),
        ("actor.id", "rare"),
        ("actor.name", "rare"),
        ("actor.session_id", "rare"),
        ("actor.auth_method", "rare"),
        ("resources.type", "rare"),
        ("resources.id", "rare"),
        ("resources.name", "rare"),
        ("origin.ip", "198.51.100.7"),
        ("origin.ip", "2001:db8:7::7"),
        ("origin.user_agent", "rare"),
        ("origin.device_id", "rare"),
        ("origin.method", "rare"),
        ("origin.endpoint", "/rare"),
        ("origin.request_id", "rare"),
        ("origin.traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("producer.id", "rare"),
        ("caller.sub", "rare"),
        ("caller.jti", "rare"),
        ("actor.roles", "rare"),
    ],
)
def test_the_index_names_the_one_entry_with_a_value(log, open_index, field, value):
    group, _, name = field.partition(".")
    event = {"id": "x", "action": "x"}
    caller = {"kind": "token", "sub": "x", "jti": "x"}
    if not name:
        event[group] = value
    elif group == "caller":
        caller[name] = value
    else:
        inner = {name: [value] if name == "roles" else value}
        event[group] = [inner] if group == "resources" else inner
    log.append(*({"id": f"e-{number}", "action": "x"} for number in range(50)))
    log.append(event, caller=caller)
    log.append(*({"id": f"f-{number}", "action": "x"} for number in range(50)))
    search = Search(log, open_index(log))
    result = page(search, f'{field} = "{value}"', tree_size=log.size)
    assert indexes(result) == [50]
    assert result.examined == 1


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("index = 1000", 1),
        ("index >= 990 AND index < 1010 AND NOT action = x", 20),
        ("recorded_at = 2026-11-24T00:16:40.500Z", 12),
        ("recorded_at > 2026-11-24T00:16:00Z AND recorded_at <= 2026-11-24T00:17:00Z", 61),
        ('action = rare AND "needle"', 1),
        ('action = "rar*" OR id = needle', 1),
    ],
)
def test_narrow_searches_read_little(filled, open_index, text, most):
    search = Search(filled, open_index(filled))
    result = page(search, text)
    assert 1000 in indexes(result)
    assert result.examined <= most


def test_times_of_recording_are_found_in_few_reads(filled):
    search = Search(filled, None)
    filled.reads.clear()
    text = "recorded_at >= 2026-11-24T00:16:40.500Z AND recorded_at <= 2026-11-24T00:16:41.500Z"
    assert indexes(page(search, text)) == [1000, 1001]
    assert len(filled.reads) < 30
    filled.reads.clear()
    assert indexes(page(search, text, order=Order.NEWEST_FIRST)) == [1001, 1000]
    assert len(filled.reads) <= 2


def test_entries_recorded_at_one_time_are_all_found(log):
    for time in ("00:00:01Z", "00:00:01.5Z", "00:00:02Z"):
        log.append(*({"id": "x", "action": "x"} for _ in range(10)), recorded_at=f"2026-11-24T{time}")
    search = Search(log, None)
    for text, first, end in [
        ("recorded_at = 2026-11-24T00:00:01.5Z", 10, 20),
        ("recorded_at > 2026-11-24T00:00:01.5Z", 20, 30),
        ("recorded_at >= 2026-11-24T00:00:01.50Z", 10, 30),
        ("recorded_at < 2026-11-24T00:00:01.5Z", 0, 10),
        ("recorded_at <= 2026-11-24T00:00:01Z OR recorded_at = 2026-11-24T00:00:02.0Z", None, None),
    ]:
        found = indexes(page(search, text, tree_size=30))
        assert found == (list(range(first, end)) if first is not None else [*range(10), *range(20, 30)])


def test_without_the_index_no_bound_but_that_of_the_index_number_is_trusted(filled):
    result = page(Search(filled, None), "recorded_at < 2026-11-24T00:00:10Z", use_index=False)
    assert result.examined == 2001


def test_damage_in_what_must_be_read_is_reported(filled, open_index):
    search = Search(filled, open_index(filled))
    filled.damaged = {1000}
    assert indexes(page(search, "index < 1000", page_size=5000)) == list(range(1000))
    with pytest.raises(DamagedError):
        page(search, "action = rare")


@pytest.mark.parametrize("options", [{"page_size": 0}, {"tree_size": 2002}, {"tree_size": -1}])
def test_impossible_pages_are_programming_errors(filled, options):
    with pytest.raises(ValueError, match=r"page_size \d+, tree_size"):
        page(Search(filled, None), **options)


def test_numbers_that_a_double_cannot_hold_can_be_searched(log):
    log.append({"id": "x", "action": "x", "attributes": {}})
    leaf = log._leaves[0].replace(b'"attributes":{}', b'"attributes":{"n":[1e999,' + b"7" * 5000 + b",12]}")
    log._leaves[0] = leaf
    assert parse_leaf(leaf)["event"]["attributes"]["n"] == [float("inf"), float("inf"), 12]
    assert indexes(page(Search(log, None), "attributes.n = 12 AND attributes.n > 1e300", tree_size=1)) == [0]


def test_searches_without_a_filter_return_everything(filled):
    leaves = dict(
        Search(filled, None).page(EVERYTHING, order=Order.OLDEST_FIRST, page_size=9999, tree_size=2001).entries
    )
    assert all(compile_predicate(EVERYTHING)(json.loads(leaf)) for leaf in leaves.values())
    assert len(leaves) == 2001
