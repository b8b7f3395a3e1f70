"""Append to an audit log, read it and have it proven; `auditd_client.verify` verifies offline."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from auditd_client._model import (
    AppendResult,
    CheckpointResult,
    ConsistencyProof,
    Counts,
    EntriesProof,
    Entry,
    EventName,
    Explanation,
    Group,
    InclusionProof,
    LogInfo,
    Receipt,
)
from auditd_client._settings import Settings
from auditd_client.errors import (
    CallerError,
    ClientError,
    ConflictError,
    DamagedLogError,
    DeadlineExceededError,
    EvidenceError,
    ExhaustedError,
    HistoryRewrittenError,
    InvalidRequestError,
    LogBehindCallerError,
    NotFoundError,
    OutputError,
    PermissionDeniedError,
    PreconditionError,
    RequestError,
    RetryError,
    ServerError,
    SettingsError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
    Violation,
)

if TYPE_CHECKING:
    from auditd_client._admin_client import AdminClient
    from auditd_client._administration import IssuedToken, Revocation, RotatedLog
    from auditd_client._async_admin_client import AsyncAdminClient
    from auditd_client._async_client import AsyncClient, AsyncToken
    from auditd_client._async_export import AsyncExport
    from auditd_client._async_tail import AsyncTail
    from auditd_client._backup_folder import Backup
    from auditd_client._backup_manifest import LogInBackup
    from auditd_client._calling import Token
    from auditd_client._client import Client
    from auditd_client._counts import By
    from auditd_client._events import EventLike, event_from_dict, event_from_json, event_to_dict, name_event
    from auditd_client._export import Export
    from auditd_client._flow import RetryPolicy
    from auditd_client._flows import QueryOrder
    from auditd_client._query import Query
    from auditd_client._server_status import DamagedPlace, Durations, LastCheck, LogStatus, MethodStatus, ServerStatus
    from auditd_client._tail import Tail
    from auditd_proto.v1.event_pb2 import Actor, Event, Origin, Outcome, Producer, Resource

# gRPC and protobuf take longer to import than most commands to run: verifying offline and printing help do
# without them. So these are imported when they are first asked for.
_ON_DEMAND = {
    "auditd_client._admin_client": ("AdminClient",),
    "auditd_client._administration": ("IssuedToken", "Revocation", "RotatedLog"),
    "auditd_client._async_admin_client": ("AsyncAdminClient",),
    "auditd_client._async_client": ("AsyncClient", "AsyncToken"),
    "auditd_client._async_export": ("AsyncExport",),
    "auditd_client._async_tail": ("AsyncTail",),
    "auditd_client._backup_folder": ("Backup",),
    "auditd_client._backup_manifest": ("LogInBackup",),
    "auditd_client._calling": ("Token",),
    "auditd_client._client": ("Client",),
    "auditd_client._counts": ("By",),
    "auditd_client._events": (
        "EventLike",
        "event_from_dict",
        "event_from_json",
        "event_to_dict",
        "name_event",
    ),
    "auditd_client._export": ("Export",),
    "auditd_client._flow": ("RetryPolicy",),
    "auditd_client._flows": ("QueryOrder",),
    "auditd_client._server_status": (
        "DamagedPlace",
        "Durations",
        "LastCheck",
        "LogStatus",
        "MethodStatus",
        "ServerStatus",
    ),
    "auditd_client._query": ("Query",),
    "auditd_client._tail": ("Tail",),
    "auditd_proto.v1.event_pb2": ("Actor", "Event", "Origin", "Outcome", "Producer", "Resource"),
}
_HOMES = {name: module for module, names in _ON_DEMAND.items() for name in names}

__all__ = [
    "Actor",
    "AdminClient",
    "AppendResult",
    "AsyncAdminClient",
    "AsyncClient",
    "AsyncExport",
    "AsyncTail",
    "AsyncToken",
    "Backup",
    "By",
    "CallerError",
    "CheckpointResult",
    "Client",
    "ClientError",
    "ConflictError",
    "ConsistencyProof",
    "Counts",
    "DamagedLogError",
    "DamagedPlace",
    "DeadlineExceededError",
    "Durations",
    "EntriesProof",
    "Entry",
    "Event",
    "EventLike",
    "EventName",
    "EvidenceError",
    "ExhaustedError",
    "Explanation",
    "Export",
    "Group",
    "HistoryRewrittenError",
    "InclusionProof",
    "InvalidRequestError",
    "IssuedToken",
    "LastCheck",
    "LogBehindCallerError",
    "LogInBackup",
    "LogInfo",
    "LogStatus",
    "MethodStatus",
    "NotFoundError",
    "Origin",
    "Outcome",
    "OutputError",
    "PermissionDeniedError",
    "PreconditionError",
    "Producer",
    "Query",
    "QueryOrder",
    "Receipt",
    "RequestError",
    "Resource",
    "RetryError",
    "RetryPolicy",
    "Revocation",
    "RotatedLog",
    "ServerError",
    "ServerStatus",
    "Settings",
    "SettingsError",
    "Tail",
    "Token",
    "UnauthenticatedError",
    "UnavailableError",
    "UnreachableError",
    "Violation",
    "event_from_dict",
    "event_from_json",
    "event_to_dict",
    "name_event",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is exported
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
