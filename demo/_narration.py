"""How the tour is told: headings, commands, tables and a progress bar; plain text when piped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import indent
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 110
PROGRESS_STEP = 250

Item = TypeVar("Item")


class Narrator:
    """Prints the tour to standard output. Only what is said in its own words may hold rich's markup."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = PIPED_WIDTH
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Begin the next part."""
        self._chapter += 1
        self._console.print(f"\n[bold]{self._chapter}. {title}[/bold]")

    def say(self, text: str) -> None:
        """Print a sentence, which may hold markup."""
        self._console.print(indent(text, "   "))

    def command(self, line: str) -> None:
        """Print a command as it is run."""
        self._console.print(Text(f"   $ {line}", style="cyan", no_wrap=True, overflow="fold"), soft_wrap=True)

    def output(self, text: str, style: str = "dim") -> None:
        """Print what a command printed, as it is."""
        self._console.print(Text(indent(text.rstrip(), "   "), style=style), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows of recorded values, numbers to the right."""
        values = [tuple(row) for row in rows]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, name in enumerate(columns):
            numbers = bool(values) and all(isinstance(row[place], int) for row in values)
            table.add_column(name, justify="right" if numbers else "left", overflow="fold")
        for row in values:
            table.add_row(*(f"{value:,}" if isinstance(value, int) else escape(str(value)) for value in row))
        self._console.print(Padding(table, (0, 0, 0, 2), expand=False))

    def progress(self, what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        """Yield the items; on a terminal a bar shows how many have come."""
        columns = (
            TextColumn("   {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as progress:
            task = progress.add_task(what, total=total)
            done = 0
            for done, item in enumerate(items, 1):
                yield item
                if done % PROGRESS_STEP == 0:
                    progress.update(task, completed=done)
            progress.update(task, completed=done)
