"""Exports: every leaf of a log, verified against the tree by the server, in a folder or an evidence package."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from auditd_client import Client
from auditd_client.evidence import Selection, verify_package, write_package
from auditd_client.exports import Form, Request, export_to_folder
from benchmarks._append import Subject, WrongCountError


def export_per_s(subject: Subject, form: Form, scratch: Path, at_most: int | None = None) -> float:
    """Return how many entries a second are exported, of the first `at_most` where that is given.

    Raises WrongCountError if one is missing.
    """
    count = subject.size() if at_most is None else min(at_most, subject.size())
    request = Request(
        log="main",
        filter="" if at_most is None else f"index < {count}",
        no_index=False,
        format=form,
        compression="zstd" if form == "parquet" else None,
    )
    with TemporaryDirectory(dir=scratch) as folder, Client(subject.server.address, subject.reader) as client:
        started = time.perf_counter()
        manifest = export_to_folder(client, Path(folder) / "export", request)
        took_s = time.perf_counter() - started
    if manifest.rows != count:
        raise WrongCountError(f"{manifest.rows} rows exported of {count} entries")
    return count / took_s


def package_per_s(subject: Subject, scratch: Path, at_most: int) -> tuple[float, float]:
    """Return how many of the first entries a second go into an evidence package, and are verified in it.

    Raises WrongCountError if one is missing.
    """
    count = min(at_most, subject.size())
    with TemporaryFile(dir=scratch) as file, Client(subject.server.address, subject.reader) as client:
        started = time.perf_counter()
        write_package(client, file, Selection(f"index < {count}"))
        written = time.perf_counter()
        file.seek(0)
        found = verify_package(file, subject.server.vkey)
        verified = time.perf_counter()
    if found.count != count:
        raise WrongCountError(f"{found.count} entries packed of {count}")
    return count / (written - started), count / (verified - written)
