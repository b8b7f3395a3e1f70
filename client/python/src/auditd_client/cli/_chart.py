"""Counts as tables with bars: a row a group, or a row and a column a group."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from auditd_client import Counts, Group
from auditd_client.cli._output import compact_json

NOTHING = "(none)"
_BAR_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MOST_COLUMNS = 8
_MOST_EMPTY_BUCKETS = 1_000


def value_text(value: object) -> str:
    """Return a group's value for people and CSV: a text as it is, anything else as JSON; empty if there is none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else compact_json(value)


def bars(counts: Counts, width_s: int) -> list[list[object]]:
    """Return a row for each group: value, count, share of the entries selected, bar.

    With `width_s`, the seconds of a bucket, buckets without entries stand between the others, unless there are too
    many of them.
    """
    groups = _filled(counts.groups, width_s) if width_s else counts.groups
    most = max((group.count for group in groups), default=0)
    return [
        [
            value_text(group.values[0]) or NOTHING,
            group.count,
            _share(group.count, counts.count),
            _bar(group.count, most),
        ]
        for group in groups
    ]


def cross_table(counts: Counts, most_rows: int) -> tuple[list[str], list[list[object]], int]:
    """Return header and rows of a table of pairs, and how often an entry stands in none of its cells.

    The first value names the row, the second the column; those with the highest sums are shown, and after them the
    sum of each row over all columns.
    """
    by_time = bool(counts.groups) and _is_sorted([group.values[0] for group in counts.groups])
    cells = {tuple(map(value_text, group.values)): group.count for group in counts.groups}
    row_sums: Counter[str] = Counter()
    column_sums: Counter[str] = Counter()
    for (row, column), count in cells.items():
        row_sums[row] += count
        column_sums[column] += count
    rows = [row for row, _ in row_sums.most_common(most_rows)]
    if by_time:
        rows.sort()
    columns = [column for column, _ in column_sums.most_common(_MOST_COLUMNS)]
    header = [*(column or NOTHING for column in columns), "all"]
    body: list[list[object]] = [
        [row or NOTHING, *(cells.get((row, column), 0) for column in columns), row_sums[row]] for row in rows
    ]
    shown = sum(row_sums[row] for row in rows)
    return header, body, sum(cells.values()) - shown + counts.unlisted_count


def _is_sorted(values: Sequence[object]) -> bool:
    texts = list(map(value_text, values))
    return texts == sorted(texts) and all(text.endswith("Z") for text in texts if text)


def _filled(groups: Sequence[Group], width_s: int) -> list[Group]:
    filled: list[Group] = []
    step = timedelta(seconds=width_s)
    for group in groups:
        if filled and filled[-1].values[0] is not None and group.values[0] is not None:
            moment = _moment(filled[-1].values[0]) + step
            missing = (_moment(group.values[0]) - moment) // step
            if missing <= _MOST_EMPTY_BUCKETS:
                filled += [Group((_text(moment + number * step),), 0) for number in range(missing)]
        filled.append(group)
    return filled


def _moment(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else ""


def _bar(count: int, most: int) -> str:
    eighths = round(count / most * _BAR_WIDTH * 8) if most else 0
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return "#" * (eighths // 8 or (1 if count else 0))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "") or ("▏" if count else "")
