"""The power goes at any moment: whatever was not synced may be lost, reordered or torn, and nothing acknowledged is."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditd.log import Log, LogSigner, create_key_file, load_signer
from tests.faults import recording
from tests.faults.derived import hold_dictionaries, hold_searches
from tests.faults.power import Disk, File, State
from tests.faults.recording import DICTIONARY_SUFFIX, Operation
from tests.faults.seeds import seeded
from tests.faults.told import told
from tests.log.conftest import ORIGIN, OneLog

ROOT = Path(__file__).resolve().parents[2]
CUTS = 4
FAILURES = [(operation, how) for operation in ("write", "sync") for how in ("lost", "stored")]
LONG_ORIGIN = f"{'a' * 195}.com/main"


class Machine:
    """A machine on which a log is run and recorded, and what a power cut leaves of it."""

    def __init__(self, folder: Path, origin: str = ORIGIN) -> None:
        self._folder = folder
        self._cases = 0
        self.dictionaries: set[int] = set()
        """How many of them there were in the states that were held."""
        self._template = folder / "template"
        self._template.mkdir(parents=True)
        (self._template / "origin").write_text(origin)
        create_key_file(self._template / "main.pem")
        self._signer: LogSigner = load_signer(self._template / "main.pem", origin)
        Log.create(self._template / "main", self._signer)
        first = OneLog(self._template / "main", self._signer)
        first.filled(250)
        first.close_all()

    def record(self, *fail: str) -> list[Operation]:
        """Run the log, in which an operation may fail, and return all that was done."""
        case = self._case()
        command = [sys.executable, recording.__file__, str(case), *fail]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return pickle.loads((case / "recording").read_bytes())

    def disks(self, operations: list[Operation], cuts: set[int]) -> Iterator[tuple[int, Disk]]:
        """Play operations back, and give the disk where the power is cut."""
        files = {path.name: File(path.read_bytes()) for path in (self._template / "main").iterdir() if path.is_file()}
        disk = Disk(files)
        for number, operation in enumerate(operations):
            disk.play(operation)
            if number in cuts:
                yield number, disk

    def hold(self, state: State, disk: Disk, *, searched: bool) -> None:
        """Turn the power on again: what callers were told by then holds, and what they search for is found."""
        case = self._case()
        for name, content in state.items():
            path = case / "main" / ("dictionaries" if name.endswith(DICTIONARY_SUFFIX) else "") / name
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
            if content is not None and not name.endswith("-shm"):
                path.write_bytes(content)
        heard = told(disk.told)
        ids = heard.hold(case / "main", self._signer)
        assert ids[:250] == [f"fill0-{number}" for number in range(250)]
        if searched:
            hold_searches(case / "main", self._signer, ids)
        self.dictionaries.add(hold_dictionaries(case / "main", heard.announced))
        shutil.rmtree(case)

    def _case(self) -> Path:
        self._cases += 1
        return shutil.copytree(self._template, self._folder / f"case{self._cases}")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return Machine(tmp_path_factory.mktemp("machine"))


def hold_after(
    machine: Machine,
    operations: list[Operation],
    cuts: set[int],
    choose: random.Random,
    times: int,
    *,
    searched: bool = True,
) -> None:
    for number, disk in machine.disks(operations, cuts):
        states = {"lost": disk.unsynced_lost(), "stored": disk.all_stored()}
        if searched:
            states |= {"indexes ahead": disk.indexes_stored(), "indexes lost": disk.indexes_lost()}
        states |= {f"torn {time}": disk.torn(choose) for time in range(times)}
        for how, state in states.items():
            try:
                machine.hold(state, disk, searched=searched)
            except Exception as error:
                raise AssertionError(f"power cut after operation {number} ({operations[number][:3]}), {how}") from error


def test_the_recording_is_of_everything_that_must_be_durable(machine):
    done = {(kind, name) for kind, name, _, _ in machine.record()}
    assert done >= {
        ("write", "evidence.db-wal"),
        ("sync", "evidence.db-wal"),
        ("write", "evidence.db"),
        ("sync", "evidence.db"),
        ("write", "pending.db-wal"),
        ("sync", "pending.db-wal"),
        ("write", "head"),
        ("sync", "head"),
        ("write", "index.db-wal"),
        ("write", "tiles.db"),
        ("told", ""),
    }
    assert {kind for kind, name in done if name.endswith(DICTIONARY_SUFFIX)} == {"write", "sync"}


def test_around_the_first_use_of_each_dictionary(machine):
    """The evidence may use one only once its file has a name that stays, and its hash was announced."""
    choose, operations = seeded("dictionaries"), machine.record()
    kept = [n for n, (kind, name, *_) in enumerate(operations) if (kind, name[-16:]) == ("sync", DICTIONARY_SUFFIX)]
    assert len(kept) == 2
    answered = [n for n, (kind, _, _, said) in enumerate(operations) if kind == "told" and b"receipts" in said]
    uses = [next(n for n in answered if n > moment) for moment in kept]
    hold_after(
        machine,
        operations,
        {*kept, *uses, *(choose.randrange(*span) for span in zip(kept, uses, strict=True))},
        choose,
        1,
    )
    assert machine.dictionaries >= {0, 1, 2}


def test_at_some_moments(machine):
    choose, operations = seeded("power loss"), machine.record()
    hold_after(machine, operations, set(choose.sample(range(len(operations)), CUTS)), choose, 2)


@pytest.mark.parametrize(("operation", "how"), FAILURES)
def test_after_a_failure(machine, operation, how):
    choose = seeded(f"{operation} {how}")
    operations = machine.record(operation, str(choose.randrange(30 if operation == "write" else 6)), how)
    hold_after(machine, operations, set(choose.sample(range(len(operations)), 3)), choose, 1, searched=False)


def test_a_head_that_is_longer_than_a_sector(tmp_path):
    """Where both slots could be torn at once, none would hold, so the disk is made sure of one."""
    machine = Machine(tmp_path / "machine", LONG_ORIGIN)
    choose, operations = seeded("long head"), machine.record()
    written = [number for number, (kind, name, _, _) in enumerate(operations) if (kind, name) == ("write", "head")]
    hold_after(machine, operations, set(written), choose, 2, searched=False)


@pytest.mark.soak
def test_at_every_moment(machine):
    choose, operations = seeded("power loss"), machine.record()
    hold_after(machine, operations, set(range(len(operations))), choose, 6, searched=False)


@pytest.mark.soak
def test_searches_at_many_moments(machine):
    choose, operations = seeded("power loss, searched"), machine.record()
    hold_after(machine, operations, set(choose.sample(range(len(operations)), 60)), choose, 2)


@pytest.mark.soak
@pytest.mark.parametrize(("operation", "how"), FAILURES)
def test_after_every_failure(machine, operation, how):
    choose = seeded(f"{operation} {how}")
    for number in range(40 if operation == "write" else 12):
        operations = machine.record(operation, str(number), how)
        hold_after(machine, operations, set(choose.sample(range(len(operations)), 12)), choose, 1)
