"""Counts that come in parts are added up, and what the parts kept back is said."""

from __future__ import annotations

import pytest

from auditd_client import Counts, Group, ServerError
from auditd_proto.v1 import audit_log_service_pb2 as pb


def part(first, end, groups, size=30, token="", **members):
    answer = pb.AggregateResponse(
        first_index=first, next_index=end, tree_size=size, next_page_token=token, examined=end - first, **members
    )
    for value, count in groups.items():
        answer.groups.add(values=[value], count=count)
    return answer


def test_adds_up_parts_until_the_end(double, connect):
    double.counts.append(part(0, 10, {'"a"': 6, '"b"': 4}, count=10, token="10"))
    double.counts.append(part(10, 30, {'"b"': 15, "5": 5}, count=20))
    counts = connect().aggregate("x", ["action"])
    assert counts == Counts(
        count=30,
        groups=(Group(("b",), 19), Group(("a",), 6), Group((5,), 5)),
        unlisted_count=0, unlisted_max=0, max_error=0, next_index=30, tree_size=30, examined=30,
    )  # fmt: skip
    assert [request.page_token for request in double.sent("Aggregate")] == ["", "10"]
    assert {request.filter for request in double.sent("Aggregate")} == {"x"}


def test_shows_each_step_to_whoever_wants_to_stop_before(double, connect):
    double.counts.append(part(0, 10, {'"a"': 10}, count=10, token="10"))
    steps = connect().aggregate_steps("", ["action"])
    step = next(steps)
    assert (step.count, step.is_complete, step.is_exact) == (10, False, True)
    assert len(double.calls) == 1


def test_what_a_part_did_not_list_bounds_the_error(double, connect):
    double.counts.append(part(0, 10, {'"a"': 6}, count=10, unlisted_count=4, unlisted_max=3, token="10"))
    double.counts.append(part(10, 30, {'"a"': 5, '"b"': 5}, count=20, unlisted_count=10, unlisted_max=5, max_error=1))
    counts = connect().aggregate("", ["action"])
    assert counts.groups == (Group(("a",), 11), Group(("b",), 5))
    assert counts.max_error == 4, "b may have had 3 in the first part, and 1 more in the second"
    assert (counts.unlisted_count, counts.unlisted_max) == (14, 8)


def test_lists_as_many_as_were_asked_for(double, connect):
    double.counts.append(part(0, 30, {'"a"': 6, '"b"': 4, "": 2}, count=12))
    counts = connect().aggregate("", ["action"], max_groups=1)
    assert (counts.groups, counts.unlisted_count, counts.unlisted_max) == ((Group(("a",), 6),), 6, 4)


def test_an_absent_value_is_none_and_times_stand_in_order(double, connect):
    double.counts.append(part(0, 30, {'"2026-11-24T01:00:00Z"': 9, '"2026-11-24T00:00:00Z"': 1, "": 2}, count=12))
    counts = connect().aggregate("", [("time", 3_600)])
    assert [group.values[0] for group in counts.groups] == [None, "2026-11-24T00:00:00Z", "2026-11-24T01:00:00Z"]
    assert double.sent("Aggregate")[0].by == [pb.Dimension(field="time", bucket_s=3_600)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(part(5, 30, {}), id="a gap"),
        pytest.param(part(0, 0, {}, token="0"), id="no progress"),
        pytest.param(part(0, 31, {}), id="beyond the tree"),
        pytest.param(part(0, 30, {"no JSON": 1}), id="a value that is no JSON"),
    ],
)
def test_refuses_answers_that_make_no_sense(double, connect, answer):
    double.counts.append(answer)
    with pytest.raises(ServerError) as caught:
        connect().aggregate("", ["action"])
    assert caught.value.reason == "MALFORMED_RESPONSE"


@pytest.mark.parametrize("options", [{"by": ["a", "b", "c"]}, {"by": "action"}, {"max_groups": 0}])
def test_refuses_options_out_of_range_when_called(connect, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        connect().aggregate_steps(**options)


async def test_the_asynchronous_one_adds_up_too(double, connect_async):
    double.counts.append(part(0, 10, {'"a"': 6}, count=6, token="10"))
    double.counts.append(part(10, 30, {'"a"': 5}, count=5))
    counts = await connect_async().aggregate("", ["action"])
    assert (counts.count, counts.groups) == (11, (Group(("a",), 11),))
