"""The life of a server process: open, verify, listen, drain, close."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from auditd.identity import ActorJudge, Authenticator, CertificateCallers
from auditd.log import bound_caches
from auditd.server._acceptors import Acceptors
from auditd.server._actors import ActorTokens
from auditd.server._answering import Answering, Parts, Record
from auditd.server._backup_stream import clear_copy
from auditd.server._caller import Callers
from auditd.server._certificates import Certificates
from auditd.server._clock import Clock
from auditd.server._clock_confirmation import take_confirmation
from auditd.server._config import Config
from auditd.server._damage import DamageRegister
from auditd.server._files import allow_many_files
from auditd.server._indexes import Indexes
from auditd.server._issuers import Issuers
from auditd.server._listening import require_http_safe, require_listen, require_safe
from auditd.server._logging import event_logger
from auditd.server._logs import Logs
from auditd.server._memory import calm_the_collector, share_the_heap, trim
from auditd.server._meters import Meters
from auditd.server._own_events import OwnEvents
from auditd.server._recording import Deliveries, record, record_measured
from auditd.server._traces import open_tracing
from auditd.server._watching import Watching

if TYPE_CHECKING:
    from auditd.server._tracing import Tracing

_CACHE_BYTES = 48 * 1024 * 1024
"""Of SQLite, for all logs together."""

_events = event_logger(__name__)


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
    """Serve a folder until SIGTERM, SIGINT or SIGHUP; `ready` is called with the addresses once they answer.

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
    deliveries = Deliveries(asyncio.get_running_loop())
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
        record_appended: Record = partial(record_measured, meters)
        if tracing is not None:
            record_appended = tracing.recording(record_appended)
        parts = Parts(callers, actors, logs, indexes, deliveries, meters, damage, clock, record_appended)
        await _run(config, listen, parts, watching, ready)
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


async def _run(
    config: Config, listen: str, parts: Parts, watching: Watching, ready: Callable[[Sequence[str]], None]
) -> None:
    answering = Answering(config, parts)
    server = Acceptors(config.limits)
    server.add_generic_rpc_handlers(answering.handlers())
    addresses = server.listen(config, listen)
    stop = _stop_event()
    background = [asyncio.create_task(work) for work in (*answering.background(), trim())]
    await server.start()
    await answering.say_serving()
    calm_the_collector()
    watching.begin(answering.snapshots)
    ready(addresses)
    try:
        await stop.wait()
    finally:
        _events.info("stopping", drain_s=config.limits.drain_s)
        watching.stopping()
        await answering.stop()
        await server.stop(config.limits.drain_s)
        for task in background:
            task.cancel()
        await answering.close()


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Where one is to be ignored, as a terminal's end is under `nohup`, it stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    return stop
