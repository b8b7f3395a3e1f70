"""The logs of a server folder: opened together, held against each other, and the record kept of that."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auditd.entry import parse_leaf, parse_time, recorded_at_text
from auditd.errors import FolderError, UnavailableError
from auditd.identity import SYSTEM_LOGS, Revocation, Revocations
from auditd.log import Answers, Log, LogSettings, LogSigner, Observer, QueueLimits, load_signer, sign_peers
from auditd.server._clock import Clock
from auditd.server._config import Config
from auditd.server._disk_room import DiskRoom
from auditd.server._key_register import KeyRegister
from auditd.server._own_events import OwnEvents, cut

_REPLAY_CHUNK = 1_000


class Logs:
    """Every log of a folder, by name, opened and verified; `control` was replayed whole.

    `observer(name)` is told of a log's commits. `deliver` takes the answers of a commit in a writer thread. The clock
    is judged by them, and tells their time.
    """

    def __init__(
        self,
        config: Config,
        deliver: Callable[[Answers], None],
        observer: Callable[[str], Observer | None],
        clock: Clock,
    ) -> None:
        self._config = config
        self._clock = clock
        self._room = DiskRoom(config.folder / "logs", config.limits.min_free_bytes)
        self._own_events = OwnEvents(config.origin, clock.now_ns)
        self._by_name: dict[str, Log] = {}
        try:
            for name in log_names(config.folder):
                self._by_name[name] = self._open(name, deliver, observer(name))
            self._hold_against_each_other()
            self._recorded = self._replay_control()
            clock.begin(self._newest_known_ns())
        except BaseException:
            self.close()
            raise

    @property
    def by_name(self) -> dict[str, Log]:
        """The logs; not to be changed."""
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
        """Begin to record, the configuration first; return when that is durable.

        Raises PreconditionError where `control` or `access` was restored and not resumed, for without them no start,
        no read and no refusal can be recorded.
        """
        for name in sorted(SYSTEM_LOGS):
            self._by_name[name].require_resumed()
        for log in self._by_name.values():
            log.start()
        control = self._by_name["control"]
        digest = hashlib.sha256(self._config.text.encode()).hexdigest()
        if self._recorded.config != digest:
            attributes = {"sha256": digest, "settings": cut(self._config.text)}
            control.record(self._own_events.by_server("config.change", attributes))

    def ahead_of_clock(self) -> dict[str, str]:
        """Return the logs whose newest entry is later than the clock, with its time."""
        now_us = time.time_ns() // 1_000
        newest = {name: log.newest_recorded_at_us for name, log in self._by_name.items()}
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
        for name in sorted(self._by_name, key=lambda name: (name in SYSTEM_LOGS, name)):
            self._by_name[name].close()

    def _open(self, name: str, deliver: Callable[[Answers], None], observer: Observer | None) -> Log:
        config = self._config
        signer = load_signer(config.keys / f"{name}.pem", config.log_origin(name))
        return Log(
            name,
            config.log_folder(name),
            signer,
            LogSettings(
                clock=self._clock.now_ns,
                clock_suspect=self._clock.is_suspect,
                stopped=self._stopped if name not in SYSTEM_LOGS else (lambda: None),
                limits=QueueLimits(config.limits.max_queued_events, config.limits.max_queued_bytes),
                deliver=deliver,
                peers=lambda: self._peers(signer),
                observer=observer,
                announce=None if name == "control" else (lambda sha256: self._announce(name, sha256)),
            ),
        )

    def _stopped(self) -> UnavailableError | None:
        """Return why nothing new of callers can be recorded now."""
        return self._clock.refusal() or self._room.refusal()

    def _newest_known_ns(self) -> int:
        """Return when the newest entry was recorded, but for times that someone who confirmed a clock overruled."""
        confirmed_us, ahead = self._recorded.confirmed
        newest = [(log.newest_recorded_at_us, ahead.get(name, 0)) for name, log in self._by_name.items()]
        return max(confirmed_us, *(time_us for time_us, overruled_us in newest if time_us > overruled_us), 0) * 1_000

    def _peers(self, signer: LogSigner) -> str:
        heads = [(log.origin, log.tree_head) for log in self._by_name.values() if log.origin != signer.name]
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
        """Read `control` whole, each leaf verified, for decisions rest on it."""
        control = self._by_name["control"]
        recorded = _Recorded()
        for start in range(0, control.size, _REPLAY_CHUNK):
            for leaf in control.leaves(start, min(start + _REPLAY_CHUNK, control.size)):
                recorded.replay(parse_leaf(leaf))
        return recorded

    def _sizes(self) -> dict[str, Any]:
        """Return the newest size and root of every log, for the start and stop entries."""
        heads = {name: log.tree_head for name, log in self._by_name.items()}
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

    def replay(self, entry: dict[str, Any]) -> None:
        """Take in one entry."""
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
            self.revocations.add(Revocation.from_entry(entry["index"], at_us, attributes, event.get("reason", "")))
        elif event["action"] == "revocation.withdraw":
            self.revocations.withdraw(attributes["index"])


def log_names(server_folder: Path) -> list[str]:
    """Return the names of the logs in a server folder; raise FolderError if one that every folder has is missing."""
    folder = server_folder / "logs"
    names = (
        sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
        if folder.is_dir()
        else []
    )
    for name in ("main", *sorted(SYSTEM_LOGS)):
        if name not in names:
            raise FolderError(
                "LOG_MISSING",
                f"{folder / name}: the log {name!r} is missing; put its folder back or restore a backup",
            )
    return names
