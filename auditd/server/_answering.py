"""All that answers calls: the services and what works for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2

from auditd.entry import Limits
from auditd.log import Log, Recorded, Submission
from auditd.server._access import AccessRecorder
from auditd.server._actors import ActorTokens
from auditd.server._admin import SERVICE as ADMIN_SERVICE
from auditd.server._admin import AdminService
from auditd.server._append import Appender
from auditd.server._arriving import Arriving
from auditd.server._backup_stream import Backups
from auditd.server._caller import Callers
from auditd.server._calls import Calls
from auditd.server._clock import Clock
from auditd.server._clock_watch import ClockWatch
from auditd.server._config import Config
from auditd.server._damage import DamageRegister
from auditd.server._disk_reads import DiskReads
from auditd.server._export import Exporter
from auditd.server._folder import load_page_key
from auditd.server._indexes import Indexes
from auditd.server._local_issuer import local_issuer
from auditd.server._logs import Logs
from auditd.server._meters import Meters
from auditd.server._open_methods import OpenMethods
from auditd.server._own_events import OwnEvents
from auditd.server._prove import Prover
from auditd.server._query import Querier
from auditd.server._reach import Reach
from auditd.server._recording import Deliveries, record
from auditd.server._rotation import Rotation
from auditd.server._service import SERVICE, AuditLogService
from auditd.server._snapshot import Snapshots
from auditd.server._tail import Tailer
from auditd.server._tokens import EntryTokens

Record: TypeAlias = Callable[[Log, Submission], Awaitable[Recorded]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of, once its logs are open."""

    callers: Callers
    actors: ActorTokens
    logs: Logs
    indexes: Indexes
    deliveries: Deliveries
    meters: Meters
    damage: DamageRegister
    clock: Clock
    record_appended: Record
    """For callers' events."""


class Answering:
    """Belongs to the event loop's thread, and MUST be made in its task."""

    def __init__(self, config: Config, parts: Parts) -> None:
        limits, logs = config.limits, parts.logs
        arriving = Arriving(limits)
        record_in_control = partial(record, logs.by_name["control"])
        own_events = OwnEvents(config.origin, parts.clock.now_ns)
        entry_tokens, page_key = EntryTokens(), load_page_key(config.keys)
        self._access = AccessRecorder(own_events, partial(record, logs.by_name["access"]))
        self._querier = Querier(parts.indexes.searches, page_key, limits, entry_tokens)
        self._reads = DiskReads()
        self._prover = Prover(self._reads)
        self._tailer = Tailer(parts.indexes.searches, limits, self._access)
        self._exporter = Exporter(parts.indexes.searches, page_key, limits, self._access, entry_tokens)
        self._backups = Backups(config, self._access)
        self._calls = Calls(parts.callers, self._access, parts.meters, parts.damage, arriving, logs.by_name, limits)
        self._clock_watch = ClockWatch(parts.clock, config.folder, logs.ahead_of_clock, own_events, record_in_control)
        self._open_methods = OpenMethods((SERVICE, ADMIN_SERVICE), arriving, limits)
        self.snapshots = Snapshots(
            config,
            logs.by_name,
            logs.room,
            parts.indexes,
            parts.meters,
            parts.damage,
            lambda: self._tailer.open,
            partial(_tasks, asyncio.get_running_loop()),
            parts.clock,
        )
        parts.deliveries.committed = self._tailer.committed
        reach = Reach(logs, parts.callers)
        self._service = AuditLogService(
            self._calls,
            reach,
            logs,
            self._access,
            self._reads,
            Appender(
                _entry_limits(config),
                limits.max_response_bytes,
                parts.record_appended,
                parts.actors,
                parts.clock.now_ns,
            ),
            self._querier,
            self._prover,
            self._tailer,
            self._exporter,
            entry_tokens,
            limits.max_request_bytes,
        )
        self._admin = AdminService(
            self._calls,
            reach,
            logs,
            own_events,
            record_in_control,
            config.issuer_names,
            local_issuer(config) if config.local_issuer.enabled else None,
            config.audience,
            self.snapshots,
            parts.clock.latest_s,
            self._backups,
            Rotation(config, logs, parts.indexes, parts.clock),
        )

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers to register."""
        return [self._service.handler(), self._admin.handler(), *self._open_methods.handlers()]

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """Return what is to run as long as calls are answered."""
        return [self._access.run(), self._tailer.watch(), self._clock_watch.run()]

    async def say_serving(self) -> None:
        """Answer whoever asks for health that the services serve."""
        for name in ("", SERVICE, ADMIN_SERVICE):
            await self._open_methods.health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Say that they no longer do, and end what would go on for ever; calls under way go on."""
        await self._open_methods.health.enter_graceful_shutdown()
        self._tailer.stop()
        self._exporter.stop()
        self._backups.stop()

    async def close(self) -> None:
        """Let go of all; once no call is under way."""
        await self._tailer.close()
        self._exporter.close()
        await self._access.close()
        for part in (self._querier, self._prover, self._reads, self._calls):
            part.close()


def _entry_limits(config: Config) -> Limits:
    limits = config.limits
    return Limits(
        max_batch_events=limits.max_batch_events,
        max_ahead_s=limits.max_ahead_s,
        max_event_age_s=limits.max_event_age_s,
    )


def _tasks(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))
