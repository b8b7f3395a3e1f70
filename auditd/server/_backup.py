"""Backups of a whole server folder: made beside a running server or a stopped one, and verified."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from auditd.errors import DamagedError, FolderError, UnavailableError
from auditd.log import (
    INCREMENT_NAME,
    Snapshot,
    apply_increment,
    are_of_one_moment,
    bytes_of,
    load_signer,
    mark_restored,
    snapshot,
    sync,
    sync_all,
    write_private_file,
)
from auditd.log.check import Finding, evidence_reader
from auditd.note import NoteError, VerifierKey
from auditd.server._chain import chain_of, place_of
from auditd.server._check import FolderReport, check_folder
from auditd.server._config import CONFIG_NAME, Config, load_config
from auditd.server._logs import log_names
from auditd.server._manifest import (
    MANIFEST_NAME,
    LogInBackup,
    Manifest,
    Since,
    compare_files,
    copy_file,
    describe_files,
)

_ATTEMPTS = 100
"""Each lasts milliseconds, and a log stores at most one checkpoint a second."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def make_backup(
    config: Config, destination: Path, *, with_keys: bool, progress: Progress, since: Manifest | None = None
) -> Manifest:
    """Copy every log of a folder into the new folder `destination`, as they are at one moment, and verify the copy.

    Beside a running server nothing waits for it. Never copied are `pending.db`, whose signatures could be used to act
    as someone, and indexes, which are derived; keys only `with_keys`. `destination` gets its name once all is verified
    and durable; whatever goes wrong leaves nothing behind.

    With `since`, the manifest of another backup, only what came after that is copied, once the logs are found to go on
    from it.

    Raises FolderError where `destination` exists or cannot be written, DamagedError where the evidence is not sound,
    UnavailableError where a device refuses a read.
    """
    _require_new(destination, "a backup is a new folder")
    with _whole_folder(destination, "no backup was made") as folder:
        if since is not None:
            return _fill_increment(config, folder, since, with_keys=with_keys, progress=progress)
        return _fill(config, folder, with_keys=with_keys, progress=progress)


def verify_backup(
    backup: Path, vkeys: Iterable[str], against: Mapping[str, str], progress: Progress
) -> tuple[Manifest, FolderReport]:
    """Verify a backup: every file's hash, then, if those are as written, all of the evidence as `check_folder` does.

    The keys come from the manifest unless `vkeys` are given. `against` are signed notes that others hold, by name.
    Raises FolderError where `backup` is none, InvalidRequestError as `check_folder` does.
    """
    manifest = Manifest.read(backup)
    differences, unread = compare_files(manifest, backup, partial(progress, "files"))
    if differences or unread:
        return manifest, FolderReport(findings=differences, unread=unread)
    if manifest.since is not None:
        return manifest, FolderReport(not_excluded=[f"anything but changed files: {_joined_first(backup, manifest)}"])
    config = load_config(backup)
    given = [*vkeys]
    named = {vkey.partition("+")[0] for vkey in given}
    given += [log.verifier_key for log in manifest.logs.values() if log.origin not in named]
    report = check_folder(config, given, against, progress)
    if report.is_sound:
        report.findings += _contradictions(manifest, config, report)
    return manifest, report


def restore_backup(backup: Path, folder: Path, vkeys: Iterable[str], progress: Progress) -> Manifest:
    """Make the new server folder `folder` from a backup, once that is verified; its logs can then only be read.

    Nothing is recorded in a log until `resume_logs`. Whatever goes wrong leaves nothing behind. Raises FolderError
    where `folder` exists or cannot be written, DamagedError where the backup is not sound.
    """
    _require_new(folder, "a backup is restored to a new folder")
    manifest, report = verify_backup(backup, vkeys, {}, progress)
    if manifest.since is not None:
        raise FolderError("BACKUP_INCREMENT", f"{_joined_first(backup, manifest)}; nothing was restored")
    if report.is_damaged:
        raise DamagedError(
            "EVIDENCE_UNSOUND", f"{backup} is damaged, nothing was restored: run 'auditlog backup verify {backup}'"
        )
    report.require_read("nothing was restored")
    with _whole_folder(folder, "nothing was restored") as restored:
        for number, (name, told) in enumerate(sorted(manifest.files.items()), 1):
            copy_file(backup / name, restored / name, told)
            progress("restoring files", number, len(manifest.files))
        for name in manifest.logs:
            mark_restored(restored / "logs" / name, manifest.made_at)
        sync_all(restored)
    return manifest


def join_backups(backups: Sequence[Path], destination: Path, vkeys: Iterable[str], progress: Progress) -> Manifest:
    """Make the new backup `destination` of a whole one and the increments made after it, one after the other.

    It is verified as one made at once would be; whatever goes wrong leaves nothing behind. Raises FolderError where
    one does not go on from the one before it, or `destination` exists or cannot be written, DamagedError where
    something is not sound.
    """
    _require_new(destination, "a backup is a new folder")
    manifests = [Manifest.read(backup) for backup in backups]
    _require_chain(backups, manifests)
    with _whole_folder(destination, "nothing was joined") as folder:
        for backup, manifest in zip(backups, manifests, strict=True):
            _add(backup, manifest, folder, progress)
        return _finish(folder, replace(manifests[-1], since=None, files={}), vkeys, progress, str(backups[-1]))


