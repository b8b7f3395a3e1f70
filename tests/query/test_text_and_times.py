"""What is known of tiles narrows by text, attributes and event time, and orders by time; it decides nothing."""

import json
import random

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd.errors import UnavailableError
from auditd.filter import parse
from auditd.query import By, Index, Order, Search, Tiles
from auditd.query._grams import SPREAD_BITS, folded, grams_of, searched_text, sign_block, sign_leaves, spread_of

SIZE = 9_000
WORDS = [
    "transfer",
    "Retransfers",
    "ZEBRA",
    "zebras",
    "Straße",
    "STRASSE",
    "Kelvin",
    "\u212aelvin",
    "ünïcödé",
    "needle",
]
RARE = {17: "needle-in-17", 4_095: "Needle4095", 4_096: "n\u00e9edle", 8_191: "needlework", 8_999: "needle"}


def event(choose, number):
    minutes = number + choose(range(-300, 300)) if number % 40 else choose(range(9_000))
    minutes = max(0, minutes)
    attributes = {"note": " ".join(choose(WORDS[:9]) for _ in range(2)) if number % 700 == 0 else "plain"}
    if number % 1_500 == 3:
        attributes |= {"amount": choose([1, 2.5, 2**63]), "deep": [{"colour": choose(["blue", "bluish"])}]}
    if number in RARE:
        attributes["note"] = RARE[number]
    return {
        "id": f"{number:08x}",
        "time": f"2026-11-{minutes // 1440 + 1:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:00Z",
        "action": choose(["user.login", "record.read"]),
        "attributes": attributes,
    }


@pytest.fixture(scope="module")
def large_log(new_log):
    log, choose = new_log(), random.Random(5).choice
    log.append(*(event(choose, number) for number in range(SIZE)))
    return log


@pytest.fixture(scope="module")
def search(large_log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    index, tiles = Index(folder / "index.db", large_log), Tiles(folder / "tiles.db", large_log)
    assert index.wait_covered(SIZE, 60)
    assert tiles.wait_text_covered(8_192, 60)
    yield Search(large_log, index, tiles)
    index.close()
    tiles.close()


def page(search, text, order=Order.OLDEST_FIRST, **options):
    options = {"page_size": 10_000, "tree_size": SIZE} | options
    return search.page(parse(text), order=order, **options)


def indexes(found):
    return [index for index, _ in found.entries]


def tokens(values):
    return st.sampled_from(values).map('"{}"'.format)


TERMS = st.one_of(
    tokens([*WORDS, "TRANSF", "ebra", "strasse", "lvin", "a", "dle w", "edle", "nowhere at all", "2.5"]),
    st.builds("attributes.note {} {}".format, st.sampled_from(["=", "!=", ":"]), tokens([*RARE.values(), "*eedle*"])),
    st.sampled_from(["attributes.amount > 1", "attributes.amount:*", "attributes.deep.colour = blue", "-needle"]),
    st.builds(
        "time {} {}".format,
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.sampled_from(["2026-11-03", "2026-11", "2026", "2026-11-02T10:00Z", "2026-11-05T06:07:00Z", "1969", "9999"]),
    ),
    st.just("action = user.login"),
)
SEVERAL = st.lists(TERMS, min_size=2, max_size=3)
FILTERS = st.one_of(TERMS, SEVERAL.map(" AND ".join), SEVERAL.map(" OR ".join))


@settings(deadline=None, max_examples=40)
@given(FILTERS, st.sampled_from(Order), st.sampled_from([7, 10_000]), st.sampled_from([SIZE, 8_200, 300]))
def test_what_is_known_of_tiles_changes_no_result(search, text, order, page_size, tree_size):
    expected = page(search, text, use_index=False, tree_size=tree_size).entries
    if order.by_event_time:
        expected = sorted(expected, key=lambda entry: (json.loads(entry[1])["event"]["time"], entry[0]))
    if order in {Order.NEWEST_FIRST, Order.LATEST_EVENT_FIRST}:
        expected = expected[::-1]
    first = page(search, text, order, page_size=page_size, tree_size=tree_size)
    assert first.entries == expected[:page_size]
    if first.next_cursor is not None:
        options = {"cursor": first.next_cursor, "cursor_time_ns": first.next_time_ns}
        second = page(search, text, order, page_size=page_size, tree_size=tree_size, **options)
        assert second.entries == expected[page_size : 2 * page_size]


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("needle", 5 * 256 + 1_320),
        ("NEEDLEWORK", 256 + 1_320),
        ("'nowhere at all'", 1_320),
        ("attributes.quality:*", 1_320),
        ("attributes.note = needle-in-17", 256 + 1_320),
        ("xyzzy OR quux", 1_320),
    ],
)
def test_text_that_is_rare_is_looked_for_in_few_tiles(search, text, most):
    found = page(search, text)
    assert found.examined <= most
    assert By.TEXT in {by for by, _ in found.narrowed_by}


