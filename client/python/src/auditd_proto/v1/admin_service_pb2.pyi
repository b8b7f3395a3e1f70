import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RevokeTokenRequest(_message.Message):
    __slots__ = ("issuer", "jti", "subject", "key", "everything", "issued_before", "reason", "include_caller")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    JTI_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    ISSUED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CALLER_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    jti: str
    subject: str
    key: str
    everything: bool
    issued_before: _timestamp_pb2.Timestamp
    reason: str
    include_caller: bool
    def __init__(self, issuer: _Optional[str] = ..., jti: _Optional[str] = ..., subject: _Optional[str] = ..., key: _Optional[str] = ..., everything: _Optional[bool] = ..., issued_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., include_caller: _Optional[bool] = ...) -> None: ...

class RevokeTokenResponse(_message.Message):
    __slots__ = ("revocation",)
    REVOCATION_FIELD_NUMBER: _ClassVar[int]
    revocation: Revocation
    def __init__(self, revocation: _Optional[_Union[Revocation, _Mapping]] = ...) -> None: ...

class Revocation(_message.Message):
    __slots__ = ("index", "issuer", "jti", "subject", "key", "everything", "issued_before", "reason", "revoked_at")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    JTI_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    ISSUED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    index: int
    issuer: str
    jti: str
    subject: str
    key: str
    everything: bool
    issued_before: _timestamp_pb2.Timestamp
    reason: str
    revoked_at: _timestamp_pb2.Timestamp
    def __init__(self, index: _Optional[int] = ..., issuer: _Optional[str] = ..., jti: _Optional[str] = ..., subject: _Optional[str] = ..., key: _Optional[str] = ..., everything: _Optional[bool] = ..., issued_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WithdrawRevocationRequest(_message.Message):
    __slots__ = ("index", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawRevocationResponse(_message.Message):
    __slots__ = ("revocation",)
    REVOCATION_FIELD_NUMBER: _ClassVar[int]
    revocation: Revocation
    def __init__(self, revocation: _Optional[_Union[Revocation, _Mapping]] = ...) -> None: ...

class ListRevocationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRevocationsResponse(_message.Message):
    __slots__ = ("revocations", "next_page_token")
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    revocations: _containers.RepeatedCompositeFieldContainer[Revocation]
    next_page_token: str
    def __init__(self, revocations: _Optional[_Iterable[_Union[Revocation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class IssueTokenRequest(_message.Message):
    __slots__ = ("subject", "roles", "ttl_s", "certificate_sha256")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SHA256_FIELD_NUMBER: _ClassVar[int]
    subject: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    ttl_s: int
    certificate_sha256: bytes
    def __init__(self, subject: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., ttl_s: _Optional[int] = ..., certificate_sha256: _Optional[bytes] = ...) -> None: ...

class IssueTokenResponse(_message.Message):
    __slots__ = ("token", "jti", "expires_at")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JTI_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    token: str
    jti: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, token: _Optional[str] = ..., jti: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RotateLogRequest(_message.Message):
    __slots__ = ("log", "reason")
    LOG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    log: str
    reason: str
    def __init__(self, log: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RotateLogResponse(_message.Message):
    __slots__ = ("closed", "size", "successor", "verifier_key", "closing")
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    closed: str
    size: int
    successor: str
    verifier_key: str
    closing: str
    def __init__(self, closed: _Optional[str] = ..., size: _Optional[int] = ..., successor: _Optional[str] = ..., verifier_key: _Optional[str] = ..., closing: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("origin", "version", "started_at", "problems", "logs", "methods", "tails", "disk_free_bytes", "disk_size_bytes", "clock", "last_check", "damage", "damage_met")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    TAILS_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECK_FIELD_NUMBER: _ClassVar[int]
    DAMAGE_FIELD_NUMBER: _ClassVar[int]
    DAMAGE_MET_FIELD_NUMBER: _ClassVar[int]
    origin: str
    version: str
    started_at: _timestamp_pb2.Timestamp
    problems: _containers.RepeatedScalarFieldContainer[str]
    logs: _containers.RepeatedCompositeFieldContainer[LogStatus]
    methods: _containers.RepeatedCompositeFieldContainer[MethodStatus]
    tails: int
    disk_free_bytes: int
    disk_size_bytes: int
    clock: ClockStatus
    last_check: LastCheck
    damage: _containers.RepeatedCompositeFieldContainer[DamagedPlace]
    damage_met: int
    def __init__(self, origin: _Optional[str] = ..., version: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., problems: _Optional[_Iterable[str]] = ..., logs: _Optional[_Iterable[_Union[LogStatus, _Mapping]]] = ..., methods: _Optional[_Iterable[_Union[MethodStatus, _Mapping]]] = ..., tails: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., disk_size_bytes: _Optional[int] = ..., clock: _Optional[_Union[ClockStatus, _Mapping]] = ..., last_check: _Optional[_Union[LastCheck, _Mapping]] = ..., damage: _Optional[_Iterable[_Union[DamagedPlace, _Mapping]]] = ..., damage_met: _Optional[int] = ...) -> None: ...

class LogStatus(_message.Message):
    __slots__ = ("name", "origin", "tree_size", "problem", "queued_events", "queued_bytes", "commits", "failed_commits", "entries", "duplicates", "record", "store", "index", "index_covered", "file_bytes", "text_index", "text_index_covered", "time_index", "time_index_covered", "successor")
    class Index(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INDEX_UNSPECIFIED: _ClassVar[LogStatus.Index]
        INDEX_CURRENT: _ClassVar[LogStatus.Index]
        INDEX_BEHIND: _ClassVar[LogStatus.Index]
        INDEX_UNUSABLE: _ClassVar[LogStatus.Index]
        INDEX_OFF: _ClassVar[LogStatus.Index]
    INDEX_UNSPECIFIED: LogStatus.Index
    INDEX_CURRENT: LogStatus.Index
    INDEX_BEHIND: LogStatus.Index
    INDEX_UNUSABLE: LogStatus.Index
    INDEX_OFF: LogStatus.Index
    class FileBytesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    QUEUED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    FAILED_COMMITS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    INDEX_COVERED_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_INDEX_COVERED_FIELD_NUMBER: _ClassVar[int]
    TIME_INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_INDEX_COVERED_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    origin: str
    tree_size: int
    problem: str
    queued_events: int
    queued_bytes: int
    commits: int
    failed_commits: int
    entries: int
    duplicates: int
    record: Durations
    store: Durations
    index: LogStatus.Index
    index_covered: int
    file_bytes: _containers.ScalarMap[str, int]
    text_index: LogStatus.Index
    text_index_covered: int
    time_index: LogStatus.Index
    time_index_covered: int
    successor: str
    def __init__(self, name: _Optional[str] = ..., origin: _Optional[str] = ..., tree_size: _Optional[int] = ..., problem: _Optional[str] = ..., queued_events: _Optional[int] = ..., queued_bytes: _Optional[int] = ..., commits: _Optional[int] = ..., failed_commits: _Optional[int] = ..., entries: _Optional[int] = ..., duplicates: _Optional[int] = ..., record: _Optional[_Union[Durations, _Mapping]] = ..., store: _Optional[_Union[Durations, _Mapping]] = ..., index: _Optional[_Union[LogStatus.Index, str]] = ..., index_covered: _Optional[int] = ..., file_bytes: _Optional[_Mapping[str, int]] = ..., text_index: _Optional[_Union[LogStatus.Index, str]] = ..., text_index_covered: _Optional[int] = ..., time_index: _Optional[_Union[LogStatus.Index, str]] = ..., time_index_covered: _Optional[int] = ..., successor: _Optional[str] = ...) -> None: ...

class MethodStatus(_message.Message):
    __slots__ = ("name", "under_way", "answered", "broken_off", "refused", "work")
    class RefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNDER_WAY_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    BROKEN_OFF_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    name: str
    under_way: int
    answered: int
    broken_off: int
    refused: _containers.ScalarMap[str, int]
    work: Durations
    def __init__(self, name: _Optional[str] = ..., under_way: _Optional[int] = ..., answered: _Optional[int] = ..., broken_off: _Optional[int] = ..., refused: _Optional[_Mapping[str, int]] = ..., work: _Optional[_Union[Durations, _Mapping]] = ...) -> None: ...

class Durations(_message.Message):
    __slots__ = ("count", "mean_s", "p50_s", "p99_s")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MEAN_S_FIELD_NUMBER: _ClassVar[int]
    P50_S_FIELD_NUMBER: _ClassVar[int]
    P99_S_FIELD_NUMBER: _ClassVar[int]
    count: int
    mean_s: float
    p50_s: float
    p99_s: float
    def __init__(self, count: _Optional[int] = ..., mean_s: _Optional[float] = ..., p50_s: _Optional[float] = ..., p99_s: _Optional[float] = ...) -> None: ...

class ClockStatus(_message.Message):
    __slots__ = ("synchronized", "stepped_s", "suspect")
    SYNCHRONIZED_FIELD_NUMBER: _ClassVar[int]
    STEPPED_S_FIELD_NUMBER: _ClassVar[int]
    SUSPECT_FIELD_NUMBER: _ClassVar[int]
    synchronized: bool
    stepped_s: float
    suspect: str
    def __init__(self, synchronized: _Optional[bool] = ..., stepped_s: _Optional[float] = ..., suspect: _Optional[str] = ...) -> None: ...

class LastCheck(_message.Message):
    __slots__ = ("ended_at", "sound", "findings", "entries")
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    SOUND_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ended_at: _timestamp_pb2.Timestamp
    sound: bool
    findings: int
    entries: int
    def __init__(self, ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sound: _Optional[bool] = ..., findings: _Optional[int] = ..., entries: _Optional[int] = ...) -> None: ...

class DamagedPlace(_message.Message):
    __slots__ = ("log", "index", "reason", "message", "first_met_at")
    LOG_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIRST_MET_AT_FIELD_NUMBER: _ClassVar[int]
    log: str
    index: int
    reason: str
    message: str
    first_met_at: _timestamp_pb2.Timestamp
    def __init__(self, log: _Optional[str] = ..., index: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., first_met_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MakeBackupRequest(_message.Message):
    __slots__ = ("since_manifest",)
    SINCE_MANIFEST_FIELD_NUMBER: _ClassVar[int]
    since_manifest: bytes
    def __init__(self, since_manifest: _Optional[bytes] = ...) -> None: ...

class MakeBackupResponse(_message.Message):
    __slots__ = ("step", "chunk")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    step: BackupStep
    chunk: BackupChunk
    def __init__(self, step: _Optional[_Union[BackupStep, _Mapping]] = ..., chunk: _Optional[_Union[BackupChunk, _Mapping]] = ...) -> None: ...

class BackupStep(_message.Message):
    __slots__ = ("name", "done", "total")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    done: int
    total: int
    def __init__(self, name: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class BackupChunk(_message.Message):
    __slots__ = ("path", "offset", "data", "sha256", "file_bytes")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    path: str
    offset: int
    data: bytes
    sha256: bytes
    file_bytes: int
    def __init__(self, path: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., sha256: _Optional[bytes] = ..., file_bytes: _Optional[int] = ...) -> None: ...
