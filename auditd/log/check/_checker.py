"""One log, entry by entry: leaves against tiles, tiles against checkpoints, checkpoints against the key."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from auditd.errors import AuditdError, DamagedError, UnavailableError
from auditd.log._frames import FrameCodec
from auditd.log._head import HeadFile
from auditd.log._keys import verify_ed25519
from auditd.log._peers import open_peers
from auditd.log._plain_files import bytes_of
from auditd.log._store import StoredCredential
from auditd.log.check._findings import Finding, Findings, Progress
from auditd.log.check._leaves import Checked, LeafChecks, OnEntry, require_order
from auditd.log.check._ranges import Evidence, check_ranges, check_ranges_in_processes, worth_processes
from auditd.log.check._reading import EvidenceReader, evidence_reader, page_damage
from auditd.log.check._trees import Trees
from auditd.merkle import HASH_SIZE
from auditd.note import Checkpoint, VerifierKey, open_note

_MAX_NAMED = 100_000
_GIVEN = "a checkpoint that was given"
_DAMAGED = "evidence.db is damaged"

VerifyToken = Callable[[StoredCredential], str]
_Claim: TypeAlias = tuple[Checkpoint, str]
"""A signed checkpoint of the log, and where it was found."""


@dataclass(slots=True)
class LogReport:
    """The outcome for one log; it is sound if there are no findings, and nothing is `unread`.

    `unread` says what a device refused to give, or else ended the check early; what was found until then still counts,
    and of `entries` and `roots` some may be missing.
    `unprotected` are the entries behind the newest checkpoint that is signed and fits: nothing but the tree itself
    speaks for them. `dictionaries` are the SHA-256 (hex) of those it uses, `key_thumbprints` the issuer keys that its
    credentials name, `certificates` (SHA-256) those of callers, with the first entry that names each. `verdicts` counts
    the credentials by what verifying their tokens again gave. `roots` are the roots at the sizes asked for, as rebuilt.
    """

    name: str
    origin: str = ""
    entries: int = 0
    checkpoints: int = 0
    credentials: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    finding_count: int = 0
    unprotected: int = 0
    dictionaries: set[str] = field(default_factory=set)
    key_thumbprints: set[str] = field(default_factory=set)
    certificates: dict[bytes, int] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    unread: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether all was read, and nothing was found wrong."""
        return self.finding_count == 0 and not self.unread

    def knows(self, size: int) -> bool:
        """Tell whether the check came as far as this size, or found that the log ends before it."""
        return not self.unread or size in self.roots


def check_log(
    name: str,
    folder: Path,
    key: VerifierKey,
    *,
    against: Sequence[Checkpoint] = (),
    sizes: Iterable[int] = (),
    lost_to: int = 0,
    progress: Progress = lambda _done, _total: None,
    on_entry: OnEntry | None = None,
    verify_token: VerifyToken = lambda _credential: "",
    jobs: int = 1,
) -> LogReport:
    """Re-hash everything in a log's folder and hold it against every claim at hand.

    `against` are checkpoints that others hold, their signatures verified already. `sizes` asks for roots at further
    sizes. Entries up to, but without, `lost_to` are known to be lost: that they are missing is no finding, unless a
    checkpoint of `against` is of them. `on_entry` is given every well-formed entry, in order. `verify_token` verifies a
    credential's token again and says what came of it; `INVALID` is a finding. Up to `jobs` processes share a large log
    without `on_entry`. Changes nothing. Raises FolderError where there is no evidence, UnavailableError where a process
    of its own is ended from outside.
    """
    try:
        with evidence_reader(folder) as reader:
            return _Check(name, folder, key, reader, verify_token, lost_to).run(
                against, sizes, progress, on_entry, jobs
            )
    except UnavailableError as error:
        return LogReport(name, key.name, unread=_refused(error))
    except DamagedError as error:
        finding = Finding(error.reason, "evidence.db", _what(error))
        return LogReport(name, key.name, findings=[finding], finding_count=1, unread=_DAMAGED)


def named_peers(folder: Path, key: VerifierKey) -> list[tuple[str, int, bytes]]:
    """Return (origin, size, root) of each other log that a log's newest stored checkpoint names.

    Raises DamagedError if what it says is damaged, UnavailableError where the device refuses to give it, FolderError as
    `check_log` does.
    """
    with evidence_reader(folder) as reader:
        note = reader.newest_peers()
    return [] if note is None else open_peers(note, key)


