"""Times relative to the moment of the query, and times cut short."""

import pytest

from auditd.filter import Comparison, Text, bind, compile_predicate, describe, parse, substitute

NOW_NS = 1_795_651_200_000_000_000  # 2026-11-26T00:00:00Z


def selects(text, time, now_ns=NOW_NS):
    return compile_predicate(bind(parse(text), now_ns))({"event": {"time": time}})


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("time = 2026", "2026-01-01T00:00:00Z", "2026-12-31T23:59:59.999999999Z"),
        ("time = 2026-11", "2026-11-01T00:00:00Z", "2026-11-30T23:59:59.999999999Z"),
        ("time = 2026-12", "2026-12-01T00:00:00Z", "2026-12-31T23:59:59.999999999Z"),
        ("time : 2024-02-29", "2024-02-29T00:00:00Z", "2024-02-29T23:59:59.999999999Z"),
        ("time = '2026-11-24T10:30Z'", "2026-11-24T10:30:00Z", "2026-11-24T10:30:59.999999999Z"),
        ("time = 2026-11-24T10:30+02:00", "2026-11-24T08:30:00Z", "2026-11-24T08:30:59.999999999Z"),
        ("time = 9999", "9999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_time_cut_short_is_all_of_what_it_names(text, first, last):
    operator = text.split()[1]
    for time in (first, last):
        assert selects(text, time)
        assert not selects(text.replace(operator, "!="), time)
        assert selects(text.replace(operator, "<="), time)
        assert selects(text.replace(operator, ">="), time)
        assert not selects(text.replace(operator, "<"), time)
        assert not selects(text.replace(operator, ">"), time)
    assert selects(text.replace(operator, "<"), "1970-01-01T00:00:00Z")
    assert selects(text.replace(operator, "!="), "1970-01-01T00:00:00Z")
    assert not selects(text, "1970-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-26T00:00:00Z"),
        ("now-24h", "2026-11-25T00:00:00Z"),
        ("'now-90m'", "2026-11-25T22:30:00Z"),
        ("now-1w", "2026-11-19T00:00:00Z"),
        ("now+2d", "2026-11-28T00:00:00Z"),
        ("now-30s", "2026-11-25T23:59:30Z"),
    ],
)
def test_a_relative_time_counts_from_the_moment_of_the_query(text, moment):
    assert selects(f"time = {text}", moment)
    assert selects(f"time >= {text}", moment)
    assert not selects(f"time > {text}", moment)


def test_a_moment_is_kept_to_the_nanosecond():
    assert selects("time = now-1s", "2026-11-25T23:59:59.000000001Z", NOW_NS + 1)


def test_a_time_out_of_all_calendars_is_the_nearest_one():
    assert selects("time > now-500000w", "1970-01-01T00:00:00Z")
    assert not selects("time > now+500000w", "9999-12-31T23:59:59Z")


def test_a_filter_without_its_moment_is_not_used():
    with pytest.raises(ValueError, match="moment"):
        compile_predicate(parse("time > now-1h"))


def test_values_put_into_a_tree_are_no_text_of_a_filter():
    tree = parse("NOT (tenant = placeholder OR x) AND id = a")
    hostile = '" OR *'
    bound = substitute(tree, lambda term: Text(hostile) if term.path == ("tenant",) else term.value)
    assert not compile_predicate(bound)({"event": {"tenant": hostile, "id": "a"}})
    assert compile_predicate(bound)({"event": {"tenant": "other", "id": "a"}})
    assert tree == parse("NOT (tenant = placeholder OR x) AND id = a")


@pytest.mark.parametrize(
    "text",
    [
        'actor.id = "ali*"',
        "origin.ip = 203.0.113.0/24",
        "attributes.n > 2.5",
        "reason : *",
        'id = "a\\"b"',
        "index < 5",
    ],
)
def test_a_term_is_described_as_a_filter_that_means_the_same(text):
    tree = parse(text)
    assert isinstance(tree, Comparison)
    assert parse(describe(tree)) == tree
