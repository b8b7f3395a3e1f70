"""Which clocks are believed, and what the time is where one is not."""

from __future__ import annotations

import json

import pytest

from auditd._build import BUILT_NS
from auditd.server._clock import Clock, ClockSources
from auditd.server._clock_confirmation import CONFIRMATION_NAME, confirm_clock, take_confirmation

S = 1_000_000_000
DAY_S = 86_400
MAX_IDLE_S = 7 * DAY_S
NOW_NS = BUILT_NS + 365 * DAY_S * S


class Machine:
    """A machine with a clock that can be set, and whose time goes by."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS
        self.boot_ns = 1_000 * S
        self.synchronized: bool | None = False

    def clock(self, newest_ns: int = NOW_NS) -> Clock:
        sources = ClockSources(lambda: self.now_ns, lambda: self.boot_ns, lambda: self.synchronized)
        clock = Clock(MAX_IDLE_S, sources)
        clock.begin(newest_ns)
        return clock

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)
        self.boot_ns += int(seconds * S)

    def step(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)


@pytest.fixture
def machine():
    return Machine()


def changes(clock: Clock) -> list[str]:
    """Return what is to be recorded, and have it recorded."""
    actions = []
    while (change := clock.next_change()) is not None:
        actions.append(change.action)
        clock.recorded(change)
    return actions


@pytest.mark.parametrize(
    ("newest_ns", "synchronized", "said"),
    [
        pytest.param(0, False, "", id="a new folder"),
        pytest.param(NOW_NS, False, "", id="as the newest entry"),
        pytest.param(NOW_NS + 300 * S, False, "", id="five minutes before it"),
        pytest.param(NOW_NS + 301 * S, True, "301 s before the newest time", id="more than that before it"),
        pytest.param(NOW_NS - MAX_IDLE_S * S, False, "", id="a week after it"),
        pytest.param(NOW_NS - (MAX_IDLE_S + 1) * S, True, "", id="more than a week after it, the kernel vouches"),
        pytest.param(NOW_NS - (MAX_IDLE_S + 1) * S, False, "kernel does not vouch", id="and does not"),
        pytest.param(NOW_NS - (MAX_IDLE_S + 1) * S, None, "kernel does not vouch", id="and says nothing"),
    ],
)
def test_a_clock_is_judged_at_the_start(machine, newest_ns, synchronized, said):
    machine.synchronized = synchronized
    clock = machine.clock(newest_ns)
    assert (said in clock.state().suspect) is True
    assert bool(clock.state().suspect) == bool(said) == clock.is_suspect() == (clock.refusal() is not None)
    assert clock.now_ns() == (max(newest_ns, BUILT_NS) if said else NOW_NS)


def test_a_clock_before_the_build_of_the_release_is_suspect_even_in_a_new_folder(machine):
    machine.now_ns = BUILT_NS - S
    machine.synchronized = True
    clock = machine.clock(0)
    assert "before this release was built" in clock.state().suspect
    assert clock.now_ns() == BUILT_NS


@pytest.mark.parametrize(
    ("step_s", "synchronized", "expected"),
    [
        pytest.param(59, False, [], id="a small step"),
        pytest.param(-59, False, [], id="a small step back"),
        pytest.param(3_600, False, ["clock.step"], id="an hour"),
        pytest.param(-120, False, ["clock.step"], id="two minutes back"),
        pytest.param(-301, True, ["clock.suspect"], id="more than five minutes back"),
        pytest.param(MAX_IDLE_S + 1, False, ["clock.suspect"], id="more than a week"),
        pytest.param(MAX_IDLE_S + 1, True, ["clock.step"], id="more than a week, the kernel vouches"),
    ],
)
def test_a_step_is_judged_afresh(machine, step_s, synchronized, expected):
    clock = machine.clock()
    machine.synchronized = synchronized
    machine.wait(10)
    machine.step(step_s)
    machine.wait(5)
    assert clock.is_suspect() == (expected == ["clock.suspect"])
    assert clock.now_ns() == NOW_NS + 15 * S + (0 if clock.is_suspect() else step_s * S)
    assert changes(clock) == expected


def test_many_small_steps_are_judged_as_one(machine):
    clock = machine.clock()
    for _ in range(10):
        machine.step(-59)
        clock.now_ns()
    assert clock.is_suspect()


def test_while_it_is_suspect_time_goes_on_from_the_last_one_trusted(machine):
    clock = machine.clock()
    machine.step(-10_000)
    assert clock.refusal().reason == "CLOCK_SUSPECT"
    machine.wait(30)
    assert clock.now_ns() == NOW_NS + 30 * S
    assert clock.refusal().facts == {"recorded": "no"}


def test_what_expires_does_so_by_whichever_is_later(machine):
    clock = machine.clock()
    machine.step(-10_000)
    assert clock.latest_s() == NOW_NS / S
    clock = machine.clock(machine.now_ns)
    machine.step(2 * MAX_IDLE_S)
    assert clock.is_suspect()
    assert clock.latest_s() == machine.now_ns / S


def test_a_clock_that_is_set_right_is_trusted_again(machine):
    clock = machine.clock()
    machine.step(-10_000)
    assert clock.is_suspect()
    machine.step(10_000)
    machine.wait(2)
    assert not clock.is_suspect()
    assert changes(clock) == ["clock.suspect", "clock.trust"]


def test_one_that_stays_behind_is_not_trusted_by_waiting(machine):
    clock = machine.clock()
    machine.step(-400)
    for _ in range(100):
        machine.wait(10)
        assert clock.is_suspect()


def test_a_change_waits_until_it_is_recorded(machine):
    clock = machine.clock()
    machine.step(-10_000)
    assert clock.next_change() is clock.next_change() is not None
    assert changes(clock) == ["clock.suspect"]
    assert clock.next_change() is None


class TestConfirmed:
    """By a file of who may write in the folder, for the clock as it was then."""

    @pytest.fixture
    def clock(self):
        """A clock of this machine which a folder with entries of next month does not trust."""
        import time

        clock = Clock(MAX_IDLE_S)
        clock.begin(time.time_ns() + 30 * DAY_S * S)
        assert clock.is_suspect()
        return clock

    def test_it_is_trusted(self, tmp_path, clock):
        assert confirm_clock(tmp_path, 0).taken is False
        take_confirmation(tmp_path, clock, {"main": "2027-01-01T00:00:00.000000Z"})
        assert not clock.is_suspect()
        assert list(tmp_path.iterdir()) == []
        clock.recorded(clock.next_change())
        change = clock.next_change()
        assert change.action == "clock.confirm"
        assert set(change.attributes) == {"clock", "by", "ahead"}

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"{}",
            b"[]",
            b'{"offset_ns": "x", "boot_id": ""}',
            b'{"offset_ns": null, "boot_id": ""}',
            b"\xff",
            b"[" * 4_000,
        ],
    )
    def test_what_is_no_confirmation_is_removed(self, tmp_path, clock, said):
        path = tmp_path / CONFIRMATION_NAME
        path.write_bytes(said)
        path.chmod(0o600)
        take_confirmation(tmp_path, clock, {})
        assert clock.is_suspect()
        assert not path.exists()

    @pytest.mark.parametrize("other", [{"boot_id": "another"}, {"offset_ns": 5}])
    def test_it_is_not_for_another_clock(self, tmp_path, clock, other):
        confirm_clock(tmp_path, 0)
        path = tmp_path / CONFIRMATION_NAME
        path.write_text(json.dumps(json.loads(path.read_text()) | other))
        take_confirmation(tmp_path, clock, {})
        assert clock.is_suspect()

    def test_a_file_that_others_can_write_is_not_believed(self, tmp_path, clock):
        confirm_clock(tmp_path, 0)
        (tmp_path / CONFIRMATION_NAME).chmod(0o666)
        take_confirmation(tmp_path, clock, {})
        assert clock.is_suspect()

    def test_nor_a_link(self, tmp_path, clock):
        confirm_clock(tmp_path, 0)
        path = tmp_path / CONFIRMATION_NAME
        path.rename(tmp_path / "real")
        path.symlink_to(tmp_path / "real")
        take_confirmation(tmp_path, clock, {})
        assert clock.is_suspect()
        assert (tmp_path / "real").exists()
