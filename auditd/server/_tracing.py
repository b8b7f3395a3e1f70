"""Spans of calls, for whoever collects traces (OpenTelemetry): imported only where `[tracing]` is set.

A call takes notes of its stages, and its spans are made of them when it has ended; a thread sends them. What waits for
that is bounded and then dropped, so a collector that is slow or away costs no call anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from auditd.errors import AuditdError
from auditd.log import Log, Recorded, Submission
from auditd.server._caller import CallContext
from auditd.server._config import TracingSettings
from auditd.server._meters import CallMeter, MethodMeter, RpcContext
from auditd.server._status import code_of
from auditd_proto.v1 import admin_service_pb2, audit_log_service_pb2

_SHUTDOWN_S = 3.0
_SERVICES = {
    method.name: service.full_name
    for proto in (audit_log_service_pb2, admin_service_pb2)
    for service in proto.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
_SERVER_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Codes that are the server's failure and not the caller's, as OpenTelemetry's conventions for RPC have it."""
_PROPAGATED = ("traceparent", "tracestate")
_propagator = TraceContextTextMapPropagator()

Record = Callable[[Log, Submission], Awaitable[Recorded]]


class Tracing:
    """Makes spans and sends them; `close` it in any case. Belongs to the event loop's thread."""

    def __init__(self, settings: TracingSettings, origin: str) -> None:
        about = {
            "service.name": settings.service_name,
            "service.version": version("auditd"),
            "service.instance.id": origin,
        }
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sampled_per_mille / 1_000)),
            resource=Resource.create(about),
            span_limits=SpanLimits(max_span_attribute_length=256),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=settings.endpoint, insecure=settings.endpoint.startswith("http://"))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("auditd")
        self._current: ContextVar[_TracedCall | None] = ContextVar("auditd-call", default=None)

    def call_meter(self, method: MethodMeter, context: RpcContext) -> CallMeter:
        """Return the meter of a call that makes spans of it."""
        call = _TracedCall(method, context, self._tracer)
        # Each call is a task with variables of its own.
        self._current.set(call)
        return call

    def recording(self, record: Record) -> Record:
        """Return what records as `record` does, and notes how long the events waited and were committed."""

        async def traced(log: Log, submission: Submission) -> Recorded:
            began = time.perf_counter()
            try:
                return await record(log, submission)
            finally:
                if (call := self._current.get()) is not None:
                    call.recorded(log.name, submission, began)

        return traced

    def close(self) -> None:
        """Send what waits, within a few seconds; what a collector does not take by then is lost."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(_SHUTDOWN_S)


class _TracedCall(CallMeter):
    """A call whose stages are noted. Only a caller that is known has its `traceparent` honoured."""

    __slots__ = ("_attributes", "_began", "_began_ns", "_context", "_fault", "_parent", "_stages", "_tracer")

    def __init__(self, method: MethodMeter, context: RpcContext, tracer: Tracer) -> None:
        super().__init__(method, context)
        self._tracer = tracer
        self._context = context
        self._parent = Context()
        self._began, self._began_ns = time.perf_counter(), time.time_ns()
        self._stages: list[tuple[str, float, float, dict[str, Any]]] = []
        self._fault = ""
        self._attributes: dict[str, str | int | bool] = {
            "rpc.system": "grpc",
            "rpc.service": _SERVICES[method.name],
            "rpc.method": method.name,
            "auditd.caller.kind": "unauthenticated",
        }

    def authenticated(self, caller: CallContext) -> None:
        self._note("authenticate")
        super().authenticated(caller)
        self._attributes["auditd.caller.kind"] = caller.caller.kind
        carrier = {key: value for key, value in self._context.invocation_metadata() or () if key in _PROPAGATED}
        if carrier:
            self._parent = _propagator.extract(carrier, self._parent)

    def decoded(self) -> None:
        self._note("decode")
        super().decoded()

    def answered(self) -> None:
        self._note("work")
        super().answered()
        self._attributes["rpc.grpc.status_code"] = 0

    def refused(self, error: AuditdError) -> None:
        super().refused(error)
        code = code_of(error)
        self._attributes |= {"rpc.grpc.status_code": code.value[0], "auditd.reason": error.reason}
        if code in _SERVER_FAULTS:
            self._fault = error.reason

    def recorded(self, log: str, submission: Submission, began: float) -> None:
        """Note how long events waited for the writer, and how long it took until they were durable and answered."""
        now, taken_at = time.perf_counter(), submission.taken_at
        about = {"auditd.log": log, "auditd.events": len(submission.events)}
        self._stages.append(("queue", began, taken_at or now, about))
        if taken_at is not None:
            self._stages.append(("commit", taken_at, now, about))

    def end(self) -> None:
        super().end()
        if "rpc.grpc.status_code" not in self._attributes:
            self._attributes["auditd.broken_off"] = True
        service = self._attributes["rpc.service"]
        span = self._tracer.start_span(
            f"{service}/{self.method.name}",
            self._parent,
            SpanKind.SERVER,
            self._attributes,
            start_time=self._began_ns,
        )
        if span.is_recording():
            if self._fault:
                span.set_status(Status(StatusCode.ERROR, self._fault))
            within = set_span_in_context(span, Context())
            for name, start, end, about in sorted(self._stages, key=lambda stage: stage[1]):
                self._tracer.start_span(name, within, attributes=about, start_time=self._at(start)).end(self._at(end))
        span.end(self._at(time.perf_counter()))

    def _note(self, stage: str) -> None:
        self._stages.append((stage, self._since, time.perf_counter(), {}))

    def _at(self, moment: float) -> int:
        """Return a moment of the performance counter as nanoseconds since 1970."""
        return self._began_ns + int((moment - self._began) * 1e9)
