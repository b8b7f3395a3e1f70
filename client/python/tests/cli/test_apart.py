"""Files are read in a process of its own, with the same outcome as in this one."""

import subprocess
import sys

import pytest

BEGIN = """
import os, sys, threading
from auditd_client import Event
from auditd_client.cli import CommandError
from auditd_client.cli._apart import apart
from auditd_client.cli._recording import Chunk
from auditd_client.importers import BadLine, PlacedEvent

os.sched_getaffinity = lambda _: {0, 1}
CHUNKS = [
    Chunk([PlacedEvent("a:1", Event(id="1", action="user.login"), b"raw"), BadLine("a:2", "no", b"bad")]),
    Chunk([], is_last_for_now=True),
    Chunk([PlacedEvent("a:3", Event(id="3"), b"")]),
]
readers = []

def read(advance):
    readers.append(os.getpid())
    for chunk in CHUNKS:
        advance(100, 0)
        yield chunk
"""


def run(script, **options):
    done = subprocess.run([sys.executable, "-c", BEGIN + script], capture_output=True, text=True, timeout=60, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("with_raw", [True, False])
def test_gives_what_reading_here_gives(with_raw):
    run(f"""
told = []
with apart(read, with_raw={with_raw}) as there:
    found = list(there(lambda count, events: told.append((count, events))))
assert readers == [], "it was read elsewhere"
bare = [Chunk([item._replace(raw=b"") for item in CHUNKS[0].events[:1]] + CHUNKS[0].events[1:]), *CHUNKS[1:]]
assert found == (CHUNKS if {with_raw} else bare), found
assert told == [(100, 0)] * 3
""")


def test_an_error_comes_after_what_was_read_before_it():
    run("""
def failing(advance):
    yield CHUNKS[0]
    raise CommandError("a:9: no", "and more", status=2)

with apart(failing, with_raw=True) as there:
    chunks = there(lambda *_: None)
    assert next(chunks) == CHUNKS[0]
    try:
        next(chunks)
    except CommandError as error:
        assert (error.lines, error.status) == (("a:9: no", "and more"), 2)
    else:
        raise AssertionError
""")


def test_the_other_process_ends_with_the_work_whoever_leaves_it():
    run("""
import itertools

def endless(advance):
    for number in itertools.count():
        yield Chunk([PlacedEvent(f"a:{number}", Event(id=str(number)), b"x" * 100_000)])

import multiprocessing
with apart(endless, with_raw=True) as there:
    next(there(lambda *_: None))
    (process,) = multiprocessing.active_children()
assert not multiprocessing.active_children()
assert not os.path.exists(f"/proc/{process.pid}")
""")


def test_a_reader_that_dies_is_no_end_of_file():
    run("""
def dying(advance):
    yield CHUNKS[0]
    os._exit(1)

with apart(dying, with_raw=True) as there:
    chunks = there(lambda *_: None)
    next(chunks)
    try:
        next(chunks)
    except RuntimeError as error:
        assert "has ended" in str(error)
    else:
        raise AssertionError
""")


@pytest.mark.parametrize(
    "why",
    ["threading.Thread(target=threading.Event().wait, daemon=True).start()", "os.sched_getaffinity = lambda _: {0}"],
)
def test_reads_here_where_a_second_process_is_unsafe_or_gains_nothing(why):
    run(f"""
{why}
with apart(read, with_raw=True) as there:
    assert list(there(lambda *_: None)) == CHUNKS
assert readers == [os.getpid()]
""")
