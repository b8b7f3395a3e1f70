"""Page checksums that another program left out, restored once every entry was verified without them."""

from __future__ import annotations

import logging
from pathlib import Path

import apsw

from auditd.errors import DamagedError, UnavailableError
from auditd.log._database import restore_checksums
from auditd.log.check._checker import check_log
from auditd.note import VerifierKey

_logger = logging.getLogger(__name__)


def restore_lost_checksums(name: str, folder: Path, key: VerifierKey, met: DamagedError) -> None:
    """Restore the page checksums of a log that nothing else is wrong with.

    Stock `sqlite3`, when it is the last to close the file after a crash, copies the write-ahead log back and knows
    nothing of checksums. So everything is re-hashed and held against `head` and every stored checkpoint, and each
    index against its table. Raises `met`, the error that led here, with what was found, if anything else is wrong.
    """
    try:
        report = check_log(name, folder, key)
    except (TypeError, ValueError) as error:  # a page so damaged that it cannot even be checked
        raise met from error
    if report.unread and not report.finding_count:
        raise UnavailableError("EVIDENCE_UNAVAILABLE", report.unread)
    others = [finding for finding in report.findings if finding.kind != "PAGE_CHECKSUM"]
    if others:
        raise DamagedError(met.reason, f"{met.message}; {others[0].where}: {others[0].what}", met.facts) from met
    try:
        restore_checksums(folder / "evidence.db")
    except apsw.Error as error:
        raise DamagedError(met.reason, f"{met.message}; its checksums cannot be restored: {error}", met.facts) from met
    _logger.warning(
        "log %s: page checksums were wrong; all %d entries were verified against the signed head, and the checksums"
        " written anew. Another program had written to evidence.db: open it with 'sqlite3 -readonly'",
        name,
        report.entries,
    )
