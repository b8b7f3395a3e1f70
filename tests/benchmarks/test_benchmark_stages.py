"""The server's own stages, one at a time: each is there, and takes time."""

from __future__ import annotations

from benchmarks._events import small_events
from benchmarks._stages import stage_costs_us


def test_every_stage_of_a_batch_is_measured(tmp_path):
    costs = stage_costs_us(small_events(), tmp_path, 1)
    assert {"receipts with inclusion proofs", "receipts", "index terms"} <= costs.keys()
    assert all(cost > 0 for cost in costs.values())
