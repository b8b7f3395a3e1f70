"""Progress of long work on stderr, if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from auditd_client.cli._escape import shown

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_MAX_BARS = 100


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


class Bars:
    """A bar for each part of long work, by its name."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, name: str, done: int, total: int) -> None:
        """Show how far a part is."""
        if self._progress is None:
            return
        if name not in self._tasks:
            if len(self._tasks) >= _MAX_BARS:  # names come from a server, too
                return
            self._tasks[name] = self._progress.add_task(shown(name), total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)
