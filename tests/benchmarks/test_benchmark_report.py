"""How figures are judged and shown."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from benchmarks._report import Figure, as_json, as_markdown, print_tables, row


def figure(value, **more) -> Figure:
    return Figure(section="A section", name="a figure", value=value, unit="events/s", **more)


@pytest.mark.parametrize(
    ("judged", "holds"),
    [
        pytest.param(figure(50.0, limit=100.0, target=0.5), True, id="ratio just reached"),
        pytest.param(figure(49.0, limit=100.0, target=0.5), False, id="ratio missed"),
        pytest.param(figure(30.0, limit=100.0, target=0.3, at_most=True), True, id="ratio not passed"),
        pytest.param(figure(31.0, limit=100.0, target=0.3, at_most=True), False, id="ratio passed"),
        pytest.param(figure(8_000.0, target=8_000), True, id="value reached"),
        pytest.param(figure(99.0, target=100, at_most=True), True, id="value not passed"),
        pytest.param(figure(101.0, target=100, at_most=True), False, id="value passed"),
        pytest.param(figure(5.0), None, id="no target"),
        pytest.param(figure(None, target=1), None, id="not measured"),
        pytest.param(figure(None, limit=2.0, target=1), None, id="not measured, with a limit"),
    ],
)
def test_a_figure_is_judged_by_its_ratio_or_else_its_value(judged, holds):
    assert judged.holds is holds


@pytest.mark.parametrize(
    ("shown", "cells"),
    [
        pytest.param(
            figure(54_321.6, limit=100_000.0, limit_name="raw SQLite", target=0.5, note="n"),
            ("a figure", "54,322 events/s", "raw SQLite: 100,000", "0.54", "≥ 0.50 ✓", "n"),
            id="with a limit",
        ),
        pytest.param(
            figure(None, target=8_000), ("a figure", "not measured", "", "", "≥ 8,000", ""), id="not measured"
        ),
        pytest.param(figure(0.256), ("a figure", "0.26 events/s", "", "", "", ""), id="small"),
        pytest.param(
            figure(12.34, target=10, at_most=True), ("a figure", "12.3 events/s", "", "", "≤ 10.0 ✗", ""), id="missed"
        ),
    ],
)
def test_a_figure_is_shown_with_its_limit_and_target(shown, cells):
    assert row(shown) == cells


def test_json_holds_every_figure_with_ratio_and_verdict():
    run = json.loads(as_json([figure(50.0, limit=200.0, target=0.5), figure(None)], {"cores": 2}))
    assert run["about"] == {"cores": 2}
    first, second = run["figures"]
    assert (first["value"], first["limit"], first["ratio"], first["holds"]) == (50.0, 200.0, 0.25, False)
    assert (second["value"], second["ratio"], second["holds"]) == (None, None, None)


def test_tables_have_a_title_a_section_in_the_order_of_the_figures():
    console = Console(file=io.StringIO(), width=160)
    print_tables([figure(1.0), Figure(section="Next", name="other", value=2.0, unit="s")], {"cores": 2}, console)
    printed = console.file.getvalue()
    assert printed.index("A section") < printed.index("a figure") < printed.index("Next") < printed.index("other")


def test_markdown_escapes_what_would_end_a_cell():
    assert "| a \\| b |" in as_markdown([figure(1.0, note="a | b")])
