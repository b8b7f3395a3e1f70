"""What is to be said of an export whose manifest was handed over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from auditd_client.cli._progress import progress
from auditd_client.verify import VerifierKey

MANIFEST_MARK = b'"auditd-export"'
"""What stands in every manifest, and in nothing else that `auditlog` writes."""


def export_facts(file: str, key: VerifierKey | None, origin: str | None) -> dict[str, object]:
    """Verify an export; raise as `verify_export`."""
    # Not at the top: no other verification needs what compresses and counts.
    from auditd_client.exports import verify_export

    with progress("verify", unit="rows") as advance:
        found = verify_export(Path(file), key, origin, lambda _bytes, rows: advance(0, rows))
    manifest, request = found.manifest, found.manifest.request
    facts: dict[str, object] = {"kind": "export", "rows": manifest.rows, "parts": len(manifest.parts)}
    facts |= {"format": request.format, "log": request.log, "filter": request.filter, "tree_size": manifest.tree_size}
    if found.checkpoint is None:
        facts["checkpoint"] = "not verified, for want of --key"
    else:
        facts |= {"origin": found.checkpoint.origin, "root": found.checkpoint.root.hex()}
    facts["leaves"] = "all of the tree, verified" if found.is_whole_tree else "not compared with the tree"
    if request.verify_tokens:
        facts["tokens"] = f"{token_counts(manifest.tokens)}, as the server found then"
    if found.uncounted:
        facts["uncounted"] = f"{found.uncounted} parts, for want of pyarrow"
    return facts


def token_counts(tokens: Mapping[str, int]) -> str:
    """Return how often each verdict on a token was given, as one text."""
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(tokens.items())) or "none"
