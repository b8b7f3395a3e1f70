"""The life of a server process: open, verify, listen, drain, close."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from grpc_health.v1 import health_pb2

from auditd.entry import Limits
from auditd.identity import ActorJudge, Authenticator, CertificateCallers
from auditd.log import Answers, Log, Outcome, Recorded, Submission, bound_caches
from auditd.server._acceptors import Acceptors
from auditd.server._access import AccessRecorder
from auditd.server._actors import ActorTokens
from auditd.server._admin import SERVICE as ADMIN_SERVICE
from auditd.server._admin import AdminService
from auditd.server._append import Appender
from auditd.server._backup_stream import Backups, clear_copy
from auditd.server._caller import Callers
from auditd.server._certificates import Certificates
from auditd.server._clock import Clock
from auditd.server._clock_confirmation import take_confirmation
from auditd.server._clock_watch import ClockWatch
from auditd.server._config import Config
from auditd.server._damage import DamageRegister
from auditd.server._export import Exporter
from auditd.server._files import allow_many_files
from auditd.server._folder import load_page_key
from auditd.server._indexes import Indexes
from auditd.server._issuers import Issuers
from auditd.server._listening import require_http_safe, require_listen, require_safe
from auditd.server._local_issuer import local_issuer
from auditd.server._logging import event_logger
from auditd.server._logs import Logs
from auditd.server._memory import calm_the_collector, share_the_heap, trim
from auditd.server._meters import Meters
from auditd.server._open_methods import OpenMethods
from auditd.server._own_events import OwnEvents
from auditd.server._prove import Prover
from auditd.server._query import Querier
from auditd.server._rotation import Rotation
from auditd.server._service import SERVICE, AuditLogService
from auditd.server._snapshot import Snapshots
from auditd.server._tail import Tailer
from auditd.server._tokens import EntryTokens
from auditd.server._traces import open_tracing
from auditd.server._watching import Watching

if TYPE_CHECKING:
    from auditd.server._tracing import Tracing

_CACHE_BYTES = 48 * 1024 * 1024
"""Of SQLite, for all logs together."""

_events = event_logger(__name__)
_Record: TypeAlias = Callable[[Log, Submission], Awaitable[Recorded]]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server answers: `grpc`, the second of them for clients without a certificate, and HTTP if it is on."""

    grpc: Sequence[str]
    http: str | None


async def serve(
    config: Config,
    listen: str,
    *,
    insecure: bool,
    ready: Callable[[Addresses], None],
    http: str | None = None,
) -> None:
    """Serve a folder until SIGTERM or SIGINT; `ready` is called with the addresses once they answer.

    `http` goes before the address for metrics and health in the settings. Raises FolderError or DamagedError where the
    folder must not be served.
    """
    require_safe(listen, has_tls=config.tls is not None, insecure=insecure)
    allow_many_files()
    share_the_heap()
    bound_caches(_CACHE_BYTES)
    if config.tls is not None and config.tls.listen_without_certificate is not None:
        require_listen(config.tls.listen_without_certificate, "tls.listen_without_certificate")
    tracing = open_tracing(config)
    http = http or (config.http.listen if config.http is not None else None)
    watching = Watching()
    if http is not None:
        require_http_safe(http, allowed=insecure or (config.http is not None and config.http.allow_remote))
        # Before the logs are opened: that may take a while, in which the process lives and is not ready.
        http = await watching.listener.open(http)
    try:
        await _serve(config, listen, watching, tracing, lambda addresses: ready(Addresses(addresses, http)))
    finally:
        await watching.listener.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


async def _serve(
    config: Config,
    listen: str,
    watching: Watching,
    tracing: Tracing | None,
    ready: Callable[[Sequence[str]], None],
) -> None:
    damage = DamageRegister()
    issuers = Issuers(config)
    meters = Meters() if tracing is None else Meters(tracing.call_meter)
    indexes = Indexes(config, damage, meters)
    deliveries = _Deliveries(asyncio.get_running_loop())
    clock = Clock(config.limits.max_idle_s)
    logs = await asyncio.to_thread(Logs, config, deliveries.deliver, indexes.observer, clock)
    try:
        await asyncio.to_thread(clear_copy, config.folder)
        take_confirmation(config.folder, clock, logs.ahead_of_clock())
        await asyncio.to_thread(indexes.open, logs.by_name.values())
        await asyncio.to_thread(logs.start)
        cached = config.limits.max_cached_tokens
        authenticator = Authenticator(issuers.trusted, config.audience, clock.latest_s, cached, logs.revocations)
        await issuers.start(authenticator, logs.key_register())
        await asyncio.to_thread(logs.record_start)
        callers = Callers(authenticator, issuers.learn, _certificates(config, logs, clock), config.limits)
        actors = ActorTokens(
            ActorJudge(authenticator, clock.latest_s),
            issuers.learn,
            clock.latest_s,
            cache_size=cached,
            max_event_age_s=config.limits.max_event_age_s,
        )
        record_appended: _Record = partial(_record_measured, meters)
        if tracing is not None:
            record_appended = tracing.recording(record_appended)
        parts = _Parts(callers, actors, logs, indexes, deliveries, meters, damage, watching, clock, record_appended)
        await _run(config, listen, parts, ready)
        await asyncio.to_thread(logs.record_stop)
    finally:
        issuers.close()
        await asyncio.to_thread(indexes.close)
        await asyncio.to_thread(logs.close)


