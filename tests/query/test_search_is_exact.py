"""Whatever the index says or lacks, a search gives what a scan of all leaves gives."""

import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd.filter import (
    EVERYTHING,
    And,
    Comparison,
    FreeText,
    Not,
    Or,
    Pattern,
    Spelling,
    Text,
    compile_predicate,
    field_at,
    parse,
    typed_value,
)
from auditd.query import Index, Order, Search, Tiles

NAMES = ["tenant", "action", "actor.id", "actor.roles", "actor.session_id", "actor.type", "resources.id"]
NAMES += ["resources.type", "origin.traceparent", "id", "caller.sub", "attributes.note"]
TEXTS = [
    "acme",
    "user.login",
    "record.read",
    "alice",
    "ali",
    "x" * 60,
    "x" * 39,
    "new\nline",
    "new",
    "line",
    "nul\x00nul",
]
TEXTS += [
    "\nfirst",
    'quo"te',
    "ap'os",
    "*",
    "Zoë",
    "a b",
    "(a)",
    "admin",
    "ops",
    "1",
    "test",
    "s-2\x01tail",
    "s-1",
    "s",
]
TEXTS += [
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6",
    "00-x",
    "01936f5e-00000007",
    "svc",
    "",
]
TYPED = [
    ("outcome", ["SUCCESS", "DENIED"]),
    (
        "origin.ip",
        ["203.0.113.0/24", "203.0.113.9", "10.0.0.1", "0.0.0.0/0", "10.0.0.0/13", "2001:db8::/32", "2001:db8::1"],
    ),
    ("index", ["-1", "0", "17", "599", "600", "99999999999999999999"]),
    (
        "recorded_at",
        ["2026-11-24T00:01:00.500Z", "2026-11-24T00:05:00Z", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
    ),
    ("time", ["2026-11-24T00:30:00Z"]),
]


def comparison(name, operator, text):
    field = field_at(tuple(name.split(".")))
    return Comparison(field.path, operator, typed_value(field, operator, Spelling(text)))


def of_field(name, texts):
    operators = ["=", "!=", ":"] if name in {"outcome", "origin.ip"} else ["=", "!=", ":", "<", "<=", ">", ">="]
    return st.builds(comparison, st.just(name), st.sampled_from(operators), st.sampled_from(texts))


PATHS = st.sampled_from([tuple(name.split(".")) for name in NAMES])
LEAVES = st.one_of(
    st.builds(Comparison, PATHS, st.sampled_from(["=", "=", ":", "!=", "<"]), st.sampled_from(TEXTS).map(Text)),
    st.builds(
        Comparison,
        PATHS,
        st.sampled_from(["=", ":"]),
        st.builds(Pattern, st.sampled_from(TEXTS), before=st.booleans(), after=st.just(value=True)),
    ),
    *(of_field(name, texts) for name, texts in TYPED),
    st.sampled_from(["alice", "k", "ss", "quick", "Ş", 'a"b']).map(FreeText),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, max_size=3).map(lambda terms: And(tuple(terms)))
        | st.lists(inner, max_size=3).map(lambda terms: Or(tuple(terms)))
    ),
    max_leaves=6,
)


def scan(log, tree, tree_size):
    predicate = compile_predicate(tree)
    leaves = enumerate(log.leaves(0, tree_size))
    return [(index, leaf) for index, leaf in leaves if predicate(json.loads(leaf))]


def in_order(found, order):
    """Return entries, oldest first, in another order."""
    if order.by_event_time:
        found = sorted(found, key=lambda entry: (json.loads(entry[1])["event"]["time"], entry[0]))
    return found if order in {Order.OLDEST_FIRST, Order.EARLIEST_EVENT_FIRST} else found[::-1]


def pages(search, tree, tree_size, order, page_size, **options):
    found, cursor, time_ns = [], None, 0
    while True:
        options |= {"cursor": cursor, "cursor_time_ns": time_ns}
        page = search.page(tree, order=order, page_size=page_size, tree_size=tree_size, **options)
        assert len(page.entries) <= page_size
        found += page.entries
        if page.next_cursor is None:
            return found
        assert (page.next_cursor, page.next_time_ns) != (cursor, time_ns)
        cursor, time_ns = page.next_cursor, page.next_time_ns


@pytest.fixture(scope="module", params=[600, 301, 0], ids=["covering all", "half behind", "empty"])
def search(request, busy_log, tmp_path_factory):
    """A search of `busy_log` with an index that covers some of it."""
    folder, log = tmp_path_factory.mktemp("index"), busy_log.view(request.param)
    index, tiles = Index(folder / "index.db", log), Tiles(folder / "tiles.db", log)
    assert index.wait_covered(request.param, 30)
    assert tiles.wait_covered(request.param // 256 * 256, 30)
    yield Search(busy_log, index, tiles)
    index.close()
    tiles.close()


@settings(deadline=None)
@given(
    TREES,
    st.sampled_from(Order),
    st.sampled_from([11, 1000]),
    st.sampled_from([600, 600, 450, 1, 0]),
    st.booleans(),
)
def test_a_search_finds_what_a_scan_finds(busy_log, search, tree, order, page_size, tree_size, use_index):
    expected = in_order(scan(busy_log, tree, tree_size), order)
    found = pages(search, tree, tree_size, order, page_size, use_index=use_index)
    assert found == expected


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("beyond", ["index > 99999999999999999999", "index < -99999999999999999999"])
def test_bounds_beyond_every_number_find_nothing(busy_log, search, beyond, order):
    tree = parse(f"outcome = SUCCESS AND {beyond}")
    assert pages(search, tree, 600, order, 11, use_index=True) == []


@settings(deadline=None, max_examples=25)
@given(st.data(), st.lists(TREES, min_size=1, max_size=10))
def test_a_search_of_any_log_finds_what_a_scan_finds(new_log, make_event, data, trees):
    log = new_log()
    numbers = range(data.draw(st.integers(1, 12)))
    log.append(*(make_event(lambda options: data.draw(st.sampled_from(options)), number) for number in numbers))
    with tempfile.TemporaryDirectory() as folder:
        index = Index(Path(folder) / "index.db", log)
        assert index.wait_covered(log.size, 30)
        for tree in trees:
            assert pages(Search(log, index), tree, log.size, Order.OLDEST_FIRST, 3) == scan(log, tree, log.size)
        index.close()


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("text", ["", "action = user.login", "resources.id = 3 AND outcome = DENIED"])
def test_pages_neither_repeat_nor_lose_an_entry_while_appends_go_on(
    log, open_index, open_tiles, make_event, order, text
):
    choose = random.Random(2).choice
    log.append(*(make_event(choose, number) for number in range(400)))
    index = open_index(log)
    search, tree, size = Search(log, index, open_tiles(log)), parse(text), log.size
    found, cursor, time_ns = [], None, 0
    while True:
        page = search.page(tree, order=order, page_size=7, tree_size=size, cursor=cursor, cursor_time_ns=time_ns)
        found += page.entries
        first, entries = log.append(*(make_event(choose, number) for number in range(20)))
        if len(found) % 2:
            index.offer(first, entries)
        if page.next_cursor is None:
            break
        cursor, time_ns = page.next_cursor, page.next_time_ns
    assert found == in_order(scan(log, tree, size), order)


def test_without_an_index_everything_is_scanned(busy_log):
    found = pages(Search(busy_log, None), EVERYTHING, 600, Order.OLDEST_FIRST, 50)
    assert found == list(enumerate(busy_log.leaves(0, 600)))
