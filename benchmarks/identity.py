"""`python -m benchmarks.identity`: what knowing callers and actors costs, each figure beside its limit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks import _actors as actors
from benchmarks import _revocations as revocations
from benchmarks import _tls as tls
from benchmarks._append import Appended, Subject
from benchmarks._authentication import Authentication, ed25519_per_s
from benchmarks._footprint import index_lag
from benchmarks._report import Figure, print_tables

SECTION = "Authentication"
_ORIGIN = "audit.example.com"
_BATCH_CALLERS = 2
_TOKENS_A_ROUND = 500


def main() -> None:
    """Measure, and print every figure beside its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is taken; default %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load; default %(default)s")
    parser.add_argument("--scratch", type=Path, help="where to put the servers' folders")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    with TemporaryDirectory(prefix="auditlog-identity-", dir=options.scratch) as scratch:
        found = list(figures(Path(scratch), options.rounds, options.seconds, console.print))
    print_tables(found, {"rounds": options.rounds, "seconds": options.seconds}, console)


def figures(scratch: Path, rounds: int, load_s: float, tell: Callable[[str], None]) -> Iterator[Figure]:
    """Measure one thing after the other, each in turn with what it is held against."""
    tell("revocations, and tokens seen before")
    with revocations.running_pair(scratch, _ORIGIN) as pair:
        name = f"{revocations.REVOKED:,} revocations"
        note = f"without: {pair.start_without_s:.1f} s"
        yield Figure(
            section=SECTION, name=f"start with {name}", value=pair.start_s, unit="s", target=5, at_most=True, note=note
        )
        alone, beside = _in_turn(pair.without, pair.with_revocations, 1, 64, rounds, load_s)
        yield _append_figure(f"append of one event, 64 callers, {name}", alone, beside, 0.95)
    yield from _tokens(rounds, 1e6 / alone.events_per_s)
    tell("mutual TLS")
    yield _mutual_tls(scratch, rounds, load_s)
    tell("actors' tokens")
    with actors.running_pair(scratch, _ORIGIN) as both:
        both.without.append(1_000, 1, 0.7)
        for batch, callers in ((1, 64), (1_000, _BATCH_CALLERS)):
            name = f"events with an actor's token seen before, batches of {batch:,}, {callers} callers"
            yield _append_figure(name, *_in_turn(both.without, both.with_tokens, batch, callers, rounds, load_s), 0.8)


def _tokens(rounds: int, append_us: float) -> Iterator[Figure]:
    authentication, count = Authentication(), _TOKENS_A_ROUND * rounds
    alone = max(ed25519_per_s(count) for _ in range(rounds))
    rate = max(authentication.first_seen_per_s(count) for _ in range(rounds))
    note = f"one thread; Ed25519 verification alone: {alone:,.0f}/s"
    yield Figure(section=SECTION, name="first-seen EdDSA tokens", value=rate, unit="tokens/s", target=3_000, note=note)
    yield Figure(
        section=SECTION,
        name="token seen before",
        value=min(authentication.remembered_us(20 * count) for _ in range(rounds)),
        unit="us/call",
        limit=append_us,
        limit_name="append of one event, 64 callers",
        target=0.05,
        at_most=True,
        note="what an append would save without authentication",
    )
    revoked = Authentication(revocations.REVOKED)
    costs: dict[Authentication, list[float]] = {authentication: [], revoked: []}
    for _ in range(2 * rounds):
        for one, found in costs.items():
            found.append(one.remembered_us(10 * count))
    alone_us, revoked_us = (min(found) for found in costs.values())
    yield Figure(
        section=SECTION,
        name=f"token seen before, {revocations.REVOKED:,} others revoked",
        value=revoked_us,
        unit="us/call",
        limit=alone_us,
        limit_name="none revoked",
        target=1.05,
        at_most=True,
    )


def _mutual_tls(scratch: Path, rounds: int, load_s: float) -> Figure:
    plaintext, mutual = [], []
    with tls.running_pair(scratch, _ORIGIN) as pair:
        for _ in range(rounds):
            plaintext.append(tls.calls(pair.plaintext, load_s).calls_per_s)
            mutual.append(tls.calls(pair.mutual_tls, load_s).calls_per_s)
    return Figure(
        section=SECTION,
        name="checkpoint over mutual TLS, token bound to the certificate, 64 callers",
        value=max(mutual),
        unit="calls/s",
        limit=max(plaintext),
        limit_name="plaintext, bearer token",
        target=0.6,
    )


def _in_turn(
    one: Subject, other: Subject, batch: int, callers: int, rounds: int, load_s: float
) -> tuple[Appended, Appended]:
    """Append to two servers in turn; return the best of each."""
    found: dict[Subject, list[Appended]] = {one: [], other: []}
    for _ in range(rounds):
        for subject, runs in found.items():
            runs.append(subject.append(batch, callers, load_s))
            index_lag(subject)
    alone, beside = (max(runs, key=lambda run: run.events_per_s) for runs in found.values())
    return alone, beside


def _append_figure(name: str, alone: Appended, beside: Appended, target: float) -> Figure:
    return Figure(
        section=SECTION,
        name=name,
        value=beside.events_per_s,
        unit="events/s",
        limit=alone.events_per_s,
        limit_name="without",
        target=target,
        note=f"processor us an event: {beside.server_us:.1f}, without {alone.server_us:.1f}",
    )


if __name__ == "__main__":
    main()
