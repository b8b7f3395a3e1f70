"""Import of CloudTrail files through the command line, from a folder of files to acknowledged entries."""

from __future__ import annotations

import gzip
import re
import time
import uuid
from pathlib import Path

from auditd_client import Client
from auditd_client.importers import find_files, importer
from benchmarks._append import WrongCountError
from demo._server import Server, auditlog

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def copy_files(source: Path, target: Path, copies: int) -> int:
    """Write copies of the CloudTrail files of a folder, each record with fresh ids; return their records' number."""
    records, cloudtrail = 0, importer("cloudtrail")
    for file in map(Path, find_files(cloudtrail, [str(source)])):
        data = file.read_bytes()
        text = gzip.decompress(data) if file.suffix == ".gz" else data
        for copy in range(copies):
            fresh = _UUID.sub(lambda _: str(uuid.uuid4()).encode(), text)
            (target / f"{copy:03}_{file.name.removesuffix('.gz')}.gz").write_bytes(gzip.compress(fresh, 6, mtime=0))
        records += copies * sum(1 for _ in cloudtrail.read_file(file))
    return records


def import_per_s(server: Server, path: Path, records: int, *options: str, name: str = "cloudtrail") -> float:
    """Return the events a second of `auditlog import`, the start of the command included.

    Raises WrongCountError unless the log grew by exactly the number of records.
    """
    environment = {
        "AUDITLOG_ADDRESS": server.address,
        "AUDITLOG_TOKEN": server.token("svc-import", "importer"),
    }
    with Client(server.address, server.token("auditor", "auditor")) as client:
        size = client.checkpoint().tree_size
        started = time.perf_counter()
        auditlog("import", name, str(path), *options, "--output", "json", environment=environment)
        elapsed_s = time.perf_counter() - started
        grown = client.checkpoint().tree_size - size
    if grown != records:
        raise WrongCountError(f"{records} records imported, the tree grew by {grown}")
    return records / elapsed_s
