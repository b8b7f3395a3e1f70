"""Counts out of the answers to `Aggregate`, put together where they come in parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

from auditd_client._model import Counts, Group
from auditd_client.errors import ServerError
from auditd_proto.v1 import audit_log_service_pb2 as pb

By: TypeAlias = str | tuple[str, int]
"""A field as filters name it; for one that holds a time with the width of its buckets in seconds."""

_MOST_GROUPS = 10_000


def aggregate_request(log: str, query_filter: str, by: Sequence[By], no_index: bool) -> pb.AggregateRequest:
    """Return the request for the first part. Raises ValueError if `by` is out of range."""
    if isinstance(by, str) or len(by) > 2:
        raise ValueError(f"by: {by!r}, expected none, one or two fields")
    named = [(item, 0) if isinstance(item, str) else item for item in by]
    return pb.AggregateRequest(
        log=log,
        filter=query_filter,
        by=[pb.Dimension(field=field, bucket_s=bucket_s) for field, bucket_s in named],
        # All there is room for: what one part leaves out can be put together with no other.
        max_groups=_MOST_GROUPS,
        no_index=no_index,
    )


class PartialCounts:
    """Adds up the parts of what was requested. Raises ValueError if `max_groups` is out of range."""

    def __init__(self, max_groups: int, request: pb.AggregateRequest) -> None:
        if max_groups < 1:
            raise ValueError(f"max_groups: {max_groups}, expected at least 1")
        self._max_groups = max_groups
        self._by_time = bool(request.by) and request.by[0].bucket_s > 0
        self._count = self._examined = self._occurrences = self._next_index = 0
        # Of each group its count, and how much the parts so far may have kept back of it.
        self._groups: dict[tuple[str, ...], tuple[int, int]] = {}
        self._kept_back = 0

    def add(self, part: pb.AggregateResponse) -> Counts:
        """Add the part that follows the last one, and return the counts up to there.

        Raises ServerError if it does not follow, or makes no progress.
        """
        first, end, size = part.first_index, part.next_index, part.tree_size
        if first != self._next_index or not first <= end <= size or first == end < size:
            raise ServerError(
                f"counts from {part.first_index} to {part.next_index} of {part.tree_size},"
                f" where they were to go on at {self._next_index}",
                reason="MALFORMED_RESPONSE",
            )
        self._next_index = part.next_index
        self._count += part.count
        self._examined += part.examined
        self._occurrences += part.unlisted_count + sum(group.count for group in part.groups)
        listed = {tuple(group.values): group.count for group in part.groups}
        for values, (count, error) in self._groups.items():
            if values not in listed:
                self._groups[values] = (count, error + part.unlisted_max)
        for values, more in listed.items():
            count, error = self._groups.get(values, (0, self._kept_back))
            self._groups[values] = (count + more, error + part.max_error)
        self._kept_back += part.unlisted_max
        return self._counts(part.tree_size)

    def _counts(self, tree_size: int) -> Counts:
        ranked = sorted(self._groups.items(), key=lambda item: (-item[1][0], item[0]))
        listed, rest = ranked[: self._max_groups], ranked[self._max_groups :]
        if self._by_time:
            listed.sort(key=lambda item: item[0])
        return Counts(
            count=self._count,
            groups=tuple(Group(tuple(map(_value, values)), count) for values, (count, _) in listed),
            unlisted_count=self._occurrences - sum(count for _, (count, _) in listed),
            unlisted_max=max([self._kept_back, *(count + error for _, (count, error) in rest)]),
            max_error=max((error for _, (_, error) in listed), default=0),
            next_index=self._next_index,
            tree_size=tree_size,
            examined=self._examined,
        )


def _value(text: str) -> object:
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise ServerError(f"the value {text[:80]!r} of a group is no JSON", reason="MALFORMED_RESPONSE") from error
