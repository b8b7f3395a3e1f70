"""What an evidence package consists of: its files, their order, and the manifest that lists them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from typing import Any, NoReturn
from unicodedata import unidata_version

from auditd_client.verify import MalformedError

FORMAT = "auditd.v1/evidence"
ENTRIES = "entries.jsonl"
PROOF = "proof.hashes"
CREDENTIALS = "credentials.jsonl"
OMITTED = "omitted.txt"
REPORT = "report.html"
VERIFIER = "verify.py"
INSTRUCTIONS = "README.txt"
MANIFEST = "manifest.json"

MAX_CHECKPOINTS = 64
MAX_FILES = 2 * MAX_CHECKPOINTS + 8
MAX_SMALL_BYTES = 1 << 20
"""Of the manifest, a checkpoint, a consistency proof, or a line of credentials."""
MAX_REPORT_BYTES = 64 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One file of a package; `sha256` is in hex."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself. Nothing vouches for it but what can be verified of what it names.

    `entries` is their number, `tree_size` the size of the tree that they are proven in.
    """

    origin: str
    tree_size: int
    entries: int
    filter: str
    exported_at: str
    exported_by: str
    made_by: str
    files: Sequence[PackedFile]

    def format(self) -> bytes:
        """Return the text of `manifest.json`."""
        members = {
            "format": FORMAT,
            "origin": self.origin,
            "tree_size": self.tree_size,
            "entries": self.entries,
            "filter": self.filter,
            "exported_at": self.exported_at,
            "exported_by": self.exported_by,
            "made_by": self.made_by,
            "files": [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in self.files],
        }
        return (json.dumps(members, ensure_ascii=False, indent=1) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read `manifest.json`. Raises MalformedError."""
        try:
            members = json.loads(data.decode(), object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise MalformedError(MANIFEST, f"not as it is written: {error}") from error
        if not isinstance(members, dict) or members.get("format") != FORMAT:
            raise MalformedError(MANIFEST, f"format is not {FORMAT!r}")
        listed = members.get("files")
        if not isinstance(listed, list) or len(listed) > MAX_FILES:
            raise MalformedError(MANIFEST, f"files are not a list of at most {MAX_FILES}")
        packed = [
            PackedFile(_text(file, "name"), _number(file, "bytes"), _text(file, "sha256", _SHA256)) for file in listed
        ]
        texts = {name: _text(members, name) for name in ("origin", "filter", "exported_at", "exported_by", "made_by")}
        return cls(tree_size=_number(members, "tree_size"), entries=_number(members, "entries"), files=packed, **texts)


def file_names(sizes: Sequence[int], *, with_omitted: bool) -> list[str]:
    """Return the files of a package, in their order, the manifest last; `sizes` are those of its checkpoints."""
    trees = [checkpoint_name(sizes[0])] if sizes else []
    for older, newer in pairwise(sizes):
        trees += [consistency_name(older, newer), checkpoint_name(newer)]
    omitted = [OMITTED] if with_omitted else []
    return [ENTRIES, PROOF, *trees, CREDENTIALS, *omitted, REPORT, VERIFIER, INSTRUCTIONS, MANIFEST]


def checkpoint_name(size: int) -> str:
    """Return the name of the file with the signed note of a tree."""
    return f"checkpoint-{size}"


def consistency_name(older: int, newer: int) -> str:
    """Return the name of the file with the proof that one tree extends another."""
    return f"consistency-{older}-{newer}.hashes"


def made_by() -> str:
    """Return what a package says of its maker: all that the report depends on beside the entries.

    Which characters are shown escaped depends on the version of Unicode.
    """
    return f"auditlog {version('auditd-client')} with Unicode {unidata_version}"


def standing_file(name: str) -> bytes:
    """Return the content of `verify.py` or `README.txt`, which is the same in every package of this version."""
    source = {VERIFIER: "standalone.py", INSTRUCTIONS: "instructions.txt"}[name]
    return files("auditd_client.evidence").joinpath(source).read_bytes()


def _text(members: Any, name: str, pattern: re.Pattern[str] | None = None) -> str:  # noqa: ANN401 - any JSON
    value = members.get(name) if isinstance(members, dict) else None
    if not isinstance(value, str) or (pattern is not None and not pattern.fullmatch(value)):
        raise MalformedError(MANIFEST, f"{name} is missing or malformed")
    return value


def _number(members: Any, name: str) -> int:  # noqa: ANN401 - any JSON
    value = members.get(name) if isinstance(members, dict) else None
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise MalformedError(MANIFEST, f"{name} is missing or no number below 2^63")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a member stands twice in one object")
    return dict(pairs)


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"number not allowed here: {number[:30]!r}")
