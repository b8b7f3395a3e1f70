"""A native build of another release is not used, and said so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from auditd import _native


def test_what_is_used_of_it_is_what_it_offers():
    native = pytest.importorskip("auditd_native", reason="the native code is not built")
    assert {name for name in dir(native) if not name.startswith("_")} - {"auditd_native"} == _native._NAMES


def test_a_build_of_another_release_is_left_alone(tmp_path):
    (tmp_path / "auditd_native.py").write_text("def leaf_hashes(leaves): ...\n")
    script = (
        "from auditd._native import available\n"
        "from auditd.merkle import leaf_hashes\n"
        "print(available(), len(leaf_hashes([b''])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout == "False 1\n"
    assert "the native code is of another release (it lacks AppendBatch" in done.stderr
    assert "make" in done.stderr
