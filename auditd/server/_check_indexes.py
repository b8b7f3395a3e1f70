"""Holding the files that narrow searches against a folder that was checked: a false one hides entries from searches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from auditd.errors import AuditdError, UnavailableError
from auditd.log.check import Finding, LogReport, undisturbed, unverified_leaves
from auditd.query import FalseEntries, UnfitError, UnreadableError, covered_by, verify_index, verify_tiles
from auditd.server._check import FolderReport, Progress
from auditd.server._config import Config

_VERIFIERS = {"index.db": verify_index, "tiles.db": verify_tiles}


def covered_sizes(config: Config, name: str) -> list[int]:
    """Return how many entries each file of a log covers, at which the root is needed to compare it."""
    with undisturbed(config.log_folder(name), list(_VERIFIERS)) as paths:
        return [size for path in paths if (size := covered_by(path)) is not None]


def check_indexes(config: Config, report: FolderReport, progress: Progress) -> None:
    """Compare `index.db` and `tiles.db` of every sound log with its leaves; add what is false to the report."""
    for outcome in report.logs:
        if not outcome.is_sound:
            why = "is damaged" if outcome.finding_count else "could not be read"
            report.not_excluded.append(f"log {outcome.name}: a false index, for the evidence itself {why}")
            continue
        with undisturbed(config.log_folder(outcome.name), list(_VERIFIERS)) as paths:
            for path, (file, verify) in zip(paths, _VERIFIERS.items(), strict=True):
                try:
                    with unverified_leaves(config.log_folder(outcome.name)) as leaves:
                        false = verify(path, leaves, outcome.roots, _named(progress, outcome, file))
                except UnreadableError as error:
                    what = f"{file} is damaged ({error}), so no search relies on it; a server builds it anew"
                    report.findings.append(Finding("INDEX_DAMAGED", f"log {outcome.name}", what))
                except UnfitError:
                    # Not one that a server would use: it builds such a file anew.
                    report.not_excluded.append(f"log {outcome.name}: that {file} is false, for it is not in use")
                except UnavailableError as error:
                    report.unread.append(f"{file} of log {outcome.name} was not compared: {error.message}")
                except AuditdError as error:
                    report.findings.append(Finding(error.reason, f"log {outcome.name}", error.message))
                else:
                    report.findings += _findings(outcome, file, false)


def _named(progress: Progress, outcome: LogReport, file: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(f"{outcome.name} {file}", done, total)


def _findings(outcome: LogReport, file: str, false: Sequence[FalseEntries]) -> list[Finding]:
    return [
        Finding(
            "INDEX_FALSE",
            f"log {outcome.name}, {f'entry {one.first}' if one.end == one.first + 1 else _range(one)}",
            f"{one.what}; stop the server, delete {file}, and it is built anew",
        )
        for one in false
    ]


def _range(one: FalseEntries) -> str:
    return f"entries {one.first} to {one.end - 1}"
