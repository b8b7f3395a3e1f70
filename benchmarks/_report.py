"""Figures, each beside its limit and its target, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value.

    With a `limit` of the same unit its ratio to that is what the `target` is about, otherwise the value itself.
    `value` is None where it could not be measured; `note` then says why.
    """

    section: str
    name: str
    value: float | None
    unit: str
    limit: float | None = None
    limit_name: str = ""
    target: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a share of the limit."""
        return None if self.value is None or not self.limit else self.value / self.limit

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None without a target, or where nothing was measured."""
        judged = self.value if self.limit is None else self.ratio
        if judged is None or self.target is None:
            return None
        return judged <= self.target if self.at_most else judged >= self.target


def as_json(figures: Iterable[Figure], about: Mapping[str, Any]) -> str:
    """Return the whole run as one JSON object."""
    items = [{**asdict(figure), "ratio": figure.ratio, "holds": figure.holds} for figure in figures]
    return json.dumps({"about": about, "figures": items}, indent=1)


def print_tables(figures: Sequence[Figure], about: Mapping[str, Any], console: Console) -> None:
    """Print a table a section, in the order of the figures."""
    console.print(", ".join(f"{name} {value}" for name, value in about.items()), style="dim")
    for section, rows in groupby(figures, key=lambda figure: figure.section):
        table = Table(box=box.SIMPLE_HEAD, title=section, title_justify="left", title_style="bold", pad_edge=False)
        table.add_column("figure")
        for heading in ("measured", "limit of this run", "ratio", "target"):
            table.add_column(heading, justify="right")
        table.add_column("")
        for figure in rows:
            table.add_row(*row(figure), style="red" if figure.holds is False else None)
        console.print(table)


def row(figure: Figure) -> tuple[str, str, str, str, str, str]:
    """Return a figure's cells: name, measured, limit, ratio, target, note."""
    measured = "not measured" if figure.value is None else f"{_number(figure.value)} {figure.unit}".rstrip()
    limit = "" if figure.limit is None else f"{figure.limit_name}: {_number(figure.limit)}".removeprefix(": ")
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    target = "" if figure.target is None else f"{'≤' if figure.at_most else '≥'} {_number(figure.target)}"
    if figure.holds is not None:
        target += " ✓" if figure.holds else " ✗"
    return figure.name, measured, limit, ratio, target, figure.note


def as_markdown(figures: Sequence[Figure]) -> str:
    """Return the tables of all sections for a document."""
    lines: list[str] = []
    for section, rows in groupby(figures, key=lambda figure: figure.section):
        lines += [f"### {section}", "", "| figure | measured | limit | ratio | target | |", "|---|--:|--:|--:|--:|---|"]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row(figure)) + " |" for figure in rows]
        lines.append("")
    return "\n".join(lines)


def _number(value: float) -> str:
    """Three significant digits at least; thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
