"""Checking a whole folder: each log by itself, then all against each other."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from auditd.entry import parse_leaf
from auditd.errors import AuditdError, DamagedError, FolderError, InvalidRequestError, UnavailableError
from auditd.identity import TokenVerdict
from auditd.log import how_to_succeed, load_signer, verify_ed25519
from auditd.log.check import Finding, LogReport, check_log, evidence_reader, named_peers, unverified_leaves
from auditd.note import Checkpoint, NoteError, VerifierKey, open_note
from auditd.server._chain import CLOSE, chain_of
from auditd.server._check_chain import ChainChecks
from auditd.server._config import Config
from auditd.server._logs import logs_there
from auditd.server._tokens import verify_stored

_UNVERIFIED = {
    TokenVerdict.SIGNATURE_LOST: "their signatures are neither in the evidence nor in pending.db",
    TokenVerdict.KEY_UNKNOWN: "their issuers' keys were not known when they came",
    TokenVerdict.CLAIMS_DROPPED: "their claims were dropped, as configured",
}
"""Why a token cannot be verified again and never will be, by verdict."""

Progress = Callable[[str, int, int], None]
"""Called with a log's name, how many of its entries are done, and how many there are."""


@dataclass(slots=True)
class FolderReport:
    """The outcome for a server folder: a report a log, what is wrong between logs, and what could not be excluded.

    `unread` says what a device refused to give, so that it was not checked.
    """

    logs: list[LogReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    not_excluded: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether all was read, and nothing was found wrong."""
        return not self.is_damaged and not self.unread

    @property
    def is_damaged(self) -> bool:
        """Whether something was found wrong, even if not all could be read."""
        return bool(self.findings) or any(report.finding_count for report in self.logs)

    def require_read(self, otherwise: str) -> None:
        """Raise UnavailableError, ending with `otherwise`, where not all could be read."""
        if self.unread:
            raise UnavailableError("EVIDENCE_UNAVAILABLE", f"{self.unread[0]}; {otherwise}")


def check_folder(
    config: Config,
    vkeys: Iterable[str],
    against: Mapping[str, str],
    progress: Progress,
    sizes: Mapping[str, Iterable[int]] | None = None,
    jobs: int = 1,
) -> FolderReport:
    """Check every log of a folder; `vkeys` stand in for its own keys, `against` are others' signed notes by name.

    `sizes` asks for roots at further sizes, by log. Up to `jobs` processes share a large log. Raises
    InvalidRequestError for a key that is none and for a note of no log of this folder, UnavailableError where the
    device refuses what says which log it is.
    """
    report = FolderReport()
    given = {key.name: key for key in map(_parse_key, vkeys)}
    there, gone = _logs_to_check(config, report)
    known = {name: _key_of(config, name, given, report) for name in there}
    claims = claims_by_origin(against, _keys_at_hand(config, gone, given) | known)
    peers = _peers(config, known, report)
    chains = ChainChecks(config, known)
    announced = _Announced()
    # `control` comes last: beside a running server it must not be older than what the others have used.
    for name, key in sorted(known.items(), key=lambda item: chain_of(item[0]) == "control"):
        named = [(size, root, by) for origin, size, root, by in peers if origin == key.name]
        outcome = check_log(
            name,
            config.log_folder(name),
            key,
            against=claims.get(key.name, ()),
            sizes=[*(size for size, _, _ in named), *chains.sizes(name), *(sizes or {}).get(name, ())],
            lost_to=chains.lost_to(name),
            progress=lambda done, total, name=name: progress(name, done, total),  # type: ignore[misc]
            on_entry=announced.take if chain_of(name) == "control" else None,
            jobs=jobs,
            verify_token=verify_stored,
        )
        report.logs.append(outcome)
        if outcome.unread:
            report.unread.append(f"log {outcome.name} was not checked to its end: {outcome.unread}")
        _compare_with_peers(outcome, named, chains.lost_to(name), report, closed=chains.is_closed(name))
    report.logs.sort(key=lambda outcome: chain_of(outcome.name) != "control")
    if "control" in known and not any(outcome.unread for outcome in report.logs if chain_of(outcome.name) == "control"):
        for outcome in report.logs:
            _compare_with_control(outcome, announced, report)
    report.not_excluded += chains.compare({outcome.name: outcome for outcome in report.logs}, announced.closures)
    report.findings += chains.findings
    report.unread += chains.unread
    _say_what_remains(config, report, chains.spoken_for(set(claims)))
    return report


def _logs_to_check(config: Config, report: FolderReport) -> tuple[list[str], list[str]]:
    """Return the names of the logs whose evidence is there, and of the others, which are reported."""
    names, gone = logs_there(config.folder)
    for name in gone:
        report.findings.append(Finding("LOG_MISSING", f"log {name}", f"there is no folder logs/{name}"))
    for name in names:
        if not (config.log_folder(name) / "evidence.db").exists():
            report.findings.append(Finding("EVIDENCE_MISSING", f"log {name}", f"there is no logs/{name}/evidence.db"))
            gone.append(name)
    return [name for name in names if name not in gone], gone


def _keys_at_hand(config: Config, names: Iterable[str], given: Mapping[str, VerifierKey]) -> dict[str, VerifierKey]:
    """Return the keys of logs whose evidence is not there, as far as they are known otherwise."""
    found: dict[str, VerifierKey] = {}
    for name in names:
        with suppress(FolderError):
            found[name] = _key_at_hand(config, name, given)
    return found


def _key_at_hand(config: Config, name: str, given: Mapping[str, VerifierKey]) -> VerifierKey:
    """Return the key of a log that was given, or else that of the folder; raise FolderError where there is none."""
    origin = config.log_origin(name)
    return given.get(origin) or load_signer(config.keys / f"{name}.pem", origin).verifier_key


def _key_of(config: Config, name: str, given: Mapping[str, VerifierKey], report: FolderReport) -> VerifierKey:
    try:
        return _key_at_hand(config, name, given)
    except FolderError:
        report.not_excluded.append(
            f"log {name}: its key is not at hand, so the key was taken from the evidence itself; give it with --key"
        )
    with evidence_reader(config.log_folder(name)) as reader:
        identity = reader.identity()
    if identity is None:
        raise DamagedError("IDENTITY_MISSING", f"log {name} does not say which log it is; give its key with --key")
    key, origin = VerifierKey.parse(identity[1]), config.log_origin(name)
    if key.name != origin:
        report.findings.append(Finding("WRONG_LOG", f"log {name}", f"is the evidence of {key.name}, not of {origin}"))
    return key


def _parse_key(vkey: str) -> VerifierKey:
    try:
        return VerifierKey.parse(vkey)
    except NoteError as error:
        raise InvalidRequestError("BAD_KEY", f"--key: {error.message}") from error


def claims_by_origin(against: Mapping[str, str], keys: Mapping[str, VerifierKey]) -> dict[str, list[Checkpoint]]:
    """Return the checkpoints of signed notes, by the origin of the log that they are of; raise InvalidRequestError."""
    origins = {key.name for key in keys.values()}
    claims: dict[str, list[Checkpoint]] = {}
    for name, note in against.items():
        try:
            checkpoint = Checkpoint.parse(open_note(note, keys.values(), verify_ed25519).text)
        except NoteError as error:
            raise InvalidRequestError("BAD_CHECKPOINT", f"{name}: {error.message}") from error
        if checkpoint.origin not in origins:
            raise InvalidRequestError(
                "OTHER_LOG",
                f"{name}: is of {checkpoint.origin}, which is no log of this folder: {', '.join(sorted(origins))}",
            )
        claims.setdefault(checkpoint.origin, []).append(checkpoint)
    return claims


def _peers(config: Config, keys: Mapping[str, VerifierKey], report: FolderReport) -> list[tuple[str, int, bytes, str]]:
    """Return (origin, size, root, by which log) of everything that the logs say of each other."""
    named: list[tuple[str, int, bytes, str]] = []
    for name in sorted(keys):
        try:
            named += [(*peer, name) for peer in named_peers(config.log_folder(name), keys[name])]
        except UnavailableError as error:
            report.unread.append(f"what log {name} says of the others is not known: {error.message}")
        except AuditdError as error:
            report.findings.append(Finding(error.reason, f"log {name}", error.message))
    present = {key.name for key in keys.values()}
    for origin, size, _, by in named:
        if origin not in present:
            report.findings.append(
                Finding("LOG_MISSING", f"log {origin}", f"is missing; {by} says it had {size} entries")
            )
    return named


def _compare_with_peers(
    outcome: LogReport, named: Iterable[tuple[int, bytes, str]], lost_to: int, report: FolderReport, *, closed: bool
) -> None:
    for size, root, by in named:
        where = f"log {outcome.name}"
        if outcome.entries < size <= lost_to:
            continue
        if not outcome.knows(size):
            continue
        if size > outcome.entries:
            what = f"has {outcome.entries} entries, but {by} has recorded that it had {size}: it was put back alone."
            what += f" Put its newest copy back. {how_to_succeed(outcome.name)}" if not closed else ""
            report.findings.append(Finding("LOG_PUT_BACK", where, what))
        elif outcome.roots.get(size) != root:
            what = f"its first {size} entries are not those that {by} has recorded"
            report.findings.append(Finding("LOG_REWRITTEN", where, what))


def _compare_with_control(outcome: LogReport, announced: _Announced, report: FolderReport) -> None:
    for certificate, index in outcome.certificates.items():
        if certificate not in announced.certificates:
            where = f"log {outcome.name}, entry {index}"
            what = f"{certificate.hex()[:16]}…: control does not hold the caller's certificate"
            report.findings.append(Finding("CERTIFICATE_UNKNOWN", where, what))
    if chain_of(outcome.name) == "control":
        return
    for digest in sorted(outcome.dictionaries - announced.dictionaries):
        report.findings.append(
            Finding("DICTIONARY_UNKNOWN", f"log {outcome.name}", f"{digest}: control does not name it")
        )
    for thumbprint in sorted(outcome.key_thumbprints - announced.issuer_keys):
        report.findings.append(
            Finding("ISSUER_KEY_UNKNOWN", f"log {outcome.name}", f"{thumbprint}: control does not name it")
        )


def _say_what_remains(config: Config, report: FolderReport, spoken_for: Collection[str]) -> None:
    for outcome in report.logs:
        for verdict, meaning in _UNVERIFIED.items():
            if count := outcome.verdicts[verdict]:
                report.not_excluded.append(
                    f"log {outcome.name}: that {count:,} of its tokens were forged, for {meaning} [{verdict}]"
                )
        if outcome.unprotected:
            report.not_excluded.append(
                f"log {outcome.name}: that its last {outcome.unprotected} entries were changed: no signed checkpoint"
                f" covers what was recorded {_since(config, outcome)}"
            )
        if outcome.origin not in spoken_for:
            report.not_excluded.append(
                f"log {outcome.name}: a history rewritten or cut by someone who holds the signing key;"
                " compare with what others hold: --against"
            )


def _since(config: Config, outcome: LogReport) -> str:
    """Say from which entry on, and since when by what it says itself, nothing signed protects a log."""
    first = outcome.entries - outcome.unprotected
    try:
        with unverified_leaves(config.log_folder(outcome.name)) as leaves:
            recorded_at = parse_leaf(leaves(first, first + 1)[0])["recorded_at"]
    except (AuditdError, KeyError):
        return f"from entry {first} on"
    return f"since {recorded_at}, from entry {first} on"


class _Announced:
    """What `control` names before it is used."""

    def __init__(self) -> None:
        self.dictionaries: set[str] = set()
        self.issuer_keys: set[str] = set()
        self.certificates: set[bytes] = set()
        self.closures: dict[str, dict[str, Any]] = {}
        """What is said of logs that were closed, by origin."""

    def take(self, entry: dict[str, Any]) -> None:
        """Take in one entry of `control`."""
        event = entry["event"]
        if event["action"] == "dictionary.add":
            self.dictionaries.add(event["attributes"]["sha256"])
        elif event["action"] == "issuer_key.add":
            self.issuer_keys.add(event["attributes"]["thumbprint"])
        elif event["action"] == "certificate.add":
            self.certificates.add(hashlib.sha256(base64.b64decode(event["attributes"]["certificate"])).digest())
        elif event["action"] == CLOSE:
            self.closures[event["attributes"]["origin"]] = event["attributes"]
