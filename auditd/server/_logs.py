"""The logs of a server folder: opened together, held against each other, and the record kept of that."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from auditd.entry import parse_leaf, parse_time, recorded_at_text
from auditd.errors import FolderError, UnavailableError
from auditd.identity import SYSTEM_LOGS, Revocation, Revocations, is_system
from auditd.log import (
    Answers,
    Log,
    LogSettings,
    LogSigner,
    Observer,
    Predecessors,
    QueueLimits,
    Tender,
    Told,
    TreeHead,
    load_signer,
    sign_peers,
)
from auditd.note import VerifierKey
from auditd.server._chain import (
    CLOSE,
    Chain,
    Link,
    broken,
    chain_of,
    chains_of,
    closed_by,
    closure,
    own_name,
    place_of,
)
from auditd.server._clock import Clock
from auditd.server._config import Config, is_origin
from auditd.server._disk_room import DiskRoom
from auditd.server._key_register import KeyRegister
from auditd.server._own_events import OwnEvents, cut

_REPLAY_CHUNK = 1_000


class Logs:
    """Every log of a folder, opened and verified; `control` was replayed whole.

    `observer(origin)` is told of a log's commits. `deliver` takes the answers of a commit in a writer thread. The clock
    is judged by them, and tells their time. With `may_be_short` a log whose evidence ends before what was signed, or
    before what another log has recorded of it, is opened as well, without its signing key.
    """

    def __init__(
        self,
        config: Config,
        deliver: Callable[[Answers], None],
        observer: Callable[[str], Observer | None],
        clock: Clock,
        *,
        may_be_short: bool = False,
    ) -> None:
        self._config = config
        self._may_be_short = may_be_short
        self._tender = Tender()
        self._deliver = deliver
        self._observer = observer
        self._clock = clock
        self.room = DiskRoom(config.folder / "logs", config.limits.min_free_bytes, self._owed_bytes)
        self._own_events = OwnEvents(config.origin, clock.now_ns)
        self._by_name: dict[str, Log] = {}
        self.chains: dict[str, Chain] = {}
        self._told: dict[str, list[Told]] = {}
        try:
            names_there = log_names(config.folder)
            if may_be_short:
                self._told = self._told_by_each(names_there)
            for chain_name, names in chains_of(names_there).items():
                chain = self.chains[chain_name] = Chain(chain_name, [])
                for name in names:
                    self._add(chain, self._open(chain, name, is_closed=name != names[-1]))
            for chain in self.chains.values():
                for before, after in pairwise(chain.logs):
                    chain.links.append(_link(before, after))
                for log in chain.logs:
                    log.predecessors.count()
            self._hold_against_each_other()
            self._recorded = self._replay_control()
            self._require_successors()
            clock.begin(self._newest_known_ns())
        except BaseException:
            self.close()
            raise

    @property
    def by_name(self) -> dict[str, Log]:
        """The logs, each once, by what callers ask for: of a chain the newest has its name, one before `main~1`."""
        return self._by_name

    @property
    def revocations(self) -> Revocations:
        """What `control` says is revoked, for others to keep up with it."""
        return self._recorded.revocations

    @property
    def certificates(self) -> frozenset[bytes]:
        """The SHA-256 of the client certificates that `control` held at the start."""
        return frozenset(self._recorded.certificates)

    def start(self) -> None:
        """Begin to record, the configuration first and closures that are not recorded; return when that is durable.

        Raises PreconditionError where `control` or `access` was restored and not resumed, for without them no start,
        no read and no refusal can be recorded.
        """
        for name in sorted(SYSTEM_LOGS):
            self._by_name[name].require_open()
        for log in self._by_name.values():
            log.start()
            if log.successor is not None:
                self._tender.add(log)
        control = self._by_name["control"]
        digest = hashlib.sha256(self._config.text.encode()).hexdigest()
        if self._recorded.config != digest:
            attributes = {"sha256": digest, "settings": cut(self._config.text)}
            control.record(self._own_events.by_server("config.change", attributes))
        self.record_closures()

    def told_of(self, origin: str) -> Sequence[Told]:
        """Return what other logs have recorded of one that may be short."""
        return self._told.get(origin, ())

    def unrecorded(self, chain: Chain) -> list[tuple[Link, Log]]:
        """Return each link of a chain that `control` does not know yet, with the log that it begins."""
        links = zip(chain.links, chain.logs[1:], strict=True)
        return [(link, log) for link, log in links if link.predecessor not in self._recorded.closed]

    def record_closures(self) -> None:
        """Record in `control`, which was started, each log that was closed and is not recorded as such."""
        for chain in self.chains.values():
            for link, successor in self.unrecorded(chain):
                attributes = closure(link, VerifierKey.parse(successor.verifier_key))
                self._by_name["control"].record(self._own_events.by_server(CLOSE, attributes, reason=link.reason))
                self._recorded.closed[link.predecessor] = successor.origin

    def has_successor_folder(self, chain: Chain) -> bool:
        """Whether a chain's newest log has a successor on disk, so that it is closed."""
        return self._config.log_folder(own_name(chain.name, len(chain.logs) + 1)).exists()

    def open_successor(self, chain: Chain) -> tuple[Log, Link]:
        """Open the successor of a chain's newest log, whose folder is there, and find how it goes on from that."""
        after = self._open(chain, own_name(chain.name, len(chain.logs) + 1))
        try:
            return after, _link(chain.newest, after)
        except BaseException:
            after.close()
            raise

    def publish(self, chain: Chain, after: Log, link: Link) -> None:
        """Have a log that `open_successor` opened go on under the name of its chain."""
        before = chain.newest
        chain.links.append(link)
        self._add(chain, after)
        if chain.name == "control":
            # Its first entry says so itself.
            self._recorded.closed[before.origin] = after.origin

    def retire(self, log: Log) -> None:
        """Let go of the threads and the key of a log that was closed while the server runs."""
        log.retire()
        self._tender.add(log)

    def closure_recorded(self, chain: Chain) -> None:
        """Learn that `control` has recorded the closure of the log before a chain's newest."""
        self._recorded.closed[chain.logs[-2].origin] = chain.newest.origin

    def ahead_of_clock(self) -> dict[str, str]:
        """Return the logs whose newest entry is later than the clock, with its time."""
        now_us = time.time_ns() // 1_000
        newest = {log.folder.name: log.newest_recorded_at_us for log in list(self._by_name.values())}
        return {name: recorded_at_text(time_us) for name, time_us in newest.items() if time_us > now_us}

    def key_register(self) -> KeyRegister:
        """Return the register of the issuers' keys in `control`."""
        return KeyRegister(self._by_name["control"].record, self._own_events, self._recorded.issuer_keys)

    def record_start(self) -> None:
        """Record the start of the server in `access`."""
        self._by_name["access"].record(self._own_events.by_server("server.start", self._sizes()))

    def record_stop(self) -> None:
        """Record the end of the server in `access`."""
        self._by_name["access"].record(self._own_events.by_server("server.stop", self._sizes()))

    def close(self) -> None:
        """Record what is queued and close every log, `control` and `access` last, so that they name the others."""
        self._tender.stop()
        for name in sorted(self._by_name, key=lambda name: (is_system(name), name)):
            self._by_name[name].close()

    def _add(self, chain: Chain, log: Log) -> None:
        """Make a log the newest of a chain; what was that is closed."""
        if chain.logs:
            chain.newest.name = f"{chain.name}~{len(chain.logs)}"
            chain.newest.close_for(log.origin)
            self._by_name[chain.newest.name] = chain.newest
        chain.logs.append(log)
        self._by_name[chain.name] = log

    def _open(self, chain: Chain, name: str, *, is_closed: bool = False) -> Log:
        folder = self._config.log_folder(name)
        signer = load_signer(self._config.keys / f"{name}.pem", self._config.log_origin(name))
        # Of a closed log its successor says what is lost.
        told = [] if is_closed else self._told.get(signer.name, [])
        if not is_closed:
            try:
                settings = replace(self._settings(chain, name, signer), told=told)
                return Log(chain.name, folder, signer, settings)
            except FolderError as error:
                if error.reason != "EVIDENCE_BEHIND" or not self._may_be_short:
                    raise
        settings = replace(self._settings(chain, name, None), told=told)
        return Log(chain.name, folder, signer.verifier_key, settings)

    def _told_by_each(self, names: Iterable[str]) -> dict[str, list[Told]]:
        """Return what the logs have recorded of each other, by origin, before any is opened to sign."""
        told: dict[str, list[Told]] = {}
        for name in names:
            by = self._config.log_origin(name)
            key = load_signer(self._config.keys / f"{name}.pem", by).verifier_key
            log = Log(name, self._config.log_folder(name), key, LogSettings(clock=self._clock.now_ns))
            try:
                for origin, size, root in log.said_of_peers():
                    told.setdefault(origin, []).append(Told(by, size, root))
            finally:
                log.close()
        return told

    def _settings(self, chain: Chain, name: str, signer: LogSigner | None) -> LogSettings:
        limits = self._config.limits
        return LogSettings(
            clock=self._clock.now_ns,
            clock_suspect=self._clock.is_suspect,
            stopped=self._stopped if not is_system(name) else (lambda: None),
            room=self.room.allows if not is_system(name) else (lambda _bytes: True),
            limits=QueueLimits(limits.max_queued_events, limits.max_queued_bytes),
            deliver=self._deliver,
            peers=(lambda: None) if signer is None else (lambda: self.peers_note(signer)),
            observer=self._observer(self._config.log_origin(name)),
            announce=None if chain.name == "control" else (lambda sha256: self._announce(name, sha256)),
            predecessors=Predecessors(chain.logs),
        )

    def _stopped(self) -> UnavailableError | None:
        """Return why nothing new of callers can be recorded now."""
        return self._clock.refusal() or self.room.refusal()

    def _owed_bytes(self) -> int:
        return sum(log.owed_bytes for log in list(self._by_name.values()))

    def _newest_known_ns(self) -> int:
        """Return when the newest entry was recorded, but for times that someone who confirmed a clock overruled."""
        confirmed_us, ahead = self._recorded.confirmed
        newest = [(log.newest_recorded_at_us, ahead.get(log.folder.name, 0)) for log in self._by_name.values()]
        return max(confirmed_us, *(time_us for time_us, overruled_us in newest if time_us > overruled_us), 0) * 1_000

    def peers_note(self, signer: LogSigner) -> str:
        """Return a note signed by a log's key about the newest trees of all others."""
        # Of a log that lacks entries what was signed for, so that it cannot be taken for whole later.
        heads = [
            (log.origin, log.tree_head if log.successor is not None else log.newest_signed)
            for log in list(self._by_name.values())
            if log.origin != signer.name
        ]
        return sign_peers(signer, heads)

    def _announce(self, name: str, sha256: str) -> None:
        """Make a dictionary's hash durable in `control` before its first use."""
        attributes = {"log": name, "sha256": sha256}
        self._by_name["control"].record(self._own_events.by_server("dictionary.add", attributes))

    def _hold_against_each_other(self) -> None:
        by_origin = {log.origin: log for log in self._by_name.values()}
        for log in self._by_name.values():
            log.require_peers(by_origin)

    def _replay_control(self) -> _Recorded:
        """Read the chain `control` whole, each leaf verified, for decisions rest on it."""
        recorded = _Recorded()
        for control in self.chains["control"].logs:
            for start in range(0, control.size, _REPLAY_CHUNK):
                for leaf in control.leaves(start, min(start + _REPLAY_CHUNK, control.size)):
                    recorded.replay(parse_leaf(leaf), control.predecessors.size)
            if control.successor is not None:
                # Its successor's first entry, the next that is read, says so itself.
                recorded.closed[control.origin] = control.successor
        return recorded

    def _require_successors(self) -> None:
        """Find the successor of every log that `control` says was closed; raise FolderError where one is missing."""
        successors = {log.origin: log.successor for log in self._by_name.values()}
        for origin, successor in self._recorded.closed.items():
            if successors.get(origin) != successor:
                raise FolderError(
                    "LOG_MISSING",
                    f"log {origin} was closed, as control has recorded, and its successor {successor} is missing;"
                    " put its folder back or restore a backup",
                    {"origin": origin, "successor": successor},
                )

    def _sizes(self) -> dict[str, Any]:
        """Return the newest size and root of every log, for the start and stop entries."""
        heads = {log.folder.name: log.tree_head for log in self._by_name.values()}
        return {"logs": {name: {"size": head.size, "root": head.root.hex()} for name, head in heads.items()}}


