"""When this release was built: the earliest moment that a right clock can show to it."""

from __future__ import annotations

from datetime import UTC, datetime

BUILT = datetime(2026, 11, 24, tzinfo=UTC)
"""Set by whoever makes a release, never later than the release itself."""

BUILT_NS = int(BUILT.timestamp()) * 1_000_000_000
