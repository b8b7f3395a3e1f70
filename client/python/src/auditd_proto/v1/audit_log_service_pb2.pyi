import datetime

from auditd_proto.v1 import event_pb2 as _event_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TokenVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOKEN_VERDICT_UNSPECIFIED: _ClassVar[TokenVerdict]
    VERIFIED: _ClassVar[TokenVerdict]
    NOT_YET_RECORDED: _ClassVar[TokenVerdict]
    SIGNATURE_LOST: _ClassVar[TokenVerdict]
    KEY_UNKNOWN: _ClassVar[TokenVerdict]
    CLAIMS_DROPPED: _ClassVar[TokenVerdict]
    INVALID: _ClassVar[TokenVerdict]

class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_UNSPECIFIED: _ClassVar[Order]
    ORDER_NEWEST_FIRST: _ClassVar[Order]
    ORDER_OLDEST_FIRST: _ClassVar[Order]
    ORDER_LATEST_EVENT_FIRST: _ClassVar[Order]
    ORDER_EARLIEST_EVENT_FIRST: _ClassVar[Order]

class NarrowedBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NARROWED_BY_UNSPECIFIED: _ClassVar[NarrowedBy]
    NARROWED_BY_RANGE: _ClassVar[NarrowedBy]
    NARROWED_BY_FIELDS: _ClassVar[NarrowedBy]
    NARROWED_BY_TEXT: _ClassVar[NarrowedBy]
    NARROWED_BY_EVENT_TIME: _ClassVar[NarrowedBy]
TOKEN_VERDICT_UNSPECIFIED: TokenVerdict
VERIFIED: TokenVerdict
NOT_YET_RECORDED: TokenVerdict
SIGNATURE_LOST: TokenVerdict
KEY_UNKNOWN: TokenVerdict
CLAIMS_DROPPED: TokenVerdict
INVALID: TokenVerdict
ORDER_UNSPECIFIED: Order
ORDER_NEWEST_FIRST: Order
ORDER_OLDEST_FIRST: Order
ORDER_LATEST_EVENT_FIRST: Order
ORDER_EARLIEST_EVENT_FIRST: Order
NARROWED_BY_UNSPECIFIED: NarrowedBy
NARROWED_BY_RANGE: NarrowedBy
NARROWED_BY_FIELDS: NarrowedBy
NARROWED_BY_TEXT: NarrowedBy
NARROWED_BY_EVENT_TIME: NarrowedBy

class AppendRequest(_message.Message):
    __slots__ = ("log", "events", "return_leaves", "include_proofs", "known_size")
    LOG_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RETURN_LEAVES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PROOFS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_SIZE_FIELD_NUMBER: _ClassVar[int]
    log: str
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    return_leaves: bool
    include_proofs: bool
    known_size: int
    def __init__(self, log: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., return_leaves: _Optional[bool] = ..., include_proofs: _Optional[bool] = ..., known_size: _Optional[int] = ...) -> None: ...

