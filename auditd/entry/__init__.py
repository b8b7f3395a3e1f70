"""The event model, its limits and checks, and the encoding of leaves."""

from ._actor import ContradictionError, TokenActor, splice_unjudged
from ._attributes import AttributesError, encode_attributes
from ._batch import Act, ActorEdit, EncodedBatch, EventBatch, NativeBatch
from ._bounds import time_violations
from ._caller import CallerKind, encode_caller
from ._duplicate import difference, difference_of
from ._encode import EncodedEvent, encode_event, encode_events, judge_events, require_count, require_none
from ._key import KEY_BYTES, KeyMaker, event_key
from ._leaf import LeafTemplate, attributes_text, event_text, parse_leaf
from ._limits import MAX_EVENT_BYTES, MAX_LEAF_BYTES, SALT_BYTES, Limits
from ._model import Actor, Event, EventLike, Origin, Producer, Resource, Time
from ._schema import leaf_schema
from ._time import parse_time, recorded_at_text, time_text

__all__ = [
    "KEY_BYTES",
    "MAX_EVENT_BYTES",
    "MAX_LEAF_BYTES",
    "SALT_BYTES",
    "Act",
    "Actor",
    "ActorEdit",
    "AttributesError",
    "CallerKind",
    "ContradictionError",
    "EncodedBatch",
    "EncodedEvent",
    "Event",
    "EventBatch",
    "EventLike",
    "KeyMaker",
    "LeafTemplate",
    "Limits",
    "NativeBatch",
    "Origin",
    "Producer",
    "Resource",
    "Time",
    "TokenActor",
    "attributes_text",
    "difference",
    "difference_of",
    "encode_attributes",
    "encode_caller",
    "encode_event",
    "encode_events",
    "event_key",
    "event_text",
    "judge_events",
    "leaf_schema",
    "parse_leaf",
    "parse_time",
    "recorded_at_text",
    "require_count",
    "require_none",
    "splice_unjudged",
    "time_text",
    "time_violations",
]
