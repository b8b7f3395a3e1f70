"""Compression dictionaries: trained on a log's own leaves, announced before use, readable for ever."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
import zstandard

from auditd.entry import Event, Time, encode_events
from auditd.errors import UnavailableError
from auditd.log._training import INTERVAL_S, MIN_LEAVES, DictionaryTrainer

ACTIONS = ["user.login", "user.logout", "record.read", "record.export", "permission.grant", "token.issue"]


@pytest.fixture
def varied(make_submission):
    """A submission of events that resemble each other as real ones do."""

    def make(count, seed):
        choose = random.Random(seed)
        events = []
        for number in range(count):
            attributes = {
                "region": choose.choice(["eu-central-1", "us-east-1", "ap-south-1"]),
                "request_parameters": {"bucket": f"records-{choose.randrange(40)}", "prefix": choose.choice("abcdef")},
                "mfa": choose.random() < 0.5,
                "session": choose.randbytes(6).hex(),
            }
            events.append(
                Event(
                    id=f"{seed}-{number}",
                    time=Time(1_795_000_000 + number),
                    tenant=choose.choice(["acme", "globex"]),
                    action=choose.choice(ACTIONS),
                    outcome=choose.randrange(1, 4),
                    attributes_json=json.dumps(attributes),
                )
            )
        return make_submission(encode_events(events))

    return make


class Announced(list):
    """Hashes that were announced, and whether the evidence had a dictionary then."""

    def __init__(self, one_log, rows):
        super().__init__()
        self.found = []
        self._ask = lambda: rows(one_log.evidence, "SELECT count(*) FROM dictionaries")[0][0]

    def __call__(self, digest):
        self.append(digest)
        self.found.append(self._ask())


@pytest.fixture
def announced(one_log, rows):
    return Announced(one_log, rows)


@pytest.fixture
def no_first(monkeypatch):
    """A log has no first dictionary, as one has whose first leaves taught nothing."""
    monkeypatch.setattr(DictionaryTrainer, "first", lambda *_: None)


@pytest.fixture
def filled(one_log, announced, varied, no_first):
    """An open log with as many leaves as training needs."""
    log = one_log.open(announce=announced)
    for seed in range(MIN_LEAVES // 500):
        one_log.record(log, varied(500, seed))
    return log


@pytest.fixture
def frames(one_log, rows):
    """(dictionary id, length) of the frames [start, end)."""

    def read(start, end):
        found = rows(one_log.evidence, "SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx", start, end)
        return [(zstandard.get_frame_parameters(frame).dict_id, len(frame)) for (frame,) in found]

    return read


def test_a_dictionary_is_trained_announced_kept_as_a_file_and_used(one_log, filled, announced, varied, frames, rows):
    log = filled
    before = log.leaves(0, MIN_LEAVES)
    log._housekeeper.work()
    assert announced.found == [0]
    (digest,) = announced
    file = one_log.folder / "dictionaries" / f"{digest}.zstd-dictionary"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    one_log.record(log, varied(300, "new"))
    ((dictionary_id, dictionary),) = rows(one_log.evidence, "SELECT id, dictionary FROM dictionaries")
    assert dictionary == file.read_bytes()
    old, new = frames(0, MIN_LEAVES), frames(MIN_LEAVES, MIN_LEAVES + 300)
    assert ({used for used, _ in old}, {used for used, _ in new}) == ({0}, {dictionary_id})
    assert sum(length for _, length in new) / 300 < 0.7 * sum(length for _, length in old) / MIN_LEAVES
    assert log.leaves(0, MIN_LEAVES) == before
    assert len(log.leaves(MIN_LEAVES, log.size)) == 300
    one_log.require_one_history(log)


def test_the_dictionary_survives_a_restart(one_log, filled, announced, varied, frames):
    filled._housekeeper.work()
    one_log.record(filled, varied(10, "new"))
    leaves = filled.leaves(0, filled.size)
    filled.close()
    log = one_log.open(announce=announced)
    assert log.leaves(0, log.size) == leaves
    one_log.record(log, varied(10, "newer"))
    assert len({used for used, _ in frames(MIN_LEAVES, MIN_LEAVES + 20)}) == 1
    assert frames(MIN_LEAVES, MIN_LEAVES + 20)[0][0] != 0


def test_no_dictionary_is_trained_in_the_background_below_two_thousand_leaves(one_log, announced, varied, no_first):
    log = one_log.open(announce=announced)
    for seed in range(3):
        one_log.record(log, varied(500, seed))
    one_log.record(log, varied(499, "last"))
    log._housekeeper.work()
    assert log.size == 1_999
    assert announced == []


@pytest.mark.parametrize("batches", [[1_000], [199, 1, 10], [100, 100, 10]])
def test_the_commit_that_brings_the_two_hundredth_leaf_has_a_dictionary(
    one_log, announced, varied, frames, rows, batches
):
    log = one_log.open(announce=announced)
    for number, count in enumerate(batches):
        one_log.record(log, varied(count, number))
    plain = 0 if len(batches) == 1 else sum(batches[:-2])
    (digest,) = announced
    ((dictionary_id, dictionary),) = rows(one_log.evidence, "SELECT id, dictionary FROM dictionaries")
    assert hashlib.sha256(dictionary).hexdigest() == digest
    assert (one_log.folder / "dictionaries" / f"{digest}.zstd-dictionary").read_bytes() == dictionary
    assert {used for used, _ in frames(0, plain)} == ({0} if plain else set())
    assert {used for used, _ in frames(plain, log.size)} == {dictionary_id}
    assert len(log.leaves(0, log.size)) == sum(batches)
    one_log.require_one_history(log)


def test_a_first_dictionary_that_cannot_be_announced_holds_nothing_up(one_log, varied, frames, caplog):
    def refuse(_):
        raise UnavailableError("NOT_RECORDED", "control is closed")

    log = one_log.open(announce=refuse)
    one_log.record(log, varied(300, "new"))
    assert "no first dictionary: control is closed" in caplog.text
    assert {used for used, _ in frames(0, log.size)} == {0}


def test_no_dictionary_is_trained_where_none_can_be_announced(one_log, varied, rows):
    log = one_log.open()
    for seed in range(MIN_LEAVES // 500):
        one_log.record(log, varied(500, seed))
    log._housekeeper.work()
    one_log.record(log, varied(5, "new"))
    assert rows(one_log.evidence, "SELECT count(*) FROM dictionaries") == [(0,)]
    assert not (one_log.folder / "dictionaries").exists()


def test_a_dictionary_that_cannot_be_announced_is_not_used(one_log, varied, frames, caplog, no_first):
    def refuse(_):
        raise UnavailableError("NOT_RECORDED", "control is closed")

    log = one_log.open(announce=refuse)
    for seed in range(MIN_LEAVES // 500):
        one_log.record(log, varied(500, seed))
    log._housekeeper.work()
    assert "control is closed" in caplog.text
    one_log.record(log, varied(5, "new"))
    assert {used for used, _ in frames(0, log.size)} == {0}


def test_training_happens_at_most_once_a_day_and_only_for_a_gain(one_log, filled, announced, varied, monkeypatch):
    trainings = []
    train = zstandard.train_dictionary
    monkeypatch.setattr(zstandard, "train_dictionary", lambda *a, **k: (trainings.append(1), train(*a, **k))[1])
    for _ in range(3):
        filled._housekeeper.work()
        one_log.record(filled, varied(5, f"day0-{len(trainings)}-{filled.size}"))
    assert (len(trainings), len(announced)) == (1, 1)
    one_log.seconds += INTERVAL_S - 1
    filled._housekeeper.work()
    assert len(trainings) == 1
    one_log.seconds += 1
    filled._housekeeper.work()
    assert (len(trainings), len(announced)) == (2, 1)  # no better than the first one


def test_a_log_whose_events_change_gets_another_dictionary_and_stays_small(
    one_log, filled, announced, varied, make_submission, frames
):
    """Though nearly all its leaves are as before: what comes is like the newest."""
    filled._housekeeper.work()
    for seed in range(18):
        one_log.record(filled, varied(1_000, f"before-{seed}"))

    def others(seed):
        choose = random.Random(seed)
        kinds = [f"urn:example:device:{choose.randbytes(9).hex()}:temperature" for _ in range(30)]
        attributes = [{"sensor": choose.choice(kinds), "celsius": choose.randrange(40)} for _ in range(500)]
        events = [
            Event(
                id=f"{seed}-{at}", time=Time(1_796_000_000 + at), action="sensor.read", attributes_json=json.dumps(each)
            )
            for at, each in enumerate(attributes)
        ]
        return make_submission(encode_events(events))

    one_log.record(filled, others("first"))
    one_log.seconds += INTERVAL_S
    filled._housekeeper.work()
    assert len(announced) == 2
    one_log.record(filled, others("after"))
    (before, worse), (after, better) = (
        ({used for used, _ in found}, sum(length for _, length in found))
        for found in (frames(filled.size - 1_000, filled.size - 500), frames(filled.size - 500, filled.size))
    )
    assert before.isdisjoint(after)
    assert better < 0.9 * worse
    assert better < 0.5 * sum(map(len, filled.leaves(filled.size - 500, filled.size)))


@pytest.mark.parametrize("outcome", ["lost", "stored"])
def test_a_first_commit_with_a_dictionary_that_fails_is_made_good(
    one_log, filled, announced, varied, frames, monkeypatch, outcome
):
    filled._housekeeper.work()
    append = filled._store.append

    def fail(batch):
        if outcome == "stored":
            append(batch)
        raise OSError("lost")

    monkeypatch.setattr(filled._store, "append", fail)
    with pytest.raises(UnavailableError):
        filled.record(varied(10, "new"))
    monkeypatch.undo()
    for seed in ("new", "newer", "newest"):
        one_log.record(filled, varied(10, seed))
    assert filled.size == MIN_LEAVES + 30
    assert len(filled.leaves(0, filled.size)) == filled.size
    assert {used for used, _ in frames(MIN_LEAVES, filled.size)} != {0}


def test_the_newest_dictionary_is_used_after_a_restart_whatever_the_ids(one_log, filled, varied, frames):
    samples = filled.leaves(0, MIN_LEAVES)
    for dictionary_id in (9_000, 70, 800):
        data = zstandard.train_dictionary(4_096, samples, dict_id=dictionary_id, level=1).as_bytes()
        filled._writer.use_dictionary(data)
        one_log.record(filled, varied(5, str(dictionary_id)))
    filled.close()
    log = one_log.open()
    one_log.record(log, varied(5, "after"))
    assert [used for used, _ in frames(MIN_LEAVES, MIN_LEAVES + 20)] == [9_000] * 5 + [70] * 5 + [800] * 10
    assert len(log.leaves(0, log.size)) == log.size