class _Check:
    def __init__(
        self,
        name: str,
        folder: Path,
        key: VerifierKey,
        reader: EvidenceReader,
        verify_token: VerifyToken,
        lost_to: int,
    ) -> None:
        self._lost_to = lost_to
        self._verify_token = verify_token
        self._folder = folder
        self._key = key
        self._reader = reader
        self._findings = Findings()
        self._report = LogReport(name, key.name)
        self._recorded_at = ""
        # What leaves name, with the first entry that does.
        self._credentials: dict[bytes, int] = {}

    def run(
        self,
        against: Sequence[Checkpoint],
        sizes: Iterable[int],
        progress: Progress,
        on_entry: OnEntry | None,
        jobs: int,
    ) -> LogReport:
        of_entries = Findings()
        trees = Trees(self._reader, of_entries)
        with ThreadPoolExecutor(1) as aside:
            damage = aside.submit(page_damage, self._reader.path)
            # The head is read before the entries: beside a running server it must not be newer than they are.
            claims = [(checkpoint, _GIVEN) for checkpoint in against]
            with self._going_on():
                claims += self._head()
            with self._going_on():
                claims += self._stored_checkpoints()
            with self._going_on():
                self._check_file()
            with self._going_on():
                marks = _Marks(trees, {claim.size for claim, _ in claims} | set(sizes))
                for checked in self._entries(on_entry, jobs):
                    self._take(checked, of_entries)
                    marks.extend(bytes(checked.hashes))
                    progress(trees.size, self._reader.size)
                    if checked.ended_by is not None:
                        raise checked.ended_by
            with self._going_on():
                for kind, complaint in damage.result():
                    self._findings.add(kind, "evidence.db", complaint)
        with self._going_on():
            trees.mark()
        self._findings.take(of_entries)
        self._compare(claims, trees)
        with self._going_on():
            self._check_credentials()
        report = self._report
        report.entries = self._reader.size
        report.roots = {size: trees.root_that_counts(size) for size in trees.roots}
        report.findings, report.finding_count = self._findings.kept, self._findings.count
        return report

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Have a check go on with the rest where something cannot be read, be it damaged or refused."""
        try:
            yield
        except UnavailableError as error:
            self._report.unread = self._report.unread or _refused(error)
        except DamagedError as error:
            self._findings.add(error.reason, "evidence.db", _what(error))
            self._report.unread = self._report.unread or _DAMAGED

    def _take(self, checked: Checked, of_entries: Findings) -> None:
        if checked.first is not None:
            require_order(of_entries, *checked.first, self._recorded_at)
            self._recorded_at = checked.last_recorded_at
        of_entries.take(checked.findings)
        self._note_named(checked)

    def _entries(self, on_entry: OnEntry | None, jobs: int) -> Iterator[Checked]:
        dictionaries, size = self._dictionaries(), self._reader.size
        if on_entry is None and worth_processes(size, jobs):
            return check_ranges_in_processes(Evidence(self._reader.path, self._key.name, dictionaries), size, jobs)
        return check_ranges(self._reader, LeafChecks(self._key.name, FrameCodec(dictionaries), on_entry))

    def _note_named(self, checked: Checked) -> None:
        for (is_certificate, name), index in checked.named.items():
            named = self._report.certificates if is_certificate else self._credentials
            if len(named) < _MAX_NAMED:
                named.setdefault(name, index)

    def _head(self) -> list[_Claim]:
        """Return the claim that `head` holds; report where there is none."""
        head = self._folder / "head"
        if not head.is_file():
            what = "is no file" if head.exists() else "is missing"
            self._findings.add("HEAD_MISSING", "head", f"{what}: nothing says how many entries were signed for")
            return []
        with closing(HeadFile(head, self._key, writable=False)) as head_file:
            newest = head_file.read()
        if newest is None:
            self._findings.add("HEAD_DAMAGED", "head", "neither of its slots holds a signed checkpoint")
            return []
        return [(newest[1], "head")]

    def _stored_checkpoints(self) -> list[_Claim]:
        """Return the claims that the evidence holds; report those that are not signed."""
        claims: list[_Claim] = []
        previous = 0
        for number, size, note in self._reader.checkpoints():
            where = f"stored checkpoint {number}"
            try:
                checkpoint = Checkpoint.parse(open_note(note, [self._key], verify_ed25519).text)
            except AuditdError as error:
                self._findings.add("CHECKPOINT_DAMAGED", where, error.message)
                continue
            if checkpoint.size != size or checkpoint.origin != self._key.name or size < previous:
                self._findings.add("CHECKPOINT_DAMAGED", where, f"its row says size {size}, its note {checkpoint.size}")
                continue
            previous = size
            claims.append((checkpoint, where))
            self._report.checkpoints += 1
        beyond = self._reader.newest_checkpoint_size()
        if beyond > max(self._reader.size, self._lost_to):
            self._findings.add(
                "TRUNCATED", f"entries {self._reader.size} to {beyond - 1}", "a stored checkpoint covers them"
            )
        return claims

    def _check_file(self) -> None:
        for difference in self._reader.schema_differences():
            self._findings.add("SCHEMA_ALTERED", difference, "is not as it was made")
        if (lowest := self._reader.lowest) < 0:
            self._findings.add("ENTRY_MOVED", f"entry {lowest}", "stands before the first one")
        if self._reader.stray is not None:
            gap = f"entries {self._reader.size} to {self._reader.stray - 1}"
            what = f"are not there; what stands from {self._reader.stray} on was not looked at"
            self._findings.add("ENTRY_MISSING", gap, what)
        identity = self._reader.identity()
        if identity != (self._key.name, str(self._key)):
            self._findings.add("WRONG_LOG", "evidence.db", f"is the evidence of {identity}, not of {self._key}")

    def _dictionaries(self) -> tuple[bytes, ...]:
        """Return the log's dictionaries, none if one of them is damaged."""
        sound = []
        for number, data in self._reader.dictionaries():
            digest = hashlib.sha256(data).hexdigest()
            file = self._folder / "dictionaries" / f"{digest}.zstd-dictionary"
            if not file.is_file():
                what = f"its file {file.name} is missing; the evidence holds what was in it"
                self._findings.add("DICTIONARY_DAMAGED", f"dictionary {number}", what)
            elif bytes_of(file) != data:
                self._findings.add("DICTIONARY_DAMAGED", f"dictionary {number}", f"differs from its file {file.name}")
            self._report.dictionaries.add(digest)
            sound.append(data)
        try:
            FrameCodec(sound)
        except AuditdError as error:
            self._findings.add("DICTIONARY_DAMAGED", "dictionaries", error.message)
            return ()
        return tuple(sound)

    def _compare(self, claims: Sequence[_Claim], trees: Trees) -> None:
        """Hold each claim against the rebuilt trees, the smallest size first, and bound where they part.

        What entries that could not be read were signed for is left open.
        """
        agreed, parted, tiles_are_wrong = 0, False, False
        for claim, where in sorted(claims, key=lambda item: item[0].size):
            if self._reader.size < claim.size <= self._lost_to and where != _GIVEN:
                continue
            if claim.size > self._reader.size:
                lost = f"entries {self._reader.size} to {claim.size - 1}"
                self._findings.add("TRUNCATED", lost, f"{where} was signed for {claim.size} entries; these are missing")
                continue
            if self._report.unread and claim.size not in trees.roots:
                continue
            of_leaves, of_tiles = trees.compare(claim.size, claim.root)
            tiles_are_wrong |= of_leaves and not of_tiles
            if of_leaves or of_tiles:
                agreed = max(agreed, claim.size)
            elif not parted:
                parted = True
                rebuilt = trees.roots.get(claim.size)  # None where the entries could not all be read
                self._findings.add(
                    "HISTORY_CHANGED",
                    f"entries {agreed} to {claim.size - 1}",
                    f"are not those that {where} was signed for: root {rebuilt.hex() if rebuilt else 'unknown'},"
                    f" signed {claim.root.hex()}",
                )
        trees.report(self._findings, tiles_are_wrong=tiles_are_wrong)
        self._report.unprotected = 0 if parted else self._reader.size - agreed

    def _check_credentials(self) -> None:
        for stored in self._reader.credentials():
            self._report.credentials += 1
            where = f"credential {stored.credential.hex()[:16]}…"
            signed_hash = hashlib.sha256(f"{stored.header}.{stored.payload}".encode()).digest()
            if hashlib.sha256(signed_hash + stored.signature_hash).digest() != stored.credential:
                self._findings.add(
                    "CREDENTIAL_DAMAGED", where, "header, payload and signature hash do not give its name"
                )
            if stored.key_thumbprint:
                self._report.key_thumbprints.add(stored.key_thumbprint)
                if stored.key_jwk is None:
                    what = f"the key {stored.key_thumbprint} of {stored.issuer} is missing"
                    self._findings.add("ISSUER_KEY_MISSING", where, what)
            verdict = self._verify_token(stored)
            self._report.verdicts[verdict] += 1
            if verdict == "INVALID":
                self._findings.add("TOKEN_INVALID", where, "what is recorded of its token does not verify")
            self._credentials.pop(stored.credential, None)
        for credential, index in list(self._credentials.items())[:10]:
            self._findings.add("CREDENTIAL_MISSING", f"entry {index}", f"names credential {credential.hex()[:16]}…")


def _refused(error: UnavailableError) -> str:
    """Return what the device refused; raise the error where it is another one."""
    if error.reason != "EVIDENCE_UNAVAILABLE":
        raise error
    return error.message


def _what(error: DamagedError) -> str:
    return f"SQLite cannot read all of it: {error.facts.get('sqlite', error.message)}"


class _Marks:
    """Grows trees, and has them keep their roots at some sizes on the way."""

    def __init__(self, trees: Trees, sizes: Iterable[int]) -> None:
        self._trees = trees
        self._sizes = deque(sorted(sizes))

    def extend(self, hashes: bytes) -> None:
        first = self._trees.size
        at = 0
        while self._sizes and self._sizes[0] <= first + len(hashes) // HASH_SIZE:
            size = self._sizes.popleft()
            end = max((size - first) * HASH_SIZE, at)
            self._trees.extend(hashes[at:end])
            if size == self._trees.size:
                self._trees.mark()
            at = end
        self._trees.extend(hashes[at:])