class AppendResponse(_message.Message):
    __slots__ = ("receipts", "checkpoint", "consistency_proof", "earlier_checkpoints")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_PROOF_FIELD_NUMBER: _ClassVar[int]
    EARLIER_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    checkpoint: str
    consistency_proof: _containers.RepeatedScalarFieldContainer[bytes]
    earlier_checkpoints: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., checkpoint: _Optional[str] = ..., consistency_proof: _Optional[_Iterable[bytes]] = ..., earlier_checkpoints: _Optional[_Iterable[str]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("index", "recorded_at", "leaf_hash", "duplicate", "leaf", "inclusion_proof", "earlier")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    LEAF_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_PROOF_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    index: int
    recorded_at: _timestamp_pb2.Timestamp
    leaf_hash: bytes
    duplicate: bool
    leaf: bytes
    inclusion_proof: _containers.RepeatedScalarFieldContainer[bytes]
    earlier: int
    def __init__(self, index: _Optional[int] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., leaf_hash: _Optional[bytes] = ..., duplicate: _Optional[bool] = ..., leaf: _Optional[bytes] = ..., inclusion_proof: _Optional[_Iterable[bytes]] = ..., earlier: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("log", "index", "verify_tokens")
    LOG_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VERIFY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    log: str
    index: int
    verify_tokens: bool
    def __init__(self, log: _Optional[str] = ..., index: _Optional[int] = ..., verify_tokens: _Optional[bool] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("index", "leaf", "caller_token", "actor_token", "inclusion_proof", "origin")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEAF_FIELD_NUMBER: _ClassVar[int]
    CALLER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACTOR_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_PROOF_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    index: int
    leaf: bytes
    caller_token: TokenVerdict
    actor_token: TokenVerdict
    inclusion_proof: _containers.RepeatedScalarFieldContainer[bytes]
    origin: str
    def __init__(self, index: _Optional[int] = ..., leaf: _Optional[bytes] = ..., caller_token: _Optional[_Union[TokenVerdict, str]] = ..., actor_token: _Optional[_Union[TokenVerdict, str]] = ..., inclusion_proof: _Optional[_Iterable[bytes]] = ..., origin: _Optional[str] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("log", "filter", "page_size", "page_token", "order", "no_index", "verify_tokens", "explain", "max_wait_ms", "origin")
    LOG_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    NO_INDEX_FIELD_NUMBER: _ClassVar[int]
    VERIFY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    log: str
    filter: str
    page_size: int
    page_token: str
    order: Order
    no_index: bool
    verify_tokens: bool
    explain: bool
    max_wait_ms: int
    origin: str
    def __init__(self, log: _Optional[str] = ..., filter: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order: _Optional[_Union[Order, str]] = ..., no_index: _Optional[bool] = ..., verify_tokens: _Optional[bool] = ..., explain: _Optional[bool] = ..., max_wait_ms: _Optional[int] = ..., origin: _Optional[str] = ...) -> None: ...

class Narrowing(_message.Message):
    __slots__ = ("by", "detail")
    BY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    by: NarrowedBy
    detail: str
    def __init__(self, by: _Optional[_Union[NarrowedBy, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("narrowings", "in_range", "examined", "uncovered", "duration_us")
    NARROWINGS_FIELD_NUMBER: _ClassVar[int]
    IN_RANGE_FIELD_NUMBER: _ClassVar[int]
    EXAMINED_FIELD_NUMBER: _ClassVar[int]
    UNCOVERED_FIELD_NUMBER: _ClassVar[int]
    DURATION_US_FIELD_NUMBER: _ClassVar[int]
    narrowings: _containers.RepeatedCompositeFieldContainer[Narrowing]
    in_range: int
    examined: int
    uncovered: int
    duration_us: int
    def __init__(self, narrowings: _Optional[_Iterable[_Union[Narrowing, _Mapping]]] = ..., in_range: _Optional[int] = ..., examined: _Optional[int] = ..., uncovered: _Optional[int] = ..., duration_us: _Optional[int] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "tree_size", "explanation")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    tree_size: int
    explanation: Explanation
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., tree_size: _Optional[int] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ...) -> None: ...

class ProveRequest(_message.Message):
    __slots__ = ("log", "inclusion", "event_name", "consistency", "range", "entries", "leaf_hashes")
    LOG_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    EVENT_NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASHES_FIELD_NUMBER: _ClassVar[int]
    log: str
    inclusion: InclusionTarget
    event_name: EventNameTarget
    consistency: ConsistencyTarget
    range: RangeTarget
    entries: EntriesTarget
    leaf_hashes: LeafHashesTarget
    def __init__(self, log: _Optional[str] = ..., inclusion: _Optional[_Union[InclusionTarget, _Mapping]] = ..., event_name: _Optional[_Union[EventNameTarget, _Mapping]] = ..., consistency: _Optional[_Union[ConsistencyTarget, _Mapping]] = ..., range: _Optional[_Union[RangeTarget, _Mapping]] = ..., entries: _Optional[_Union[EntriesTarget, _Mapping]] = ..., leaf_hashes: _Optional[_Union[LeafHashesTarget, _Mapping]] = ...) -> None: ...

class InclusionTarget(_message.Message):
    __slots__ = ("index", "tree_size")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    index: int
    tree_size: int
    def __init__(self, index: _Optional[int] = ..., tree_size: _Optional[int] = ...) -> None: ...

class EventNameTarget(_message.Message):
    __slots__ = ("issuer", "subject", "id", "time", "tree_size")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    subject: str
    id: str
    time: _timestamp_pb2.Timestamp
    tree_size: int
    def __init__(self, issuer: _Optional[str] = ..., subject: _Optional[str] = ..., id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tree_size: _Optional[int] = ...) -> None: ...

class ConsistencyTarget(_message.Message):
    __slots__ = ("from_size", "to_size")
    FROM_SIZE_FIELD_NUMBER: _ClassVar[int]
    TO_SIZE_FIELD_NUMBER: _ClassVar[int]
    from_size: int
    to_size: int
    def __init__(self, from_size: _Optional[int] = ..., to_size: _Optional[int] = ...) -> None: ...

class IndexRange(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class RangeTarget(_message.Message):
    __slots__ = ("first", "last", "tree_size")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    tree_size: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., tree_size: _Optional[int] = ...) -> None: ...

class EntriesTarget(_message.Message):
    __slots__ = ("ranges", "tree_size", "within")
    RANGES_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    ranges: _containers.RepeatedCompositeFieldContainer[IndexRange]
    tree_size: int
    within: IndexRange
    def __init__(self, ranges: _Optional[_Iterable[_Union[IndexRange, _Mapping]]] = ..., tree_size: _Optional[int] = ..., within: _Optional[_Union[IndexRange, _Mapping]] = ...) -> None: ...

class LeafHashesTarget(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class ProveResponse(_message.Message):
    __slots__ = ("inclusion", "consistency", "entries", "leaf_hashes", "checkpoint")
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASHES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    inclusion: InclusionProof
    consistency: ConsistencyProof
    entries: EntriesProof
    leaf_hashes: LeafHashes
    checkpoint: str
    def __init__(self, inclusion: _Optional[_Union[InclusionProof, _Mapping]] = ..., consistency: _Optional[_Union[ConsistencyProof, _Mapping]] = ..., entries: _Optional[_Union[EntriesProof, _Mapping]] = ..., leaf_hashes: _Optional[_Union[LeafHashes, _Mapping]] = ..., checkpoint: _Optional[str] = ...) -> None: ...

class InclusionProof(_message.Message):
    __slots__ = ("index", "tree_size", "hashes", "leaf")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    LEAF_FIELD_NUMBER: _ClassVar[int]
    index: int
    tree_size: int
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    leaf: bytes
    def __init__(self, index: _Optional[int] = ..., tree_size: _Optional[int] = ..., hashes: _Optional[_Iterable[bytes]] = ..., leaf: _Optional[bytes] = ...) -> None: ...

class ConsistencyProof(_message.Message):
    __slots__ = ("from_size", "to_size", "hashes")
    FROM_SIZE_FIELD_NUMBER: _ClassVar[int]
    TO_SIZE_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    from_size: int
    to_size: int
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, from_size: _Optional[int] = ..., to_size: _Optional[int] = ..., hashes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EntriesProof(_message.Message):
    __slots__ = ("tree_size", "hashes")
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    tree_size: int
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, tree_size: _Optional[int] = ..., hashes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class LeafHashes(_message.Message):
    __slots__ = ("first", "hashes")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    first: int
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, first: _Optional[int] = ..., hashes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("log", "known_size")
    LOG_FIELD_NUMBER: _ClassVar[int]
    KNOWN_SIZE_FIELD_NUMBER: _ClassVar[int]
    log: str
    known_size: int
    def __init__(self, log: _Optional[str] = ..., known_size: _Optional[int] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint", "consistency_proof")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_PROOF_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    consistency_proof: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, checkpoint: _Optional[str] = ..., consistency_proof: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetCredentialRequest(_message.Message):
    __slots__ = ("log", "credential")
    LOG_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    log: str
    credential: bytes
    def __init__(self, log: _Optional[str] = ..., credential: _Optional[bytes] = ...) -> None: ...

class GetCredentialResponse(_message.Message):
    __slots__ = ("credential",)
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    credential: Credential
    def __init__(self, credential: _Optional[_Union[Credential, _Mapping]] = ...) -> None: ...

class Credential(_message.Message):
    __slots__ = ("credential", "issuer", "header", "payload", "signature_hash", "signature", "key_thumbprint", "key_jwk", "verdict")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_THUMBPRINT_FIELD_NUMBER: _ClassVar[int]
    KEY_JWK_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    credential: bytes
    issuer: str
    header: str
    payload: str
    signature_hash: bytes
    signature: str
    key_thumbprint: str
    key_jwk: str
    verdict: TokenVerdict
    def __init__(self, credential: _Optional[bytes] = ..., issuer: _Optional[str] = ..., header: _Optional[str] = ..., payload: _Optional[str] = ..., signature_hash: _Optional[bytes] = ..., signature: _Optional[str] = ..., key_thumbprint: _Optional[str] = ..., key_jwk: _Optional[str] = ..., verdict: _Optional[_Union[TokenVerdict, str]] = ...) -> None: ...

class TailRequest(_message.Message):
    __slots__ = ("log", "filter", "from_index", "known_size", "include_proofs", "heartbeat_s", "origin")
    LOG_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FROM_INDEX_FIELD_NUMBER: _ClassVar[int]
    KNOWN_SIZE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PROOFS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_S_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    log: str
    filter: str
    from_index: int
    known_size: int
    include_proofs: bool
    heartbeat_s: int
    origin: str
    def __init__(self, log: _Optional[str] = ..., filter: _Optional[str] = ..., from_index: _Optional[int] = ..., known_size: _Optional[int] = ..., include_proofs: _Optional[bool] = ..., heartbeat_s: _Optional[int] = ..., origin: _Optional[str] = ...) -> None: ...

class TailResponse(_message.Message):
    __slots__ = ("first_index", "entries", "next_index", "checkpoint", "consistency_proof", "successor", "closing")
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_PROOF_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_index: int
    checkpoint: str
    consistency_proof: _containers.RepeatedScalarFieldContainer[bytes]
    successor: str
    closing: str
    def __init__(self, first_index: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_index: _Optional[int] = ..., checkpoint: _Optional[str] = ..., consistency_proof: _Optional[_Iterable[bytes]] = ..., successor: _Optional[str] = ..., closing: _Optional[str] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("log", "filter", "resume_token", "no_index", "verify_tokens")
    LOG_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NO_INDEX_FIELD_NUMBER: _ClassVar[int]
    VERIFY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    log: str
    filter: str
    resume_token: str
    no_index: bool
    verify_tokens: bool
    def __init__(self, log: _Optional[str] = ..., filter: _Optional[str] = ..., resume_token: _Optional[str] = ..., no_index: _Optional[bool] = ..., verify_tokens: _Optional[bool] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("first_index", "entries", "next_index", "tree_size", "resume_token", "checkpoint")
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_index: int
    tree_size: int
    resume_token: str
    checkpoint: str
    def __init__(self, first_index: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_index: _Optional[int] = ..., tree_size: _Optional[int] = ..., resume_token: _Optional[str] = ..., checkpoint: _Optional[str] = ...) -> None: ...

class Dimension(_message.Message):
    __slots__ = ("field", "bucket_s")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    BUCKET_S_FIELD_NUMBER: _ClassVar[int]
    field: str
    bucket_s: int
    def __init__(self, field: _Optional[str] = ..., bucket_s: _Optional[int] = ...) -> None: ...

class AggregateRequest(_message.Message):
    __slots__ = ("log", "filter", "by", "max_groups", "page_token", "no_index", "origin")
    LOG_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    MAX_GROUPS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NO_INDEX_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    log: str
    filter: str
    by: _containers.RepeatedCompositeFieldContainer[Dimension]
    max_groups: int
    page_token: str
    no_index: bool
    origin: str
    def __init__(self, log: _Optional[str] = ..., filter: _Optional[str] = ..., by: _Optional[_Iterable[_Union[Dimension, _Mapping]]] = ..., max_groups: _Optional[int] = ..., page_token: _Optional[str] = ..., no_index: _Optional[bool] = ..., origin: _Optional[str] = ...) -> None: ...

class AggregateResponse(_message.Message):
    __slots__ = ("count", "groups", "unlisted_count", "unlisted_max", "max_error", "first_index", "next_index", "tree_size", "next_page_token", "examined")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    UNLISTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNLISTED_MAX_FIELD_NUMBER: _ClassVar[int]
    MAX_ERROR_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    NEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXAMINED_FIELD_NUMBER: _ClassVar[int]
    count: int
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    unlisted_count: int
    unlisted_max: int
    max_error: int
    first_index: int
    next_index: int
    tree_size: int
    next_page_token: str
    examined: int
    def __init__(self, count: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ..., unlisted_count: _Optional[int] = ..., unlisted_max: _Optional[int] = ..., max_error: _Optional[int] = ..., first_index: _Optional[int] = ..., next_index: _Optional[int] = ..., tree_size: _Optional[int] = ..., next_page_token: _Optional[str] = ..., examined: _Optional[int] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("values", "count")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    count: int
    def __init__(self, values: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ...) -> None: ...

class ListLogsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLogsResponse(_message.Message):
    __slots__ = ("logs",)
    LOGS_FIELD_NUMBER: _ClassVar[int]
    logs: _containers.RepeatedCompositeFieldContainer[Log]
    def __init__(self, logs: _Optional[_Iterable[_Union[Log, _Mapping]]] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("name", "origin", "verifier_key", "tree_size", "successor", "closing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    name: str
    origin: str
    verifier_key: str
    tree_size: int
    successor: str
    closing: str
    def __init__(self, name: _Optional[str] = ..., origin: _Optional[str] = ..., verifier_key: _Optional[str] = ..., tree_size: _Optional[int] = ..., successor: _Optional[str] = ..., closing: _Optional[str] = ...) -> None: ...