def _certificates(config: Config, logs: Logs, clock: Clock) -> Certificates:
    own_events = OwnEvents(config.origin, clock.now_ns)
    return Certificates(
        CertificateCallers(config.certificate_issuer_name, config.certificates, logs.revocations),
        lambda action, attributes: record(logs.by_name["control"], own_events.by_server(action, attributes)),
        logs.certificates,
        clock.latest_s,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a server is run with."""

    callers: Callers
    actors: ActorTokens
    logs: Logs
    indexes: Indexes
    deliveries: _Deliveries
    meters: Meters
    damage: DamageRegister
    watching: Watching
    clock: Clock
    record_appended: _Record
    """For callers' events."""


async def _run(config: Config, listen: str, parts: _Parts, ready: Callable[[Sequence[str]], None]) -> None:
    limits, logs, indexes, meters = config.limits, parts.logs, parts.indexes, parts.meters
    access_log = logs.by_name["access"]
    record_in_control = partial(record, logs.by_name["control"])
    own_events = OwnEvents(config.origin, parts.clock.now_ns)
    access = AccessRecorder(own_events, lambda submission: record(access_log, submission))
    entry_tokens = EntryTokens()
    querier = Querier(indexes.searches, load_page_key(config.keys), limits, entry_tokens)
    prover = Prover()
    tailer = Tailer(indexes.searches, limits, access)
    exporter = Exporter(indexes.searches, load_page_key(config.keys), limits, access, entry_tokens)
    parts.deliveries.committed = tailer.committed
    tasks = partial(_tasks, asyncio.get_running_loop())
    snapshots = Snapshots(config, logs.by_name, indexes, meters, parts.damage, lambda: tailer.open, tasks, parts.clock)
    service = AuditLogService(
        logs,
        parts.callers,
        access,
        Appender(
            _entry_limits(config),
            limits.max_response_bytes,
            parts.record_appended,
            parts.actors,
            parts.clock.now_ns,
        ),
        querier,
        prover,
        tailer,
        exporter,
        entry_tokens,
        meters,
        parts.damage,
        limits,
    )
    server = Acceptors(limits)
    backups = Backups(config, access)
    admin = AdminService(
        service.unary,
        service.stream,
        logs,
        own_events,
        record_in_control,
        config.issuer_names,
        local_issuer(config) if config.local_issuer.enabled else None,
        config.audience,
        snapshots,
        parts.clock.latest_s,
        backups,
        service.standing,
        Rotation(config, logs, indexes, parts.clock),
    )
    clock_watch = ClockWatch(parts.clock, config.folder, logs.ahead_of_clock, own_events, record_in_control)
    open_methods = OpenMethods((SERVICE, ADMIN_SERVICE), service.arriving, limits)
    server.add_generic_rpc_handlers([service.handler(), admin.handler(), *open_methods.handlers()])
    addresses = server.listen(config, listen)
    stop = _stop_event()
    background = [asyncio.create_task(work) for work in (access.run(), tailer.watch(), trim(), clock_watch.run())]
    await server.start()
    for name in ("", SERVICE, ADMIN_SERVICE):
        await open_methods.health.set(name, health_pb2.HealthCheckResponse.SERVING)
    calm_the_collector()
    parts.watching.begin(snapshots)
    ready(addresses)
    try:
        await stop.wait()
    finally:
        _events.info("stopping", drain_s=limits.drain_s)
        parts.watching.stopping()
        await open_methods.health.enter_graceful_shutdown()
        tailer.stop()
        exporter.stop()
        backups.stop()
        await server.stop(limits.drain_s)
        for task in background:
            task.cancel()
        await tailer.close()
        exporter.close()
        await access.close()
        for part in (querier, prover, service):
            part.close()


async def record(log: Log, submission: Submission) -> Recorded:
    """Record a submission from the event loop; raise what it was refused with.

    What still waits when this is cancelled, as when a caller's deadline passes, is not recorded.
    """
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def done(outcome: Outcome) -> None:
        # A caller that went away cancelled the future; what a commit had begun with is recorded all the same.
        if not future.done():
            future.set_result(outcome)

    submission.done = done
    log.submit(submission)
    try:
        outcome = await future
    except asyncio.CancelledError:
        submission.given_up = True
        raise
    if isinstance(outcome, Recorded):
        return outcome
    raise outcome


async def _record_measured(meters: Meters, log: Log, submission: Submission) -> Recorded:
    began = time.perf_counter()
    recorded = await record(log, submission)
    meters.recording(log.name).add(time.perf_counter() - began)
    return recorded


class _Deliveries:
    """Brings the answers of writers to the event loop, and tells there of commits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.committed: Callable[[], None] = lambda: None

    def deliver(self, answers: Answers) -> None:
        """Take the answers of one commit, in a writer thread."""
        self._loop.call_soon_threadsafe(self._hand_over, answers)

    def _hand_over(self, answers: Answers) -> None:
        for submission, outcome in answers:
            submission.done(outcome)
        self.committed()


def _entry_limits(config: Config) -> Limits:
    limits = config.limits
    return Limits(
        max_batch_events=limits.max_batch_events,
        max_ahead_s=limits.max_ahead_s,
        max_event_age_s=limits.max_event_age_s,
    )


def _tasks(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
