"""What calls do and how long they take: counted on the event loop, read when someone looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import TypeAlias

import grpc

from auditd.errors import AuditdError
from auditd.measures import Histogram
from auditd.server._caller import CallContext
from auditd.server._status import code_of

RpcContext: TypeAlias = "grpc.aio.ServicerContext"
NewCallMeter: TypeAlias = "Callable[[MethodMeter, RpcContext], CallMeter]"


class MethodMeter:
    """The calls of one method. Belongs to the event loop's thread; any thread may read."""

    __slots__ = ("_call_meter", "answered", "authenticate", "begun", "decode", "ended", "name", "refused", "work")

    def __init__(self, name: str, call_meter: NewCallMeter) -> None:
        self.name = name
        self._call_meter = call_meter
        self.begun = 0
        self.ended = 0
        self.answered = 0
        self.refused: Counter[tuple[str, str]] = Counter()
        """Refusals by gRPC code and reason: as many as the program knows, whatever callers send."""
        self.authenticate = Histogram()
        self.decode = Histogram()
        self.work = Histogram()

    def begin(self, context: RpcContext) -> CallMeter:
        """Count a call that has come."""
        self.begun += 1
        return self._call_meter(self, context)

    @property
    def broken_off(self) -> int:
        """How many calls ended neither with an answer nor with a refusal, as when their caller went away."""
        return max(0, self.ended - self.answered - sum(list(self.refused.values())))


class CallMeter:
    """One call: where its time goes."""

    __slots__ = ("_since", "method")

    def __init__(self, method: MethodMeter, _context: RpcContext) -> None:
        self.method = method
        self._since = perf_counter()

    def authenticated(self, _caller: CallContext) -> None:
        """Say that the caller is known."""
        self._stage(self.method.authenticate)

    def decoded(self) -> None:
        """Say that the request was taken apart, and held against the rules as far as that needs no log."""
        self._stage(self.method.decode)

    def answered(self) -> None:
        """Say that the answer is ready."""
        self.method.answered += 1
        self._stage(self.method.work)

    def refused(self, error: AuditdError) -> None:
        """Say that the call is answered with an error."""
        self.method.refused[code_of(error).name, error.reason] += 1

    def end(self) -> None:
        """Say that the call is over; always the last."""
        self.method.ended += 1

    def _stage(self, histogram: Histogram) -> None:
        now = perf_counter()
        histogram.add(now - self._since)
        self._since = now


class Meters:
    """The meters of every method, and of recording by log."""

    def __init__(self, call_meter: NewCallMeter = CallMeter) -> None:
        self._call_meter = call_meter
        self.methods: dict[str, MethodMeter] = {}
        self.record: dict[str, Histogram] = {}

    def method(self, name: str) -> MethodMeter:
        """Return the meter of a method of any service."""
        found = self.methods.get(name)
        if found is None:
            found = self.methods[name] = MethodMeter(name, self._call_meter)
        return found

    def calls(self) -> int:
        """Return how many calls have come, of all methods."""
        return sum(method.begun for method in list(self.methods.values()))

    def recording(self, log: str) -> Histogram:
        """Return how long submissions to a log wait until they are durable: queue and commit."""
        found = self.record.get(log)
        if found is None:
            found = self.record[log] = Histogram()
        return found
