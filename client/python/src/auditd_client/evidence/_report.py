"""The report: the entries for people, one HTML page without scripts; the same entries always give the same bytes."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from auditd_client.cli._escape import shown
from auditd_client.evidence._layout import ENTRIES, PROOF, Manifest, PackedFile
from auditd_client.verify import Checkpoint, Leaf

MAX_ROWS = 1_000
"""Entries shown one by one; more than a person reads, and a browser still prints them."""

_MAX_TEXT = 300
_MAX_ADDRESS = 45
_MAX_DISTINCT = 10_000
_SHOWN_COUNTS = 8
_MAX_BUCKETS = 62
_OUTCOMES = {"SUCCESS": "success", "FAILURE": "failure", "DENIED": "denied"}


class Report:
    """Gathers what the report says while the entries pass by; what it keeps does not grow with their number."""

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in ("action", "actor", "caller", "outcome")}
        self._days: Counter[str] = Counter()
        self._count = 0
        self._first = self._last = 0
        self._recorded = ["", ""]

    def add(self, leaf: Leaf) -> None:
        """Take in the next entry."""
        if not self._count:
            self._first, self._recorded[0] = leaf.index, leaf.recorded_at
        self._last, self._recorded[1] = leaf.index, leaf.recorded_at
        self._count += 1
        event = leaf.event
        self._tally("action", _plain(event.get("action")))
        self._tally("actor", _actor(event.get("actor")) or "not stated")
        self._tally("caller", _plain(leaf.caller.get("sub")) or _plain(leaf.caller.get("kind")))
        self._tally("outcome", _plain(event.get("outcome")) or "not stated")
        day = _plain(event.get("time"))[:10]
        if day in self._days or len(self._days) < _MAX_DISTINCT:
            self._days[day] += 1
        if len(self._rows) < MAX_ROWS:
            self._rows.append(_row(leaf))

    def render(
        self,
        manifest: Manifest,
        checkpoints: Sequence[Checkpoint],
        listed: Mapping[str, PackedFile],
        tokens: Sequence[tuple[str, str]],
    ) -> bytes:
        """Return the page; `tokens` are lines, name and value, of what is known of the callers' tokens."""
        tree = next(checkpoint for checkpoint in checkpoints if checkpoint.size == manifest.tree_size)
        between = self._last - self._first + 1
        values = {
            "origin": _text(manifest.origin),
            "count": f"{self._count:,}",
            "noun": "entry" if self._count == 1 else "entries",
            "claim": _claim(self._count, self._first, self._last),
            "facts": _facts(self._header_facts(manifest)),
            "proof_facts": _facts(_proof_facts(manifest, tree, between - self._count, listed)),
            "token_facts": _facts(tokens),
            "days": self._chart(),
            "counts": "".join(
                self._table(title, name)
                for title, name in (("What", "action"), ("Who", "actor"), ("Outcome", "outcome"), ("Sent by", "caller"))
            ),
            "rows": "".join(self._rows),
            "cut": _cut_note(self._count),
            "checkpoints": "".join(f"<pre>{_lines(checkpoint.note)}</pre>" for checkpoint in checkpoints),
            "tree_size": f"{manifest.tree_size:,}",
            "made_by": _text(manifest.made_by),
            "style": _resource("report.css"),
        }
        return Template(_resource("report.html")).substitute(values).encode()

    def _header_facts(self, manifest: Manifest) -> Iterable[tuple[str, str]]:
        yield "Log", manifest.origin
        yield "Entries", f"{self._count:,}, from {self._first} to {self._last}"
        yield "Recorded", f"{_minute(self._recorded[0])} to {_minute(self._recorded[1])} UTC"
        yield "Asked for", manifest.filter or "everything"
        yield (
            "Exported",
            f"{_minute(manifest.exported_at)} UTC" + (f" by {manifest.exported_by}" if manifest.exported_by else ""),
        )

    def _tally(self, name: str, value: str) -> None:
        counts = self._counts[name]
        value = value[:_MAX_TEXT]
        counts[value if value in counts or len(counts) < _MAX_DISTINCT else "others"] += 1

    def _table(self, title: str, name: str) -> str:
        ranked = sorted(self._counts[name].items(), key=lambda item: (-item[1], item[0]))
        top = ranked[0][1]
        lines = [
            f'<tr><td>{_text(value)}</td><td class="number">{count:,}</td>'
            f'<td class="bar"><i style="width:{_percent(count, top)}%"></i></td></tr>'
            for value, count in ranked[:_SHOWN_COUNTS]
        ]
        if rest := ranked[_SHOWN_COUNTS:]:
            total = sum(count for _, count in rest)
            more = f"{len(rest):,} more"
            lines.append(f'<tr class="rest"><td>{more}</td><td class="number">{total:,}</td><td></td></tr>')
        return f'<section class="tally"><h3>{title}</h3><table>{"".join(lines)}</table></section>'

    def _chart(self) -> str:
        """Return columns, one for each day or month on which something was recorded."""
        counts, unit = self._days, "day"
        if len(counts) > _MAX_BUCKETS:
            counts, unit = Counter(), "month"
            for day, count in self._days.items():
                counts[day[:7]] += count
        buckets = sorted(counts.items())[-_MAX_BUCKETS:]
        if len(buckets) < 2:
            return ""
        top = max(count for _, count in buckets)
        columns = "".join(
            f'<i style="height:{_percent(count, top)}%" title="{_text(day)}: {count:,}"></i>' for day, count in buckets
        )
        labels = (buckets[0][0], f"{top:,} at most a {unit}", buckets[-1][0])
        axis = "".join(f"<span>{_text(label)}</span>" for label in labels)
        return f'<div class="chart">{columns}</div><div class="axis">{axis}</div>'


