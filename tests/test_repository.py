"""What must hold of the repository as a whole."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from list_requirements import requirements  # noqa: E402

GENERATED = ("client/python/src/auditd_proto/",)
# Put together here, so that this file does not hold what it forbids.
MACHINE_PATHS = [f"/{folder}/" for folder in ("work", "root")] + [f"/{'tmp'}/{'sp'}/"]
REGISTRIES = [
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("proxy.golang", "org"))
]
NPM_LOCKS = (".ci/package-lock.json", "tests/oidc/package-lock.json")
MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 80
PACKAGES = ("auditd", "auditd_client", "auditd_proto", "demo", "benchmarks")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file under version control, and every new one that is not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git work tree, or no git: cannot tell which files belong to the repository")
    return tuple(ROOT / name for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py" and not name_of(path).startswith(GENERATED)]


def packages() -> list[str]:
    roots = dict.fromkeys(("auditd_client", "auditd_proto"), ROOT / "client/python/src")
    found = []
    for package in PACKAGES:
        base = roots.get(package, ROOT)
        inits = sorted((base / package).rglob("__init__.py"))
        found.extend(".".join(init.parent.relative_to(base).parts) for init in inits)
    return found


@pytest.mark.parametrize("forbidden", MACHINE_PATHS + REGISTRIES)
def test_no_file_names_a_machine_or_a_registry(forbidden):
    holders = [name_of(path) for path in tracked_files() if forbidden.encode() in path.read_bytes()]
    assert holders == []


@pytest.mark.parametrize("lock", ["requirements.lock", *NPM_LOCKS, "tests/clients/go/go.sum"])
def test_lock_files_hold_no_addresses(lock):
    assert re.findall(r"(?:https?|file)://\S+", (ROOT / lock).read_text()) == []


@pytest.mark.parametrize("lock", NPM_LOCKS)
def test_every_package_of_an_npm_lock_is_pinned_by_hash(lock):
    packages = json.loads((ROOT / lock).read_text())["packages"]
    unpinned = [name for name, package in packages.items() if name and "integrity" not in package]
    assert unpinned == []


def test_requirements_lock_satisfies_what_the_packages_declare():
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for line in requirements():
        need = Requirement(line)
        version = locked.get(re.sub(r"[-_.]+", "-", need.name).lower())
        assert version is not None, f"{line} is not in requirements.lock: run `make lock`"
        assert need.specifier.contains(version), f"requirements.lock has {need.name} {version}, not {line}"


def test_no_module_is_longer_than_its_reader_has_patience():
    lengths = {name_of(path): path.read_text().count("\n") for path in python_files()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


def test_no_function_is_longer_than_a_screen():
    long = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{name_of(path)}: {node.name}: {lines} lines")
    assert long == []


def names_bound_in(init: Path) -> set[str]:
    """The public names that a package's front door defines or re-exports, imports on demand included."""
    tree = ast.parse(init.read_text())
    statements = [inner for outer in tree.body for inner in (outer.body if isinstance(outer, ast.If) else [outer])]
    found = set()
    for statement in statements:
        match statement:
            case ast.ImportFrom(level=level, module=module) if level or str(module).startswith(PACKAGES):
                found |= {alias.asname or alias.name for alias in statement.names}
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(statement.name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case _:
                pass
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("package", packages())
def test_package_exports_exactly_what_it_says(package):
    module = importlib.import_module(package)
    assert module.__file__ is not None
    declared = getattr(module, "__all__", [])
    assert sorted(declared) == sorted(names_bound_in(Path(module.__file__)))
    assert [name for name in declared if not hasattr(module, name)] == []


def test_both_packages_and_the_changelog_agree_on_the_version():
    versions = {
        project: tomllib.loads((ROOT / project).read_text())["project"]["version"]
        for project in ("pyproject.toml", "client/python/pyproject.toml")
    }
    newest = re.search(r"^## (?!Unreleased$)(\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert set(versions.values()) == {newest[1]}


def markdown_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def anchors(text: str) -> set[str]:
    """The anchors that a renderer makes of headings."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_in_documents_lead_somewhere():
    broken = []
    for page in markdown_files():
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            path = (page.parent / target).resolve() if target else page
            if not path.exists() or (anchor and path.is_file() and anchor not in anchors(path.read_text())):
                broken.append(f"{name_of(page)}: {link}")
    assert broken == []


def test_ci_script_is_sound_bash_and_executable():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], capture_output=True, check=False).stderr == b""


def test_every_make_target_is_explained():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert set(phony[1].split()) == explained