def _joined_first(backup: Path, manifest: Manifest) -> str:
    since = manifest.since.made_at if manifest.since else ""
    return (
        f"{backup} holds only what came after the backup made at {since}; put them together:"
        f" auditlog backup join BACKUP {backup} DEST"
    )


def _require_chain(backups: Sequence[Path], manifests: Sequence[Manifest]) -> None:
    if manifests[0].since is not None:
        raise FolderError("BACKUP_INCREMENT", _joined_first(backups[0], manifests[0]))
    for number, (before, manifest) in enumerate(pairwise(manifests), 1):
        if manifest.since is None or manifest.since.manifest != before.hash():
            raise FolderError(
                "NOT_THE_NEXT_BACKUP",
                f"{backups[number]} does not go on from {backups[number - 1]}; give the whole backup first,"
                " then each increment in the order in which they were made",
            )


def _add(backup: Path, manifest: Manifest, folder: Path, progress: Progress) -> None:
    """Copy a backup's files over those before, and its increments into their evidence."""
    # Before any name that the manifest gives is used as a path.
    differences, unread = compare_files(manifest, backup, partial(progress, f"{backup.name}: files"))
    for finding in differences:
        raise DamagedError(
            "EVIDENCE_UNSOUND", f"{backup}: {finding.where}: {finding.what} [{finding.kind}]; nothing was joined"
        )
    FolderReport(unread=unread).require_read("nothing was joined")
    for number, (name, told) in enumerate(sorted(manifest.files.items()), 1):
        copy = folder / name
        if copy.name == INCREMENT_NAME:
            rows_of = partial(progress, f"{copy.parent.name}: rows")
            apply_increment(backup / name, copy.with_name("evidence.db"), rows_of)
            continue
        copy.unlink(missing_ok=True)
        copy_file(backup / name, copy, told)
        progress(f"{backup.name}: copies", number, len(manifest.files))


def _contradictions(manifest: Manifest, config: Config, report: FolderReport) -> Iterator[Finding]:
    """Yield where the manifest says something else of the logs than they are, the checkpoints above all."""
    found = {log.name: log for log in report.logs}
    for name in sorted(manifest.logs.keys() | found.keys()):
        log, is_there = manifest.logs.get(name), found.get(name)
        if log is None or is_there is None:
            yield Finding("MANIFEST_WRONG", f"log {name}", "is in the manifest or in the backup, not in both")
            continue
        key = VerifierKey.parse(log.verifier_key)
        with snapshot(config.log_folder(name), key) as held:
            of_log = _describe(held)
        if of_log != log or is_there.entries != log.entries or manifest.origin != config.origin:
            yield Finding("MANIFEST_WRONG", f"log {name}", f"the manifest says {log}, the log is {of_log}")


def _fill(config: Config, folder: Path, *, with_keys: bool, progress: Progress) -> Manifest:
    made_at = _now()
    with _snapshots(config) as taken:
        for name, held in taken.items():
            held.copy_to(folder / "logs" / name, partial(progress, f"{name}: pages"))
        logs = {name: _describe(held) for name, held in taken.items()}
    _copy_rest(config, folder, logs, made_at, with_keys=with_keys)
    manifest = Manifest(config.origin, made_at, with_keys, logs, {})
    return _finish(folder, manifest, (), progress, str(config.folder))


def _fill_increment(config: Config, folder: Path, before: Manifest, *, with_keys: bool, progress: Progress) -> Manifest:
    made_at = _now()
    with _snapshots(config) as taken:
        for name, held in taken.items():
            if (log := before.logs.get(name)) is None and before.origin == config.origin:
                # A log that was begun since then is copied whole.
                held.copy_to(folder / "logs" / name, partial(progress, f"{name}: pages"))
                continue
            if log is None or log.verifier_key != str(held.key) or not _precedes(log.rows, held.last_rows()):
                raise FolderError(
                    "NOT_A_BASE",
                    f"the backup made at {before.made_at} is not of this log {name!r}, or of an older release;"
                    " make a whole one",
                )
            held.require_extends(log.size, bytes.fromhex(log.root), partial(progress, f"{name}: entries"))
            held.copy_increment_to(folder / "logs" / name, log.rows, partial(progress, f"{name}: rows"))
        logs = {name: _describe(held) for name, held in taken.items()}
    _copy_rest(config, folder, logs, made_at, with_keys=with_keys)
    manifest = Manifest(config.origin, made_at, with_keys, logs, {}, Since(before.made_at, before.hash()))
    return _finish(folder, manifest, (), progress, str(config.folder))


