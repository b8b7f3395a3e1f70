"""Settings for all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A deadline judges the machine, not the code: how long an example takes depends on what else is running.
settings.register_profile("auditd", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("auditd")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long `make test-all` soaks a server: `make test-all ARGS="--soak-minutes 5"`."""
    parser.addoption("--soak-minutes", type=float, default=60.0, help="how long a server is soaked")
