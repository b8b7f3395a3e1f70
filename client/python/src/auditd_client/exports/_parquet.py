"""Parquet in the shape of OCSF, with pyarrow: the extra `auditd-client[parquet]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import IO, Any

from auditd_client._entry_tokens import token_verdicts
from auditd_client._model import Entry
from auditd_client.errors import SettingsError
from auditd_client.exports._leaf import read_leaf
from auditd_client.exports._ocsf import ocsf_event

_ROWS_A_BATCH = 1_000
# Amazon Security Lake wants pages of at most 1 MB before compression. The writer looks at a page's size only after
# each of its own batches, and one leaf may have 64 KiB.
_PAGE_BYTES = 256 * 1024
_VALUES_A_LOOK = 8
_REPEATED = ("category_name", "class_name", "type_name", "activity_name", "severity", "status", "status_code")


class Parquet:
    """Writes parts as Parquet: one row group each, sorted by the time of the events, compressed with zstd.

    Raises SettingsError where pyarrow is not installed.
    """

    suffix = ".parquet"

    def __init__(self, log: str) -> None:
        self._log = log
        _arrow()

    def write(self, entries: Sequence[Entry], file: IO[bytes]) -> None:
        """Write a part. Raises MalformedError for an entry that is no leaf."""
        pa, pq = _arrow()
        batches = list(self._batches(pa, iter(entries)))
        table = pa.Table.from_batches(batches, schema())
        times = table.column("time").to_pylist()
        table = table.take(pa.array(sorted(range(len(times)), key=times.__getitem__)))
        pq.write_table(
            table,
            file,
            row_group_size=len(times),
            compression="zstd",
            use_dictionary=list(_REPEATED),
            data_page_size=_PAGE_BYTES,
            write_batch_size=_VALUES_A_LOOK,
        )

    def _batches(self, pa: Any, entries: Iterator[Entry]) -> Iterator[Any]:  # noqa: ANN401 - pyarrow has no types
        while chunk := list(islice(entries, _ROWS_A_BATCH)):
            rows = [ocsf_event(read_leaf(entry.leaf, entry.index), self._log, token_verdicts(entry)) for entry in chunk]
            yield pa.RecordBatch.from_pylist(rows, schema())


@cache
def schema() -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the Arrow schema of every part, whatever is in it."""
    pa, _ = _arrow()
    text, number, large = pa.string(), pa.int32(), pa.int64()
    numbers = ("activity_id", "category_uid", "class_uid", "severity_id", "status_id")
    fields = {
        "activity_id": number, "activity_name": text, "category_uid": number, "category_name": text,
        "class_uid": number, "class_name": text, "type_uid": large, "type_name": text,
        "severity_id": number, "severity": text, "time": large,
        "status_id": number, "status": text, "status_code": text, "status_detail": text,
        "metadata": pa.struct({
            "version": text, "product": pa.struct({"name": text, "vendor_name": text, "uid": text}),
            "uid": text, "original_event_uid": text, "original_time": text, "logged_time": large,
            "log_name": text, "sequence": large, "tenant_uid": text,
        }),
        "actor": pa.struct({
            "user": pa.struct({
                "uid": text, "name": text, "type": text, "groups": pa.list_(pa.struct({"name": text, "type": text})),
            }),
            "session": pa.struct({"uid": text}), "app_name": text,
        }),
        "api": pa.struct({
            "operation": text, "service": pa.struct({"name": text}), "request": pa.struct({"uid": text}),
            "response": pa.struct({"error": text, "message": text}),
        }),
        "src_endpoint": pa.struct({"ip": text, "uid": text, "svc_name": text}),
        "http_request": pa.struct({
            "http_method": text, "user_agent": text, "url": pa.struct({"url_string": text}),
        }),
        "resources": pa.list_(pa.struct({"uid": text, "name": text, "type": text})),
        "unmapped": text, "raw_data": text,
    }  # fmt: skip
    required = {*numbers, "type_uid", "time", "metadata", "actor", "api", "src_endpoint"}
    return pa.schema([pa.field(name, kind, nullable=name not in required) for name, kind in fields.items()])


def count_rows(file: IO[bytes]) -> int | None:
    """Return the number of rows that a file says it has; None where pyarrow is not installed.

    Raises ValueError if it is no Parquet.
    """
    try:
        _, pq = _arrow()
    except SettingsError:
        return None
    return int(pq.ParquetFile(file).metadata.num_rows)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise SettingsError("Parquet needs pyarrow: install it with `pip install 'auditd-client[parquet]'`") from error
    return pa, pq