def _precedes(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Whether each table that is there now was known before, with no more rows."""
    return all(table in before and before[table] <= row for table, row in now.items())


def _copy_rest(config: Config, folder: Path, logs: Iterable[str], made_at: str, *, with_keys: bool) -> None:
    for name in logs:
        # So that a copy of the backup made by other means cannot be taken for the log itself.
        mark_restored(folder / "logs" / name, made_at)
    _copy_settings(config, folder)
    if with_keys:
        _copy_keys(config.keys, folder / "keys")


def _finish(folder: Path, manifest: Manifest, vkeys: Iterable[str], progress: Progress, source: str) -> Manifest:
    """Write the manifest, verify all of it and make it durable."""
    described = describe_files(folder, partial(progress, "files"))
    manifest = replace(manifest, files=described)
    (folder / MANIFEST_NAME).write_text(manifest.text(), encoding="utf-8")
    _, report = verify_backup(folder, vkeys, {}, progress)
    for first in [*report.findings, *(finding for log in report.logs for finding in log.findings)]:
        raise DamagedError(
            "EVIDENCE_UNSOUND",
            f"what was copied does not verify: {first.where}: {first.what} [{first.kind}]; no backup was made:"
            f" run 'auditlog check {source}'",
        )
    report.require_read("no backup was made")
    sync_all(folder)
    return manifest


def _describe(held: Snapshot) -> LogInBackup:
    head = held.checkpoint
    return LogInBackup(held.key.name, str(held.key), held.size, head.size, head.root.hex(), held.note, held.last_rows())


@contextmanager
def _snapshots(config: Config) -> Iterator[dict[str, Snapshot]]:
    """Yield every log as it is at one moment: none says more of another than that one holds."""
    # `control` last: it names dictionaries and keys before others use them.
    order = ("access", "control")
    names = sorted(log_names(config.folder), key=lambda name: (chain_of(name) in order, place_of(name)))
    keys = {name: _key_of(config, name) for name in names}
    for _ in range(_ATTEMPTS):
        with ExitStack() as opened:
            taken = {name: opened.enter_context(snapshot(config.log_folder(name), keys[name])) for name in names}
            if are_of_one_moment(list(taken.values())):
                yield taken
                return
    raise UnavailableError("BACKUP_UNSTEADY", "the logs never were of one moment: one of them was put back alone?")


def _key_of(config: Config, name: str) -> VerifierKey:
    """Return a log's verifier key: of its key file, or, where that is kept elsewhere, as its evidence says."""
    try:
        return load_signer(config.keys / f"{name}.pem", config.log_origin(name)).verifier_key
    except FolderError:
        with evidence_reader(config.log_folder(name)) as reader:
            identity = reader.identity()
    try:
        return VerifierKey.parse(identity[1] if identity else "")
    except NoteError as error:
        raise DamagedError("IDENTITY_MISSING", f"log {name} does not say which log it is: {error.message}") from error


def _copy_settings(config: Config, folder: Path) -> None:
    """Copy `auditd.toml` and what it names within the folder, but for private keys."""
    (folder / CONFIG_NAME).write_text(config.text, encoding="utf-8")
    named = [issuer.jwks_file for issuer in config.issuers]
    if config.tls is not None:
        named += [config.tls.certificate, config.tls.client_ca]
    for path in named:
        original = config.folder / path if path is not None else config.folder
        if original.is_relative_to(config.folder) and original.is_file():
            copy = folder / original.relative_to(config.folder)
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy.write_bytes(bytes_of(original))


def _copy_keys(keys: Path, copies: Path) -> None:
    copies.mkdir(mode=0o700)
    for path in sorted(keys.iterdir()):
        if path.is_file():
            write_private_file(copies / path.name, bytes_of(path))


def _require_new(destination: Path, rule: str) -> None:
    if destination.exists() or destination.is_symlink():
        raise FolderError("BACKUP_EXISTS", f"{destination} exists; {rule}")
    for parent in destination.absolute().parents:
        if parent.name == "logs" and (parent.parent / CONFIG_NAME).exists():
            raise FolderError(
                "BACKUP_MISPLACED",
                f"{destination} lies among the logs of {parent.parent} and would be taken for one of them;"
                " choose a place elsewhere",
            )


@contextmanager
def _whole_folder(destination: Path, otherwise: str) -> Iterator[Path]:
    """Yield a new folder that gets its name when the block ends well, and else is gone.

    Raises FolderError, ending with `otherwise`, where it cannot be written.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
        try:
            yield folder
            _name(folder, destination, otherwise)
            sync(destination.parent)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        message = f"{error.filename or destination}: {error.strerror}; {otherwise}"
        raise FolderError("BACKUP_UNWRITABLE", message) from error


def _name(folder: Path, destination: Path, otherwise: str) -> None:
    try:
        folder.rename(destination)
    except OSError as error:
        # Somebody took the name meanwhile; an empty folder would have been replaced.
        if not os.path.lexists(destination):
            raise
        raise FolderError("BACKUP_EXISTS", f"{destination} exists by now; {otherwise}") from error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
