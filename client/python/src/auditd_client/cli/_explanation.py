"""How a query is found, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict

from auditd_client import Explanation
from auditd_client.cli._output import Writer, compact_json, write_json, write_line

_COLUMNS = ("narrowed_by", "part")


def write_explanation(explanation: Explanation, output: str, *, no_index: bool) -> None:
    """Print what narrowed a query, and how many entries were examined; `no_index` says that no index was to be used."""
    if output in {"json", "jsonl"}:
        members = asdict(explanation)
        members["narrowings"] = [dict(zip(_COLUMNS, narrowing, strict=True)) for narrowing in explanation.narrowings]
        write_json(compact_json(members))
        return
    rows = explanation.narrowings or (("nothing", "every entry has to be examined"),)
    with Writer[tuple[str, str]](output, _COLUMNS, lambda row: row, lambda _row: "") as writer:
        writer.write(rows)
    if output == "table":
        more = ", and there may be more" if explanation.has_more else ""
        index = f"{explanation.uncovered:,} of them not indexed yet"
        if no_index:
            index = "the index was not used, because of --no-index"
        write_line(
            f"examined {explanation.examined:,} of {explanation.in_range:,} entries"
            f" ({index}), found {explanation.found:,}{more};"
            f" {explanation.duration_us / 1000:.1f} ms"
        )
