"""How far an export has come, kept beside its parts so that it can be resumed to the row.

One JSON text a line: first what was asked for; then, for each round, the names of the parts before they are given
(`begin`), and the parts with the place to go on from (`commit`). What was begun and not committed is removed when
the export is resumed; what was committed is never touched again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from auditd_client.exports._manifest import Part, Request, read_part, read_request
from auditd_client.verify import MalformedError

JOURNAL_NAME = "_export-journal.jsonl"


@dataclass(slots=True)
class Journal:
    """What the journal of a folder says. Each method returns only after its line is on disk."""

    path: Path
    request: Request
    parts: list[Part] = field(default_factory=list)
    resume_token: str = ""
    next_index: int = 0
    tree_size: int | None = None
    checkpoint: str = ""
    begun: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, path: Path, request: Request) -> Self:
        """Begin the journal of an export; raise FileExistsError if there is one."""
        with path.open("xb"):
            pass
        journal = cls(path, request)
        journal._append({"request": asdict(request)})
        return journal

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the journal of an interrupted export; a last line that was torn off is dropped.

        Raises MalformedError, and OSError if there is none.
        """
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        lines = [_line(line) for line in whole.splitlines()]
        if not lines or "request" not in lines[0]:
            raise MalformedError("journal", "it does not say what was asked for")
        journal = cls(path, read_request(lines[0]["request"]))
        for line in lines[1:]:
            if isinstance(line.get("begin"), list):
                journal.begun = [str(name) for name in line["begin"]]
            elif "commit" in line:
                journal._take(line["commit"])
        return journal

    def begin(self, names: Sequence[str]) -> None:
        """Note which files are about to get their names."""
        self.begun = list(names)
        self._append({"begin": self.begun})

    def commit(
        self, parts: Sequence[Part], resume_token: str, next_index: int, tree_size: int, checkpoint: str
    ) -> None:
        """Note that parts are finished, and from where to go on."""
        commit = {
            "parts": [asdict(part) for part in parts],
            "resume_token": resume_token,
            "next_index": next_index,
            "tree_size": tree_size,
            "checkpoint": "" if self.checkpoint else checkpoint,
        }
        self._append({"commit": commit})
        self._take(commit)

    def _take(self, commit: Any) -> None:  # noqa: ANN401 - any JSON
        try:
            self.parts += [read_part(part) for part in commit["parts"]]
            self.resume_token, self.next_index = str(commit["resume_token"]), int(commit["next_index"])
            self.tree_size = int(commit["tree_size"])
            self.checkpoint = self.checkpoint or str(commit["checkpoint"])
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedError("journal", f"a line is not as it was written: {error}") from error
        self.begun = []

    def _append(self, line: object) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _line(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedError("journal", f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedError("journal", "a line is no object")
    return value
