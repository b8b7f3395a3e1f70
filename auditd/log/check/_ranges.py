"""The entries of one log, range by range, in this process or in several."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from auditd.errors import UnavailableError
from auditd.log._frames import FrameCodec
from auditd.log.check._leaves import Checked, LeafChecks
from auditd.log.check._reading import EvidenceReader, open_undisturbed

_RANGE = 8_192
"""Entries that a process checks before it hands over what came of them: 32 tiles."""
_LEAST_A_JOB = 32_768
"""Entries that are worth a process of their own, which takes some tenths of a second to begin."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a process needs to check entries: a file, of which log it is, and the dictionaries of that log."""

    path: Path
    origin: str
    dictionaries: tuple[bytes, ...]


def check_ranges(reader: EvidenceReader, leaves: LeafChecks) -> Iterator[Checked]:
    """Check all entries in this process; yield what came of some at a time, in their order."""
    for start, end in _ranges(reader.size):
        yield leaves.check(reader.rows, start, end)


def check_ranges_in_processes(evidence: Evidence, size: int, jobs: int) -> Iterator[Checked]:
    """Do the same in up to `jobs` processes. Raises UnavailableError where one of them ends before its work does."""
    jobs = min(jobs, -(-size // _LEAST_A_JOB))
    # Started afresh: what this process has open is not for others to inherit.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (evidence,))
    waiting: deque[Future[Checked]] = deque()
    try:
        for start, end in _ranges(size):
            waiting.append(pool.submit(_check, start, end))
            # Twice as many as there are processes, so that none waits and memory stays bounded.
            if len(waiting) == 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        message = (
            "a process that checked entries was ended from outside; check again, with --jobs 1 to need less memory"
        )
        raise UnavailableError("CHECK_ENDED", message) from error
    finally:
        pool.shutdown(cancel_futures=True)


def worth_processes(size: int, jobs: int) -> bool:
    """Tell whether a log has so many entries that several processes check it sooner."""
    return jobs > 1 and size > _LEAST_A_JOB


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, _RANGE):
        yield start, min(start + _RANGE, size)


class _Process:
    """What a process that checks entries keeps from one range to the next."""

    def __init__(self, evidence: Evidence) -> None:
        self._opened = ExitStack()
        db = self._opened.enter_context(open_undisturbed(evidence.path))
        self.reader = EvidenceReader(db, evidence.path)
        self.leaves = LeafChecks(evidence.origin, FrameCodec(evidence.dictionaries))


_given: list[Evidence] = []


@cache
def _process() -> _Process:
    return _Process(_given[0])


def _begin(evidence: Evidence) -> None:
    # The process that began this one hears of ctrl-C as well, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What fails here ends the pool without a word of why, so the evidence is opened later.
    _given.append(evidence)


def _check(start: int, end: int) -> Checked:
    process = _process()
    return process.leaves.check(process.reader.rows, start, end)
