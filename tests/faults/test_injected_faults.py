"""Each system call of an append, a start, a checkpoint and an index build fails, or is the last: nothing is lost."""

from __future__ import annotations

import pytest

from tests.faults.injected import Driver, Fault, require_strace
from tests.faults.seeds import seeded

PHASES = ("append", "start", "checkpoint", "index")
MEETS = {
    "append": {"pwrite64", "fdatasync"},
    "start": {"openat", "pwrite64", "ftruncate"},
    "checkpoint": {"openat", "pwrite64", "fdatasync"},
    "index": {"openat", "pwrite64", "fdatasync"},
}
SAMPLE = 6


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = Driver.begin(tmp_path_factory.mktemp("driven"), require_strace())
    yield driver
    driver.end()


def run_all(driver: Driver, faults: list[Fault]) -> None:
    failed = []
    for fault in faults:
        try:
            driver.run(fault)
        except AssertionError as error:
            failed.append(f"{fault}\n{error}")
    assert not failed, "\n\n".join(failed)


@pytest.mark.parametrize("phase", PHASES)
def test_some_faults(driver, phase):
    faults = driver.faults(phase)
    assert {fault.syscall for fault in faults} >= MEETS[phase]
    run_all(driver, seeded(phase).sample(faults, min(SAMPLE, len(faults))))


@pytest.mark.soak
@pytest.mark.parametrize("phase", PHASES)
def test_every_fault(driver, phase):
    run_all(driver, driver.faults(phase))