def _row(leaf: Leaf) -> str:
    event = leaf.event
    outcome = _plain(event.get("outcome"))
    badge = f'<b class="{_OUTCOMES.get(outcome, "other")}">{_text(outcome.lower())}</b>' if outcome else ""
    origin = event.get("origin")
    place = _plain(origin.get("ip")) if isinstance(origin, Mapping) else ""
    caller = _plain(leaf.caller.get("sub")) or _plain(leaf.caller.get("kind"))
    details = [f"sent by {_text(caller)}"]
    if reason := _plain(event.get("reason")):
        details.insert(0, f"<q>{_text(reason)}</q>")
    if leaf.attributes_text:
        details.append(f"<code>{_text(leaf.attributes_text)}</code>")
    return (
        f'<tbody><tr><td class="number">{leaf.index}</td><td class="time">{_text(_second(event.get("time")))}</td>'
        f"<td>{_text(_actor(event.get('actor')))}</td><td>{_text(_plain(event.get('action')))} {badge}</td>"
        f"<td>{_text(_resources(event.get('resources')))}</td>"
        f'<td class="place">{_text(place[:_MAX_ADDRESS])}</td></tr>'
        f'<tr class="more"><td></td><td colspan="5">{" · ".join(details)}</td></tr></tbody>\n'
    )


def _claim(count: int, first: int, last: int) -> str:
    between = last - first + 1
    if count == 1:
        return f"Entry {first}, exactly as the log recorded it."
    if count == between:
        return f"All entries from {first} to {last}, exactly as the log recorded them. None of them is missing."
    return (
        f"{count:,} of the {between:,} entries from {first} to {last}, exactly as the log recorded them. "
        f"Which {between - count:,} were left out is fixed by the proof: each can be demanded, and none replaced."
    )


def _proof_facts(
    manifest: Manifest, tree: Checkpoint, left_out: int, listed: Mapping[str, PackedFile]
) -> Iterable[tuple[str, str]]:
    yield "Tree", f"{manifest.tree_size:,} entries"
    yield "Root", tree.root.hex()
    yield "Left out between", f"{left_out:,}"
    for name in (ENTRIES, PROOF):
        yield f"SHA-256 of {name}", listed[name].sha256


def _cut_note(count: int) -> str:
    if count <= MAX_ROWS:
        return ""
    return f'<p class="cut">The first {MAX_ROWS:,} of {count:,} entries. All of them are in {ENTRIES}.</p>'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts)


def _actor(actor: object) -> str:
    if not isinstance(actor, Mapping):
        return ""
    identifier, name = _plain(actor.get("id")), _plain(actor.get("name"))
    if "sealed" in actor:
        return "sealed"
    return f"{name} ({identifier})" if name and identifier else name or identifier or _plain(actor.get("type"))


def _resources(resources: object) -> str:
    if not isinstance(resources, Sequence) or isinstance(resources, str):
        return _plain(resources)
    shown_resources = []
    for resource in resources:
        if isinstance(resource, Mapping):
            parts = [_plain(resource.get(name)) for name in ("type", "id")]
            shown_resources.append(":".join(part for part in parts if part) or "sealed")
    return ", ".join(shown_resources)


def _plain(value: object) -> str:
    """Return recorded text; a sealed or foreign value is named as such."""
    if value is None:
        return ""
    return value if isinstance(value, str) else "sealed" if isinstance(value, Mapping) else str(value)


def _text(value: str) -> str:
    """Return recorded text for HTML: what could act, hide or reorder is visible, and what is long is cut."""
    cut = value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "…"
    return html.escape(shown(cut))


def _lines(text: str) -> str:
    return "\n".join(html.escape(shown(line)) for line in text.split("\n"))


def _second(time: object) -> str:
    return _plain(time)[:19].replace("T", " ")


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _percent(count: int, top: int) -> int:
    return max(1, count * 100 // top)


def _resource(name: str) -> str:
    content: Any = files("auditd_client.evidence").joinpath(name).read_text(encoding="utf-8")
    return str(content)
