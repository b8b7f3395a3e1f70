"""What it costs that events bring the tokens of their actors: the same events, with tokens seen before and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._append import Subject
from benchmarks._events import small_events
from demo._server import running_server

ACTORS = 8


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds of events for one server that differ in this alone."""

    without: Subject
    with_tokens: Subject


@contextmanager
def running_pair(scratch: Path, origin: str) -> Iterator[Pair]:
    """Run a server whose own issuer vouches for actors, too."""

    def trust_actors(folder: Path) -> None:
        config = folder / "auditd.toml"
        text = config.read_text(encoding="utf-8")
        mark = "[local_issuer]\n"
        config.write_text(text.replace(mark, f'{mark}identifies = ["caller", "actor"]\n'), encoding="utf-8")

    with running_server(scratch / "actors", origin, configure=trust_actors) as server:
        known = [{"id": f"user-{number}"} for number in range(ACTORS)]
        bringing = [actor | {"token": server.token(actor["id"], "reader")} for actor in known]
        yield Pair(Subject(server, small_events(known)), Subject(server, small_events(bringing)))
