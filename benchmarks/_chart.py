"""A picture of cost against size: lines over two logarithmic axes, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 230, 40, 50
_COLOURS = (
    *("#1b6ca8", "#c8553d", "#3a7d44", "#8e5fa8", "#b8860b", "#2a9d8f"),
    *("#6c757d", "#d4407a", "#264653", "#7f5539", "#5b8c85", "#a44200"),
)

Point = tuple[float, float]
_Place = Callable[[Point], Point]


def chart(title: str, unit: str, lines: Mapping[str, Sequence[Point]]) -> str:
    """Return the picture of named lines; their points have positive coordinates, x being a number of entries."""
    points = [point for line in lines.values() for point in line]
    x_low, x_high = _decades([x for x, _ in points])
    y_low, y_high = _decades([y for _, y in points])

    def place(point: Point) -> Point:
        x = (log10(point[0]) - x_low) / (x_high - x_low)
        y = (log10(point[1]) - y_low) / (y_high - y_low)
        return _LEFT + x * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - y * (_HEIGHT - _TOP - _BOTTOM)

    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
            ' font-size="12">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
            *_grid(range(x_low, x_high + 1), range(y_low, y_high + 1), unit, place),
            *_lines(lines, place),
            "</svg>\n",
        )
    )


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _grid(x_decades: range, y_decades: range, unit: str, place: _Place) -> Iterator[str]:
    for decade in x_decades:
        x, _ = place((10.0**decade, 10.0 ** y_decades[0]))
        yield f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" stroke="#dddddd"/>'
        yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{10**decade:,}</text>'
    for decade in y_decades:
        _, y = place((10.0 ** x_decades[0], 10.0**decade))
        yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:,g}</text>'
    yield f'<text x="{_LEFT}" y="{_HEIGHT - 10}">entries; {escape(unit)}</text>'


def _lines(lines: Mapping[str, Sequence[Point]], place: _Place) -> Iterator[str]:
    for number, (name, line) in enumerate(lines.items()):
        colour, key = _COLOURS[number % len(_COLOURS)], _TOP + 14 + 20 * number
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, line))
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in map(place, line):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        left = _WIDTH - _RIGHT + 16
        yield f'<line x1="{left}" y1="{key}" x2="{left + 18}" y2="{key}" stroke="{colour}" stroke-width="2"/>'
        yield f'<text x="{left + 24}" y="{key + 4}">{escape(name)}</text>'
