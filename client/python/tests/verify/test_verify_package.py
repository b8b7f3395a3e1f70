"""What the verifier depends on, and what it offers."""

import ast
import sys
from pathlib import Path

import auditd_client.verify as package


def imports_of(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_the_verifier_needs_nothing_but_the_standard_library_and_cryptography():
    files = sorted(Path(package.__file__).parent.glob("*.py"))
    modules = {module for file in files for module in imports_of(file.read_text(encoding="utf-8"))}
    foreign = {
        module
        for module in modules
        if module.split(".")[0] not in sys.stdlib_module_names | {"cryptography"}
        and not module.startswith("auditd_client.verify")
    }
    assert modules > {"hashlib", "cryptography.exceptions"}
    assert foreign == set()


def test_exported_names_are_sorted_as_listed_and_no_others():
    public = {
        name for name, value in vars(package).items() if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert public == set(package.__all__)


def test_every_error_has_the_one_root():
    errors = [value for value in vars(package).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(errors) == 7
    assert all(issubclass(error, package.VerificationError) for error in errors)
