"""Measures count exactly, and what they say of many values is a bound that holds."""

from __future__ import annotations

import pytest

from auditd.measures import Histogram


def test_a_value_counts_below_its_bound_and_at_it():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.add(value)
    read = histogram.read()
    assert (read.counts, read.count, read.total, read.mean) == ((2, 2, 1), 5, 7.5, 1.5)


@pytest.mark.parametrize(
    ("share", "bound"), [(0.2, 1.0), (0.4, 1.0), (0.41, 2.0), (0.8, 2.0), (0.81, float("inf")), (1.0, float("inf"))]
)
def test_so_large_a_share_does_not_pass_the_bound(share, bound):
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.add(value)
    assert histogram.read().at_most(share) == bound


def test_nothing_has_no_bound_and_no_mean():
    read = Histogram().read()
    assert (read.at_most(0.5), read.mean, read.count) == (0, 0, 0)


def test_what_was_read_stays_as_it_was():
    histogram = Histogram((1.0,))
    read = histogram.read()
    histogram.add(0.5)
    assert (read.count, histogram.read().count) == (0, 1)
