"""Aggregate: from a request to counts, in the threads of queries."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auditd.filter import Filter, bind, parse
from auditd.query import (
    AGGREGATE_PURPOSE,
    ChainSearch,
    Counted,
    Dimension,
    Order,
    PageTokens,
    Position,
    QueryIdentity,
    Search,
    aggregate,
)
from auditd.server._caller import CallContext
from auditd.server._chain import Extent
from auditd.server._limits import violation
from auditd_proto.v1 import audit_log_service_pb2 as pb

DEFAULT_GROUPS = 100
MAX_GROUPS = 10_000
MAX_DIMENSIONS = 2
MAX_VALUES_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PreparedAggregate:
    """A request found to be well-formed, and where it begins."""

    tree: Filter
    by: tuple[Dimension, ...]
    about: Mapping[str, Any]
    identity: QueryIdentity
    max_groups: int
    tree_size: int
    first_index: int
    now_ns: int


class Aggregates:
    """Checks requests for counts, and answers them."""

    def __init__(self, page_key: bytes) -> None:
        self._tokens = PageTokens(page_key, AGGREGATE_PURPOSE)

    def prepare(self, extent: Extent, caller: CallContext, request: pb.AggregateRequest) -> PreparedAggregate:
        """Check a request; raise InvalidRequestError naming the field at fault."""
        if request.max_groups < 0:
            raise violation("max_groups", f"{request.max_groups}, must not be negative")
        if len(request.by) > MAX_DIMENSIONS:
            raise violation("by", f"{len(request.by)} dimensions, limit {MAX_DIMENSIONS}")
        by = tuple(Dimension.of(item.field, item.bucket_s, f"by[{i}]") for i, item in enumerate(request.by))
        # What selects and what is counted by, in one text, for a token is bound to both.
        what = json.dumps([request.filter, [(dimension.path, dimension.bucket_s) for dimension in by]])
        identity = QueryIdentity(
            extent.origin, what, Order.OLDEST_FIRST, request.no_index, caller.caller.issuer, caller.caller.subject
        )
        position = Position(extent.size, 0, time.time_ns())
        if request.page_token:
            position = self._tokens.open(identity, request.page_token)
        return PreparedAggregate(
            bind(parse(request.filter), position.now_ns),
            by,
            _about(request),
            identity,
            min(request.max_groups or DEFAULT_GROUPS, MAX_GROUPS),
            min(position.tree_size, extent.size),
            position.cursor,
            position.now_ns,
        )

    def answer(
        self, search: Search | ChainSearch, prepared: PreparedAggregate, stopped: Callable[[], bool]
    ) -> pb.AggregateResponse:
        """Count until all is counted or `stopped` is true. May run in any thread."""
        counted = aggregate(
            search,
            prepared.tree,
            prepared.by,
            first_index=prepared.first_index,
            tree_size=prepared.tree_size,
            max_groups=prepared.max_groups,
            max_bytes=MAX_VALUES_BYTES,
            stopped=stopped,
            use_index=not prepared.identity.no_index,
        )
        return self._response(prepared, counted)

    def _response(self, prepared: PreparedAggregate, counted: Counted) -> pb.AggregateResponse:
        response = pb.AggregateResponse(
            count=counted.count,
            unlisted_count=counted.unlisted_count,
            unlisted_max=counted.unlisted_max,
            max_error=counted.max_error,
            first_index=prepared.first_index,
            next_index=counted.next_index,
            tree_size=prepared.tree_size,
            examined=counted.examined,
        )
        for group in counted.groups:
            response.groups.add(values=group.values, count=group.count)
        if counted.next_index < prepared.tree_size:
            position = Position(prepared.tree_size, counted.next_index, prepared.now_ns)
            response.next_page_token = self._tokens.seal(prepared.identity, position)
        return response


def _about(request: pb.AggregateRequest) -> dict[str, Any]:
    """Return what the entry of this read says."""
    names = [f"{item.field}/{item.bucket_s}s" if item.bucket_s else item.field for item in request.by]
    return {"filter": request.filter} | ({"by": names} if names else {})
