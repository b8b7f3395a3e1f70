"""Progress of long work on stderr, if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Self


def no_progress(_steps: int, _count: int) -> None:
    """Show nothing."""


@contextmanager
def progress(label: str, total: int | None = None, unit: str = "events") -> Iterator[Callable[[int, int], None]]:
    """Show a bar until the block ends; call what it yields with (steps done, units counted), both added up.

    `total` counts steps, such as bytes read; without it the bar says only that work goes on.
    """
    if not sys.stderr.isatty():
        yield no_progress
        return
    # Not at the top: scripts do not need it.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]:,} " + unit, markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, count=0)

        def advance(steps: int, count: int) -> None:
            bar.update(task, advance=steps, count=bar.tasks[task].fields["count"] + count)

        yield advance


class ExportBar:
    """A bar that appears once it is known how much there is."""

    def __init__(self, *, hidden: bool = False) -> None:
        self._hidden = hidden
        self._stack = ExitStack()
        self._advance = None if not hidden else lambda _steps, _count: None
        self._at = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stands_at(self, considered: int, total: int, rows: int) -> None:
        """Show how far the export has come."""
        if self._advance is None:
            self._advance = self._stack.enter_context(progress("export", total or None, unit="entries"))
        self._advance(considered - self._at[0], rows - self._at[1])
        self._at = (considered, rows)
