"""Print everything that `requirements.lock` must hold, one requirement a line: the input of pip-compile."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = ("pyproject.toml", "client/python/pyproject.toml")
OURS = ("auditd",)


def requirements() -> list[str]:
    """Return what both packages need with every extra, without each other, and what `requirements.in` names."""
    found: set[str] = set()
    for project in PROJECTS:
        metadata = tomllib.loads((ROOT / project).read_text())["project"]
        extras = chain.from_iterable(metadata.get("optional-dependencies", {}).values())
        found.update(need for need in chain(metadata["dependencies"], extras) if not need.startswith(OURS))
    lines = (ROOT / "requirements.in").read_text().splitlines()
    found.update(line for line in lines if line and not line.startswith("#"))
    return sorted(found, key=str.casefold)


if __name__ == "__main__":
    print("\n".join(requirements()))
