"""The mark on a restored log: nothing is recorded in it until it is proven that nothing is missing."""

from __future__ import annotations

from pathlib import Path

from auditd.log._durable import sync
from auditd.regular_file import open_regular

MARK_NAME = "restored"


def mark_restored(folder: Path, made_at: str) -> None:
    """Mark the log in `folder` as restored from a backup made at this time."""
    (folder / MARK_NAME).write_text(f"{made_at}\n", encoding="utf-8")


def restored_from(folder: Path) -> str | None:
    """Return when the backup was made that the log in `folder` was restored from; None if it was not, or went on."""
    try:
        # Whatever it holds, a mark that is there counts.
        with open_regular(folder / MARK_NAME) as file:
            return file.read().decode(errors="replace").strip() or "an unknown time"
    except FileNotFoundError:
        return None


def unmark_restored(folder: Path) -> None:
    """Take the mark away, durably."""
    (folder / MARK_NAME).unlink()
    sync(folder)
