"""The filter language: text to syntax tree to predicate."""

from auditd.filter._ast import (
    EVERYTHING,
    And,
    Comparison,
    Constant,
    Filter,
    FreeText,
    Network,
    Not,
    Number,
    Operator,
    Or,
    Pattern,
    Period,
    Present,
    Relative,
    Text,
    Time,
    Value,
)
from auditd.filter._bind import bind, substitute
from auditd.filter._describe import describe
from auditd.filter._fields import FIELDS, Field, Kind, field_at
from auditd.filter._limits import DEFAULT_LIMITS, Limits
from auditd.filter._parse import parse
from auditd.filter._predicate import Predicate, compile_predicate, is_sealed
from auditd.filter._raw import compile_raw
from auditd.filter._sieve import Sieve
from auditd.filter._values import Spelling, address_of, canonical_time, leaf_time, time_ns, typed_value

__all__ = [
    "DEFAULT_LIMITS",
    "EVERYTHING",
    "FIELDS",
    "And",
    "Comparison",
    "Constant",
    "Field",
    "Filter",
    "FreeText",
    "Kind",
    "Limits",
    "Network",
    "Not",
    "Number",
    "Operator",
    "Or",
    "Pattern",
    "Period",
    "Predicate",
    "Present",
    "Relative",
    "Sieve",
    "Spelling",
    "Text",
    "Time",
    "Value",
    "address_of",
    "bind",
    "canonical_time",
    "compile_predicate",
    "compile_raw",
    "describe",
    "field_at",
    "is_sealed",
    "leaf_time",
    "parse",
    "substitute",
    "time_ns",
    "typed_value",
]
