"""Finding something in the log, as an analyst would who knows nothing of it beforehand."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from rich.markup import escape

from auditd_client import Client, Entry
from demo._narration import Narrator

OFFICE = "10.11.0.45"


@dataclass(frozen=True, slots=True)
class Finding:
    """An entry worth proving, and an edit that would suit somebody: in its leaf, `old` becomes `new`."""

    entry: Entry
    old: bytes
    new: bytes
    motive: str


@dataclass(slots=True)
class Search:
    """Runs filters, tells about each, and keeps count of what they took."""

    client: Client
    narrator: Narrator
    seconds: list[float] = field(default_factory=list)

    def __call__(self, filter_text: str) -> list[tuple[Entry, dict[str, Any]]]:
        """Return all entries that the filter selects, oldest first, each with its event."""
        began = time.perf_counter()
        entries = list(self.client.query(filter_text, order="asc", page_size=1_000))
        self.seconds.append(time.perf_counter() - began)
        self.narrator.command(f"auditlog query '{filter_text}'")
        found = "1 entry" if len(entries) == 1 else f"{len(entries):,} entries"
        self.narrator.say(f"{found} in {self.seconds[-1] * 1000:,.0f} ms")
        return [(entry, json.loads(entry.leaf)["event"]) for entry in entries]


def find_incident(search: Search) -> Finding:
    """Follow the scenario's incident from failed sign-ins to what was done with the account that gave way."""
    narrator = search.narrator
    failures: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for _, event in search('action = "user.login" AND outcome = FAILURE'):
        failures[event["origin"]["ip"]][event["actor"]["id"]] += 1
    worst = sorted(failures, key=lambda ip: -failures[ip].total())[:4]
    narrator.table(
        ("address", "failed sign-ins", "accounts tried"),
        [(ip, failures[ip].total(), len(failures[ip])) for ip in worst],
    )
    address = worst[0]
    narrator.say(f"[bold]{address}[/bold] tries many accounts. Did one give way?")
    (_, login), *_ = search(f'action = "user.login" AND outcome = SUCCESS AND origin.ip = "{address}"')
    name, moment = escape(login["actor"]["name"]), login["time"][11:19]
    narrator.say(f"[bold]{name}[/bold] did, at {moment}. What was done in that session?")
    steps = search(f'actor.session_id = "{login["actor"]["session_id"]}"')
    narrator.table(("index", "time", "action", "outcome", "times", "what"), _told(steps))
    narrator.say("A second factor replaced, a role raised, records taken, the audit log nearly switched off.")
    entry = next(entry for entry, event in steps if event["action"] == "role.assign")
    motive = f"the intruder's address {address} becomes {OFFICE}, one in the office"
    return Finding(entry, address.encode(), OFFICE.encode(), motive)


def find_refusals(search: Search) -> Finding:
    """Look at what was refused, as in a log of imported CloudTrail files."""
    refused = search("outcome = DENIED")
    actions = Counter((event["action"], event["actor"].get("name", "")) for _, event in refused)
    search.narrator.table(("action", "by", "refused"), [(*who, count) for who, count in actions.most_common(8)])
    failed = search("outcome = FAILURE")
    reasons = Counter(event.get("reason", "").partition(":")[0] for _, event in failed)
    search.narrator.table(("reason of a failure", "times"), reasons.most_common(5))
    if refused:
        return Finding(refused[0][0], b'"DENIED"', b'"SUCCESS"', "what was refused becomes a success")
    first = search.client.get(0)
    return Finding(first, b'"action":"', b'"action":"un', "an action becomes another")


def _told(steps: list[tuple[Entry, dict[str, Any]]]) -> list[tuple[object, ...]]:
    """Return a table row a step; steps of the same action and outcome in a row are told together."""
    rows: list[tuple[object, ...]] = []
    for (action, outcome), group in groupby(steps, key=lambda step: (step[1]["action"], step[1]["outcome"])):
        together = list(group)
        entry, event = together[0]
        rows.append((entry.index, event["time"][11:19], action, outcome, len(together), _detail(together)))
    return rows


def _detail(steps: list[tuple[Entry, dict[str, Any]]]) -> str:
    attributes = [event.get("attributes", {}) for _, event in steps]
    if all("rows" in one for one in attributes):
        return f"{sum(one['rows'] for one in attributes):,} rows as CSV"
    event = steps[0][1]
    named = [f"{name}: {value}" for name, value in attributes[0].items() if name != "lifetime_s"]
    return ", ".join(([event["reason"]] if "reason" in event else []) + named)