class _Recorded:
    """What `control` says."""

    def __init__(self) -> None:
        self.config = ""
        self.issuer_keys: set[tuple[str, str]] = set()
        self.revocations = Revocations()
        self.certificates: set[bytes] = set()
        self.confirmed: tuple[int, dict[str, int]] = (0, {})
        """The clock that was confirmed last, and times of logs that were ahead of it; in microseconds, UTC."""
        self.closed: dict[str, str] = {}
        """The logs that were closed, and their successors, by origin."""

    def replay(self, entry: dict[str, Any], before: int) -> None:
        """Take in one entry; `before` are those of the logs before in the chain, with which revocations are counted."""
        event = entry["event"]
        attributes = event.get("attributes", {})
        if event["action"] == "config.change":
            self.config = attributes["sha256"]
        elif event["action"] == "issuer_key.add":
            self.issuer_keys.add((attributes["issuer"], attributes["thumbprint"]))
        elif event["action"] == "issuer_key.remove":
            self.issuer_keys.discard((attributes["issuer"], attributes["thumbprint"]))
        elif event["action"] == "clock.confirm":
            ahead = {name: parse_time(text) // 1_000 for name, text in attributes.get("ahead", {}).items()}
            self.confirmed = (parse_time(attributes["clock"]) // 1_000, ahead)
        elif event["action"] == "certificate.add":
            self.certificates.add(bytes.fromhex(attributes["sha256"]))
        elif event["action"] == "revocation.add":
            at_us = parse_time(entry["recorded_at"]) // 1_000
            self.revocations.add(
                Revocation.from_entry(before + entry["index"], at_us, attributes, event.get("reason", ""))
            )
        elif event["action"] == "revocation.withdraw":
            self.revocations.withdraw(attributes["index"])
        elif (closed := closed_by(event)) is not None:
            self.closed[closed[0]] = closed[1]


def _link(before: Log, after: Log) -> Link:
    """Find that a log goes on from the one before, which then says so; raise DamagedError."""
    if after.size == 0:
        raise broken(after.origin, "it has no first entry")
    link = Link.of(after.leaf(0), VerifierKey.parse(before.verifier_key), VerifierKey.parse(after.verifier_key))
    if problem := link.difference(before.evidence_size, before.root_at(min(link.size, before.evidence_size))):
        raise broken(after.origin, f"it goes on from {before.origin}, but {problem}")
    before.closing = link.note
    before.show(TreeHead(link.size, link.root, link.checkpoint), link.lost[1] if link.lost else 0)
    return link


def log_names(server_folder: Path) -> list[str]:
    """Return the names that the logs in a server folder were made with, those of a chain the oldest first.

    Raises FolderError if one that every folder has, or one in a chain, is missing.
    """
    names, missing = logs_there(server_folder)
    if missing:
        raise FolderError(
            "LOG_MISSING",
            f"{server_folder / 'logs' / missing[0]}: the log {missing[0]!r} is missing;"
            " put its folder back or restore a backup",
        )
    return names


def logs_there(server_folder: Path) -> tuple[list[str], list[str]]:
    """Return the same names, and those of logs that are missing.

    What has a name that no log can have, such as the `lost+found` of a disk of its own, is none.
    """
    folder = server_folder / "logs"
    folders = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    chains = chains_of(name for name in folders if name[0] != "." and is_origin(chain_of(name)))
    names: list[str] = []
    missing: list[str] = []
    for chain in sorted({"main", *SYSTEM_LOGS, *chains}):
        found = chains.get(chain, [])
        last = place_of(found[-1])[1] if found else 1
        for name in (own_name(chain, number) for number in range(1, last + 1)):
            (names if name in found else missing).append(name)
    return names, missing
