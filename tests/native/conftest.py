"""The native code, where it is installed."""

import importlib
import os

import pytest


@pytest.fixture(scope="session")
def native():
    try:
        return importlib.import_module("auditd_native")
    except ImportError:
        if os.environ.get("REQUIRE_TOOLS") == "1":
            raise
        pytest.skip("auditd_native is not installed: no Rust toolchain when the environment was made")
