"""What the server says to its operator: one event a line, JSON for machines, text on a terminal."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from auditd.server._config import LoggingSettings

MAX_TEXT = 4_096
ANNOUNCEMENTS = "auditlog"
"""Whoever says something under this name is heard at any level."""
_GRPC_CALLS, _NOT_SENT = "grpc._cython.cygrpc", "ExecuteBatchError"
_SECRETS = re.compile(
    r"[Bb]earer\s+[^\s\"']+"
    # A JWT, whole or cut off: its header is a JSON object in base64url, which begins like this.
    r"|eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){0,4}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)

Event = MutableMapping[str, Any]


def configure_logging(settings: LoggingSettings, stream: TextIO) -> bool:
    """Have all that is said from now on go to `stream`; return whether as JSON lines."""
    as_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _safe,
        _as_json if as_json else _as_text,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # They say at `info` what every request of theirs was, which is theirs to know.
    for name in ("httpx", "httpcore", "asyncio", "grpc"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger(ANNOUNCEMENTS).setLevel(logging.INFO)
    logging.getLogger(_GRPC_CALLS).addFilter(_is_of_a_call_under_way)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return as_json


def event_logger(name: str) -> Any:  # noqa: ANN401 -- structlog's own loggers are of any class
    """Return a logger whose methods take an event and what belongs to it, as keywords."""
    return structlog.stdlib.get_logger(name)


def _is_of_a_call_under_way(record: logging.LogRecord) -> bool:
    """Leave out that something could not be sent to a caller who is gone.

    gRPC keeps silent about it itself, unless it is told of the failure before it is told of the end of the call.
    """
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ != _NOT_SENT


def _safe(_logger: object, _method: str, event: Event) -> Event:
    return {str(key): _cleaned(value) for key, value in event.items()}


def _cleaned(value: object) -> Any:  # noqa: ANN401 -- as JSON can
    if isinstance(value, str):
        found = _SECRETS.sub("[secret]", value)
        return found if len(found) <= MAX_TEXT else found[:MAX_TEXT] + "…"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_cleaned(item) for item in value]
    return _cleaned(str(value))


def _as_json(_logger: object, _method: str, event: Event) -> str:
    first = {"time": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event")}
    return json.dumps({**first, **event}, ensure_ascii=True, separators=(",", ":"))


def _as_text(_logger: object, _method: str, event: Event) -> str:
    time, level, said = event.pop("timestamp"), event.pop("level").upper(), event.pop("event")
    name, trace = event.pop("logger", ""), event.pop("exception", "")
    more = "".join(f" {key}={_printable(str(value))}" for key, value in event.items())
    lines = [f"{time} {level} {name}: {_printable(str(said))}{more}", *map(_printable, str(trace).splitlines())]
    return "\n".join(lines)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
