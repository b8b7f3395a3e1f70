"""Settings for all tests."""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline judges the machine, not the code: how long an example takes depends on what else is running.
settings.register_profile("auditd", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("auditd")

_FIRST = ("tests/docs", "tests/demo", "tests/faults", "tests/system")
"""Where tests wait for real processes, for long: were they the last, one would be waited for by all."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are found, which live to the end: no garbage collection need look at them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long before all else."""
    root = Path(__file__).parent
    late = len(_FIRST)
    places = {root / folder: place for place, folder in enumerate(_FIRST)}
    items.sort(key=lambda item: next((places[each] for each in item.path.parents if each in places), late))
