"""A log against a model of it: whatever is appended, repeated, killed and re-opened, in any order."""

from __future__ import annotations

import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from auditd.entry import event_text, parse_leaf
from auditd.errors import ConflictError
from auditd_client.verify import leaf_hash, open_checkpoint, verify_extends, verify_inclusion


class LogMachine(RuleBasedStateMachine):
    """The model: the leaves in their order, and the index of each name. The class attributes are set by the test."""

    make_log = submission = events = mth = signer = None

    @initialize()
    def make(self):
        self.root = Path(tempfile.mkdtemp())
        self.one_log = self.make_log(self.root / "main", self.signer)
        self.log = self.one_log.open()
        self.leaves = []
        self.texts = []
        self.index_of = {}
        self.heads = [self.log.tree_head]
        self.images = 0

    def teardown(self):
        if hasattr(self, "one_log"):
            self.one_log.close_all()
            shutil.rmtree(self.root)

    def event(self, number, **members):
        return self.events(1, f"n{number}", **members)[0]

    @rule(numbers=st.lists(st.integers(0, 400), min_size=1, max_size=40), caller=st.sampled_from(["alice", "bob"]))
    def append_anything(self, numbers, caller):
        """Names known and unknown, repeated and not, in any order."""
        self.take([(number, caller) for number in numbers])

    @rule(start=st.integers(0, 3), count=st.integers(1, 300), caller=st.sampled_from(["alice", "bob"]))
    def append_a_run(self, start, count, caller):
        self.take([(1_000 * (start + 1) + number, caller) for number in range(count)])

    def take(self, names):
        caller = names[0][1]
        batch = [self.event(number) for number, _ in names]
        recorded = self.log.record(self.submission(batch, caller, keep_leaves=True))
        for position, (name, event) in enumerate(zip(names, batch, strict=True)):
            known = name in self.index_of
            if not known:
                self.index_of[name] = len(self.leaves)
                self.leaves.append(recorded.leaves[position])
                self.texts.append(event.json)
            assert recorded.indexes[position] == self.index_of[name]
            assert (position in recorded.duplicates) == known
            assert recorded.leaves[position] == self.leaves[self.index_of[name]]
            assert recorded.leaf_hashes[position] == leaf_hash(recorded.leaves[position])
        assert recorded.head.size == len(self.leaves)
        self.heads.append(recorded.head)

    @rule(data=st.data())
    def append_a_conflict(self, data):
        if not self.index_of:
            return
        number, caller = data.draw(st.sampled_from(sorted(self.index_of)))
        before = self.log.tree_head
        batch = [self.event(9_000 + len(self.heads)), self.event(number, reason="another")]
        with pytest.raises(ConflictError) as caught:
            self.log.record(self.submission(batch, caller))
        assert caught.value.facts == {"field": "events[1].reason", "index": str(self.index_of[number, caller])}
        assert self.log.tree_head == before

    @rule(step_s=st.integers(-5, 5))
    def the_clock_jumps(self, step_s):
        self.one_log.now_ns += step_s * 1_000_000_000
        self.one_log.seconds += 1

    @rule()
    def close_and_open(self):
        self.log.close()
        self.log = self.one_log.open()

    @rule()
    def kill_and_open(self):
        self.images += 1
        image = self.one_log.crash_image(self.root / f"image{self.images}")
        self.log.close()
        self.one_log.folder = image
        self.log = self.one_log.open()

    @rule()
    def the_housekeeper_works(self):
        self.log._housekeeper.work()

    @rule(data=st.data())
    def read(self, data):
        size = len(self.leaves)
        start = data.draw(st.integers(0, size))
        end = data.draw(st.integers(start, size))
        assert self.log.leaves(start, end) == self.leaves[start:end]
        if size:
            number, caller = data.draw(st.sampled_from(sorted(self.index_of)))
            (key,) = self.submission([self.event(number)], caller).keys
            assert self.log.find(key) == self.index_of[number, caller]

    @rule(data=st.data())
    def prove(self, data):
        if not self.leaves:
            return
        size = data.draw(st.integers(1, len(self.leaves)))
        index = data.draw(st.integers(0, size - 1))
        root = self.mth([leaf_hash(leaf) for leaf in self.leaves[:size]])
        assert self.log.root_at(size) == root
        verify_inclusion(index, size, leaf_hash(self.leaves[index]), self.log.proofs.inclusion(index, size), root)

    @invariant()
    def the_head_is_the_models(self):
        if not hasattr(self, "log"):
            return
        checkpoint = open_checkpoint(self.log.tree_head.note, self.log.verifier_key)
        assert checkpoint.size == len(self.leaves) == self.log.size
        assert checkpoint.root == self.mth([sha256(b"\0" + leaf).digest() for leaf in self.leaves])
        older = open_checkpoint(self.heads[len(self.heads) // 2].note, self.log.verifier_key)
        verify_extends(older, checkpoint, self.log.proofs.consistency(older.size, checkpoint.size))

    @invariant()
    def leaves_say_what_was_sent_in_the_order_of_time(self):
        if not getattr(self, "leaves", None):
            return
        newest = self.leaves[-300:]
        assert [event_text(leaf) for leaf in newest] == self.texts[-300:]
        times = [parse_leaf(leaf)["recorded_at"] for leaf in newest]
        assert times == sorted(times)


def test_a_log_does_what_its_model_does(make_log, make_submission, make_events, mth, signer):
    members = {
        "make_log": staticmethod(make_log),
        "submission": staticmethod(make_submission),
        "events": staticmethod(make_events),
        "mth": staticmethod(mth),
        "signer": signer,
    }
    run_state_machine_as_test(
        type("Machine", (LogMachine,), members),
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
