"""Counts are those of a naive scan, in one go or in parts, and honest where they cannot be exact."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd.errors import InvalidRequestError
from auditd.filter import compile_predicate, parse
from auditd.query import Dimension, Index, Search, _aggregate, aggregate

FIELDS = ["action", "outcome", "actor.id", "actor.roles", "resources.type", "resources.id", "tenant", "origin.ip"]
FIELDS += ["attributes.amount", "attributes.note", "attributes.nothing", "caller.sub", "producer.seq"]
TIMES = [("time", 60), ("time", 3600), ("recorded_at", 7), ("recorded_at", 86_400)]
FILTERS = ["", "outcome = DENIED", 'actor.id = "ali*" AND outcome = SUCCESS', "NOT resources.type = test", '"quick"']
FILTERS += ['recorded_at < "2026-11-24T00:05:00Z"', "index >= 100 AND index < 400", "action = nothing"]
DIMENSIONS = st.one_of(st.sampled_from(FIELDS).map(lambda name: (name, 0)), st.sampled_from(TIMES))


def dimensions(named):
    return tuple(Dimension.of(name, bucket_s, f"by[{i}]") for i, (name, bucket_s) in enumerate(named))


def count(search, text="", named=(), **options):
    options = {
        "first_index": 0, "tree_size": 600, "max_groups": 10_000, "max_bytes": 1 << 20, "stopped": lambda: False
    } | options  # fmt: skip
    return aggregate(search, parse(text), dimensions(named), **options)


def naive_values(entry, name, bucket_s):
    nodes = [entry if name.split(".")[0] in {"recorded_at", "caller", "index", "log"} else entry["event"]]
    for step in name.split("."):
        nodes = [node[step] for node in nodes if isinstance(node, dict) and step in node]
        nodes = [inner for node in nodes for inner in (node if isinstance(node, list) else [node])]
    texts = {json.dumps(node, ensure_ascii=False) for node in nodes if not isinstance(node, dict) and node is not None}
    if bucket_s:
        start = int(datetime.fromisoformat(nodes[0]).timestamp()) // bucket_s * bucket_s
        return {f'"{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M:%SZ}"'}
    return texts or {""}


def naive(log, text, named, size=600):
    predicate = compile_predicate(parse(text))
    entries = [entry for leaf in log.leaves(0, size) if predicate(entry := json.loads(leaf))]
    groups = Counter()
    for entry in entries:
        groups.update(product(*[naive_values(entry, *item) for item in named]))
    return len(entries), groups


@pytest.fixture(scope="module", params=[600, 301], ids=["covering all", "half behind"])
def search(request, busy_log, tmp_path_factory):
    index = Index(tmp_path_factory.mktemp("index") / "index.db", busy_log.view(request.param))
    assert index.wait_covered(request.param, 30)
    yield Search(busy_log, index)
    index.close()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(FILTERS), st.lists(DIMENSIONS, min_size=1, max_size=2), st.booleans())
def test_counts_are_those_of_a_scan(busy_log, search, text, named, use_index):
    counted = count(search, text, named, use_index=use_index)
    expected, groups = naive(busy_log, text, named)
    assert (counted.count, counted.next_index) == (expected, 600)
    assert {group.values: group.count for group in counted.groups} == dict(groups)
    assert (counted.unlisted_count, counted.unlisted_max, counted.max_error) == (0, 0, 0)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(FILTERS), st.lists(DIMENSIONS, min_size=1, max_size=2))
def test_parts_add_up(busy_log, search, text, named):
    total, groups, at, parts = 0, Counter(), 0, 0
    while at < 600:
        part = count(search, text, named, first_index=at, stopped=lambda: True)
        assert at < part.next_index <= 600
        total, at, parts = total + part.count, part.next_index, parts + 1
        groups.update({group.values: group.count for group in part.groups})
    assert (total, groups) == naive(busy_log, text, named)


def test_without_a_filter_or_a_field_the_tree_says_how_many(busy_log):
    search = Search(busy_log, None)
    before = len(busy_log.reads)
    counted = count(search)
    assert (counted.count, counted.groups, counted.examined, len(busy_log.reads)) == (600, [], 0, before)


def test_the_index_narrows_what_is_read(busy_log, search):
    counted = count(search, "action = user.logout AND tenant = acme AND outcome = DENIED", [("actor.id", 0)])
    assert counted.examined < 600


def test_lists_the_largest_and_says_what_is_left_out(busy_log):
    named = [("actor.id", 0)]
    counted = count(Search(busy_log, None), "", named, max_groups=3)
    _, groups = naive(busy_log, "", named)
    largest = [number for _, number in groups.most_common()]
    assert [group.count for group in counted.groups] == largest[:3]
    assert (counted.unlisted_count, counted.unlisted_max) == (sum(largest[3:]), largest[3])


def test_lists_no_more_than_there_is_room_for(busy_log):
    counted = count(Search(busy_log, None), "", [("actor.id", 0)], max_bytes=20)
    assert 1 <= len(counted.groups) < 5
    assert sum(len(value) for group in counted.groups for value in group.values) <= 20
    assert counted.unlisted_count == 600 - sum(group.count for group in counted.groups)


def test_times_stand_in_order(busy_log):
    counted = count(Search(busy_log, None), "", [("recorded_at", 60), ("outcome", 0)])
    starts = [group.values[0] for group in counted.groups]
    assert starts == sorted(starts)
    assert starts[0] == '"2026-11-24T00:00:00Z"'


def test_too_many_groups_make_counts_approximate_within_the_bound(new_log, monkeypatch):
    """Heavy values survive whatever comes between them, and no count is further off than is said."""
    monkeypatch.setattr(_aggregate, "MAX_KEPT_GROUPS", 50)
    log = new_log()
    values = [
        "often" if number % 3 == 0 else "now and then" if number % 10 == 1 else f"once-{number}"
        for number in range(2_000)
    ]
    log.append(*({"id": str(number), "action": value} for number, value in enumerate(values)))
    counted = count(Search(log, None), "", [("action", 0)], tree_size=2_000, max_groups=2)
    truth = Counter(values)
    assert counted.max_error > 0
    assert [json.loads(group.values[0]) for group in counted.groups] == ["often", "now and then"]
    for group in counted.groups:
        true = truth[json.loads(group.values[0])]
        assert group.count <= true <= group.count + counted.max_error
    assert counted.unlisted_max >= 1
    assert counted.count == 2_000


def test_long_values_are_bounded_as_well(new_log, monkeypatch):
    monkeypatch.setattr(_aggregate, "MAX_KEPT_BYTES", 10_000)
    log = new_log()
    log.append(*({"id": str(number), "action": f"{number:0500}"} for number in range(200)))
    assert count(Search(log, None), "", [("action", 0)], tree_size=200).max_error > 0


def test_values_of_different_types_are_different_groups(new_log):
    log = new_log()
    scalars = [1, "1", True, "true", 1.5, None, {"a": 1}, {"sealed": "x"}, [], 2**63, -1]
    log.append(*({"id": str(number), "attributes": {"x": value}} for number, value in enumerate(scalars)))
    counted = count(Search(log, None), "", [("attributes.x", 0)], tree_size=len(scalars))
    groups = {group.values[0]: group.count for group in counted.groups}
    assert groups == {
        "1": 1, '"1"': 1, "true": 1, '"true"': 1, "1.5": 1, "": 4, "9223372036854775808": 1, "-1": 1
    }  # fmt: skip


def test_a_number_beyond_every_double_is_still_json(new_log):
    log = new_log()
    log.append({"id": "a", "attributes": {"x": 0}})
    log._leaves[0] = log._leaves[0].replace(b'"x":0', b'"x":1e400')
    (group,) = count(Search(log, None), "", [("attributes.x", 0)], tree_size=1).groups
    assert json.loads(group.values[0]) == float("inf")


def test_an_entry_with_very_many_values_counts_for_some_of_them(new_log):
    log = new_log()
    log.append({"id": "a", "attributes": {"x": list(range(10_000)), "y": list(range(10_000))}})
    counted = count(Search(log, None), "", [("attributes.x", 0), ("attributes.y", 0)], tree_size=1)
    assert len(counted.groups) == 64 * 64


@pytest.mark.parametrize(
    ("name", "bucket_s", "field", "said"),
    [
        ("actor.idd", 0, "by[0].field", "did you mean actor.id?"),
        ("actor", 0, "by[0].field", "group of fields"),
        ("", 0, "by[0].field", ""),
        ("action:* OR tenant", 0, "by[0].field", "no field"),
        ("action = x OR tenant", 0, "by[0].field", ""),
        ("x" * 20_000, 0, "by[0].field", "at most 10000"),
        ("action", 60, "by[0].bucket_s", "is no time"),
        ("time", 0, "by[0].bucket_s", "must be 1 to"),
        ("time", -1, "by[0].bucket_s", "must be 1 to"),
        ("time", 10**12, "by[0].bucket_s", "must be 1 to"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_refuses_what_nothing_can_be_counted_by(name, bucket_s, field, said):
    with pytest.raises(InvalidRequestError) as caught:
        Dimension.of(name, bucket_s, "by[0]")
    (violation,) = caught.value.violations
    assert (caught.value.reason, violation.field) == ("INVALID_DIMENSION", field)
    assert said in violation.description


def test_a_name_with_dots_in_it_is_quoted_as_in_filters(new_log):
    log = new_log()
    log.append({"id": "a", "attributes": {"a.b": {"c": "deep"}}})
    (group,) = count(Search(log, None), "", [('attributes."a.b".c', 0)], tree_size=1).groups
    assert group.values == ('"deep"',)
