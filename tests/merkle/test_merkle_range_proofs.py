"""Proofs of all leaves of a range, against the recursive split of RFC 6962."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.merkle import entries_proof, maximal_subtrees, range_proof, root_at

SIZE = 1_100


@pytest.fixture(scope="module")
def stored(stored_tree):
    return stored_tree(SIZE)


@pytest.fixture(scope="module")
def nodes(stored):
    return stored.nodes()


def subtrees_without(chosen, start, end):
    """The maximal subtrees of the split that hold none of `chosen`, walked from the root."""
    if not any(start <= index < end for index in chosen):
        return [(start, end)]
    if end - start == 1:
        return []
    middle = start + (1 << (end - start - 1).bit_length() - 1)
    return subtrees_without(chosen, start, middle) + subtrees_without(chosen, middle, end)


@st.composite
def trees_with_ranges(draw):
    """A size, and ranges of its leaves: ascending, some touching each other."""
    size = draw(st.integers(1, SIZE) | st.sampled_from([1, 2, 3, 255, 256, 257, 511, 512, 513, 1_024, 1_025]))
    ends = sorted(draw(st.lists(st.integers(0, size), min_size=2, max_size=12)))
    ranges = [(first, last) for first, last in zip(ends[::2], ends[1::2], strict=False) if first < last]
    return size, ranges or [(size - 1, size)]


@given(trees_with_ranges())
def test_a_proof_is_the_hashes_of_the_maximal_subtrees_without_a_chosen_leaf(rfc, stored, nodes, tree):
    size, ranges = tree
    chosen = {index for first, last in ranges for index in range(first, last)}
    expected = [rfc.root(stored.hashes[start:end]) for start, end in subtrees_without(chosen, 0, size)]
    assert entries_proof(ranges, size, nodes) == expected


@given(trees_with_ranges())
def test_a_proof_made_in_pieces_is_the_whole(nodes, tree):
    size, ranges = tree
    cuts = [0, *(last for _, last in ranges[:-1]), size]
    pieces = [
        entries_proof([between], size, nodes, within) for between, within in zip(ranges, pairwise(cuts), strict=True)
    ]
    assert [value for piece in pieces for value in piece] == entries_proof(ranges, size, nodes)


@given(st.data(), st.integers(1, 2**63 - 1))
def test_a_range_takes_at_most_two_hashes_a_level(data, size):
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first + 1, size))
    hashes = [*maximal_subtrees(0, first, size), *maximal_subtrees(last, size, size)]
    assert len(hashes) <= 2 * (size - 1).bit_length()
    assert sum(end - start for start, end in hashes) == size - (last - first)


def test_only_the_tiles_on_the_way_are_read(stored_tree):
    large = stored_tree(256 * 300)
    large.reads.clear()
    range_proof(1_000, 70_000, 256 * 300, large.nodes())
    assert len(large.reads) <= 4, "two level 0 tiles, and what vouches for them"


def test_the_whole_tree_needs_no_hash(nodes):
    assert range_proof(0, SIZE, SIZE, nodes) == []
    assert root_at(SIZE, nodes)


@pytest.mark.parametrize(
    ("ranges", "size", "within", "message"),
    [
        pytest.param([], 7, None, "ranges: none", id="nothing"),
        pytest.param([(3, 3)], 7, None, r"range: \[3, 3\)", id="empty range"),
        pytest.param([(4, 3)], 7, None, r"range: \[4, 3\)", id="backwards"),
        pytest.param([(3, 8)], 7, None, r"range: \[3, 8\) is not within \[0, 7\)", id="beyond the tree"),
        pytest.param([(-1, 3)], 7, None, r"range: \[-1, 3\)", id="negative"),
        pytest.param([(3, 5), (4, 6)], 7, None, r"range: \[4, 6\) is not within \[5, 7\)", id="overlapping"),
        pytest.param([(4, 6), (1, 2)], 7, None, r"range: \[1, 2\)", id="descending"),
        pytest.param([(0, 1)], SIZE + 1, None, "size: 1101", id="no such tree"),
        pytest.param([(1, 2)], 7, (2, 7), r"range: \[1, 2\) is not within \[2, 7\)", id="outside within"),
        pytest.param([(1, 2)], 7, (0, 8), r"within: \[0, 8\)", id="within beyond the tree"),
    ],
)
def test_rejects_ranges_that_are_none(nodes, ranges, size, within, message):
    with pytest.raises(ValueError, match=message):
        entries_proof(ranges, size, nodes, within)
