"""The logs that a caller's request is of, which the caller may read or write."""

from __future__ import annotations

from typing import TypeAlias

import grpc

from auditd.errors import NotFoundError
from auditd.identity import Permission
from auditd.log import Log
from auditd.server._caller import CallContext, Callers
from auditd.server._chain import Extent, place_of
from auditd.server._logs import Logs
from auditd.server._standing import Standing

DEFAULT_LOG = "main"

Context: TypeAlias = "grpc.aio.ServicerContext"


class Reach:
    """Finds logs for callers. Belongs to the event loop's thread."""

    def __init__(self, logs: Logs, callers: Callers) -> None:
        self._logs = logs.by_name
        self._chains = logs.chains
        self._callers = callers

    def log(self, caller: CallContext, name: str, permission: Permission) -> Log:
        """Return a log; permission is judged before existence, so that a refusal does not tell what exists."""
        name = name or DEFAULT_LOG
        caller.caller.require(permission, name)
        log = self._logs.get(name) or self._numbered(name)
        if log is None:
            raise NotFoundError(
                "LOG_NOT_FOUND",
                f"log: no log is named {name[:64]!r}; list them with 'auditlog logs'",
                {"log": name[:64]},
            )
        return log

    def newest(self, name: str, log: Log) -> Log:
        """Return the log that goes by a name by now, `log` if there is none."""
        return self._logs.get(name or DEFAULT_LOG, log)

    def extent(self, caller: CallContext, name: str, origin: str) -> Extent:
        """Return what a query is of: all of a chain asked for by its name, unless only one of its logs is wanted."""
        log = self.log(caller, name, Permission.QUERY)
        chain = self._chains.get(name or DEFAULT_LOG)
        extent = Extent(log.name, (log,) if chain is None else tuple(chain.logs))
        if not origin:
            return extent
        only = next((log for log in extent.logs if log.origin == origin), None)
        if only is None:
            raise NotFoundError(
                "LOG_NOT_FOUND",
                f"origin: {log.name} has no log of the origin {origin[:256]!r}; list them with 'auditlog logs'",
                {"log": log.name, "origin": origin[:256]},
            )
        return Extent(only.name, (only,))

    def standing(self, context: Context, log: str, permission: Permission) -> Standing:
        """Return what asks again and again whether the caller of a stream may read a log."""
        return Standing(lambda: self.log(self._callers.now(context), log, permission), lambda: self._callers.version)

    def _numbered(self, name: str) -> Log | None:
        """Return the log that `main~1`, `main~2` ... means; the newest of a chain goes by the chain's name as well."""
        chain, number = place_of(name)
        found = self._chains.get(chain)
        return found.numbered(number) if found is not None and name != chain else None
