"""Whether calls are traced; what that needs is imported only where it is."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from auditd.errors import FolderError
from auditd.server._config import Config

if TYPE_CHECKING:
    from auditd.server._tracing import Tracing

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")


def open_tracing(config: Config) -> Tracing | None:
    """Return what traces calls, None where `[tracing]` is not set; raise FolderError where it is and cannot be."""
    if config.tracing is None:
        return None
    require_tracing()
    from auditd.server._tracing import Tracing

    return Tracing(config.tracing, config.origin)


def require_tracing() -> None:
    """Raise FolderError unless what tracing needs is installed."""
    try:
        missing = [name for name in _NEEDED if find_spec(name) is None]
    except ModuleNotFoundError as error:
        missing = [error.name or "opentelemetry"]
    if missing:
        raise FolderError(
            "TRACING_MISSING", f"tracing: needs the extra `otel`: pip install 'auditd[otel]' ({missing[0]} is missing)"
        )