def test_event_times_narrow(search):
    found = page(search, "time >= 2026-11-06T12:00Z")
    assert 0 < len(found.entries) < found.examined < SIZE
    assert found.narrowed_by == ((By.EVENT_TIME, "time >= 2026-11-06T12:00:00Z to 2026-11-06T12:01:00Z"),)


def test_a_first_page_by_event_time_reads_few_entries(search):
    found = page(search, "", Order.LATEST_EVENT_FIRST, page_size=10)
    assert found.examined < 1_000


def test_an_escaped_word_is_found_and_narrowed(new_log, open_tiles):
    log = new_log()
    log.append(*({"id": str(number), "time": "2026-11-24T00:00:00Z", "action": "a"} for number in range(4_096)))
    log._leaves[100] = log._leaves[100].replace(b'"action":"a"', rb'"action":"re\u0073et","attributes":{"\u006bey":1}')
    search = Search(log, None, open_tiles(log))
    for text in ("reset", "attributes.key = 1"):
        assert indexes(page(search, text, tree_size=log.size)) == [100]


def test_a_time_that_the_index_has_wrong_neither_moves_nor_repeats_an_entry(new_log, open_tiles, tmp_path):
    log = new_log()
    log.append(*(event(random.Random(3).choice, number) for number in range(1_024)))
    tiles = open_tiles(log)
    with apsw.Connection(str(tmp_path / "tiles.db")) as db:
        db.execute("UPDATE times SET times = zeroblob(2048) WHERE tile = 2")
        db.execute("UPDATE tiles SET earliest = 0 WHERE tile = 2")
    expected = Search(log, None).page(parse(""), order=Order.EARLIEST_EVENT_FIRST, page_size=2_000, tree_size=1_024)
    found = Search(log, None, tiles).page(parse(""), order=Order.EARLIEST_EVENT_FIRST, page_size=2_000, tree_size=1_024)
    assert found.entries == expected.entries
    assert tiles.wait_covered(1_024, 30)


def test_without_text_times_are_known_all_the_same(large_log, open_tiles):
    tiles = open_tiles(large_log.view(5_000), text=False)
    assert not tiles.with_text
    assert tiles.text_covered == 0
    found = page(Search(large_log, None, tiles), "needle", tree_size=5_000)
    assert found.examined == 5_000
    assert found.narrowed_by == ()


def test_text_is_caught_up_with_after_it_was_switched_on(large_log, open_tiles):
    log = large_log.view(5_000)
    open_tiles(log, text=False).close()
    assert open_tiles(log).text_covered == 4_096


def test_damage_costs_nothing_but_time(large_log, open_tiles, tmp_path):
    log = large_log.view(5_000)
    tiles = open_tiles(log)
    with apsw.Connection(str(tmp_path / "tiles.db")) as db:
        db.execute("DELETE FROM places")
    found = page(Search(large_log, None, tiles), "needle", tree_size=5_000)
    assert indexes(found) == [17, 4_095]
    assert tiles.wait_text_covered(4_096, 30)


def test_an_order_that_cannot_be_known_in_time_is_refused(large_log):
    with pytest.raises(UnavailableError) as caught:
        page(Search(large_log, None), "", Order.LATEST_EVENT_FIRST, stopped=lambda: True)
    assert caught.value.reason == "ORDER_UNAVAILABLE"


def test_a_page_by_event_time_that_is_stopped_goes_on_where_it_ended(search):
    found, cursor, time_ns = [], None, 0
    options = {"page_size": 10_000, "stopped": lambda: True}
    text = "action = user.login AND index < 600"
    while True:
        part = page(
            search,
            text,
            Order.LATEST_EVENT_FIRST,
            cursor=cursor,
            cursor_time_ns=time_ns,
            **options,
        )
        found += part.entries
        if part.next_cursor is None:
            break
        cursor, time_ns = part.next_cursor, part.next_time_ns
    assert found == page(search, text, Order.LATEST_EVENT_FIRST).entries


@settings(deadline=None, max_examples=25)
@given(st.text(min_size=1), st.text(), st.text())
def test_no_text_is_denied_that_is_there(needle, before, after):
    leaf = ('{"salt":"x","event":' + json.dumps({"id": before + needle + after}, ensure_ascii=False) + "}").encode(
        "utf-8", "replace"
    )
    text = json.loads(leaf)["event"]["id"]
    assert folded(needle) in folded(text) or "?" in text
    bits, places = sign_block([[searched_text(leaf)]])
    for gram in grams_of(folded(needle)) if folded(needle) in folded(text) else ():
        assert places[2 * (spread_of(gram) >> (SPREAD_BITS - bits))] & 1


def test_native_signatures_are_those_of_python(large_log, monkeypatch):
    native = sign_leaves(large_log.leaves(0, 4_096))
    monkeypatch.setattr("auditd.query._grams.native", None)
    assert sign_leaves(large_log.leaves(0, 4_096)) == native
