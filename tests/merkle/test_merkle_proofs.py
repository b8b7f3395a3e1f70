"""Proofs against the definitions of RFC 6962 and the verifiers of RFC 9162."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    Nodes,
    Tree,
    consistency_proof,
    edge_widths,
    inclusion_paths,
    inclusion_proof,
    leaf_hash,
    root_at,
    tile_root,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "merkle.json").read_text())
SIZE = 1_100


@pytest.fixture(scope="module")
def stored(stored_tree):
    return stored_tree(SIZE)


@pytest.fixture(scope="module")
def nodes(stored):
    return stored.nodes()


def sizes_around_powers(limit: int) -> st.SearchStrategy[int]:
    """Any size, but half of the time one next to a power of two."""
    near = st.builds(lambda power, off: (1 << power) + off, st.integers(0, limit.bit_length()), st.integers(-2, 2))
    return st.integers(1, limit) | near.filter(lambda size: 0 < size <= limit)


def test_the_proofs_of_the_eight_known_leaves_verify(rfc):
    tree = Tree()
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
    tree.extend(hashes)
    nodes = Nodes(tree, lambda level, index: b"")
    roots = [bytes.fromhex(root) for root in VECTORS["roots"]]
    assert [root_at(size, nodes) for size in range(9)] == roots
    for size in range(1, 9):
        for index in range(size):
            assert rfc.included(index, size, hashes[index], inclusion_proof(index, size, nodes), roots[size])
        for old in range(1, size):
            assert rfc.consistent(old, size, roots[old], roots[size], consistency_proof(old, size, nodes))


@pytest.mark.parametrize("size", [*range(1, 35), 255, 256, 257])
def test_every_proof_of_a_small_tree_is_the_one_defined(rfc, stored, nodes, size):
    hashes = stored.hashes[:size]
    assert root_at(size, nodes) == rfc.root(hashes)
    step = 1 if size < 35 else 17
    for at in range(0, size, step):
        assert inclusion_proof(at, size, nodes) == rfc.inclusion(at, hashes)
        assert consistency_proof(at + 1, size, nodes) == rfc.consistency(at + 1, hashes)


@given(data=st.data(), size=sizes_around_powers(SIZE))
def test_every_proof_is_the_one_defined_and_verifies(rfc, stored, nodes, data, size):
    hashes = stored.hashes[:size]
    root = root_at(size, nodes)
    assert root == rfc.root(hashes)

    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, nodes)
    assert proof == rfc.inclusion(index, hashes)
    assert rfc.included(index, size, hashes[index], proof, root)

    old = data.draw(sizes_around_powers(size))
    proof = consistency_proof(old, size, nodes)
    assert proof == rfc.consistency(old, hashes)
    assert old == size or rfc.consistent(old, size, root_at(old, nodes), root, proof)


@given(data=st.data(), size=sizes_around_powers(SIZE))
def test_proofs_made_together_are_those_made_alone(nodes, data, size):
    indexes = data.draw(st.lists(st.integers(0, size - 1), max_size=20))
    first = data.draw(st.integers(0, size - 1))
    indexes += range(first, min(first + 40, size))
    assert inclusion_paths(indexes, size, nodes) == [b"".join(inclusion_proof(i, size, nodes)) for i in indexes]


def test_a_proof_does_not_depend_on_how_far_the_tree_has_grown(stored_tree):
    small, large = stored_tree(300), stored_tree(900)
    for size in (1, 2, 255, 256, 257, 299, 300):
        assert root_at(size, small.nodes()) == root_at(size, large.nodes())
        indexes = range(0, size, 7)
        assert inclusion_paths(indexes, size, small.nodes()) == inclusion_paths(indexes, size, large.nodes())
        assert consistency_proof(size // 2, size, small.nodes()) == consistency_proof(size // 2, size, large.nodes())


class EqualLeaves:
    """A tree of any size whose leaves are all equal, so that all tiles of one level are."""

    def __init__(self, size: int) -> None:
        self.leaf = leaf_hash(b"")
        self.tiles = []
        hashed = self.leaf
        for _ in edge_widths(size):
            self.tiles.append(hashed * TILE_WIDTH)
            hashed = tile_root(self.tiles[-1])
        edge = [tile[: 32 * width] for tile, width in zip(self.tiles, edge_widths(size), strict=True)]
        self.tree = Tree.from_edge(size, edge)
        self.nodes = Nodes(self.tree, lambda level, index: self.tiles[level])


@given(data=st.data(), size=st.integers(2, 2**63 - 1) | sizes_around_powers(2**63 - 1).filter(lambda n: n > 1))
def test_proofs_verify_in_trees_of_any_size(rfc, data, size):
    equal = EqualLeaves(size)
    root = equal.tree.root()
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    assert rfc.included(index, size, equal.leaf, inclusion_proof(index, size, equal.nodes), root)
    proof = consistency_proof(old, size, equal.nodes)
    assert rfc.consistent(old, size, root_at(old, equal.nodes), root, proof)


def test_the_empty_tree_has_its_own_root_and_no_consistency_proof(nodes):
    assert root_at(0, nodes) == EMPTY_ROOT == sha256(b"").digest()
    assert consistency_proof(0, 0, nodes) == []
    assert consistency_proof(0, SIZE, nodes) == []
    assert consistency_proof(SIZE, SIZE, nodes) == []


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        pytest.param(root_at, (SIZE + 1,), "size: 1101 is not within 0..1100", id="root beyond the tree"),
        pytest.param(root_at, (-1,), "size: -1 is not within 0..1100", id="root of a negative size"),
        pytest.param(inclusion_proof, (0, SIZE + 1), "size: 1101", id="inclusion beyond the tree"),
        pytest.param(inclusion_proof, (0, 0), "index: 0 is not within a tree of size 0", id="empty tree"),
        pytest.param(inclusion_proof, (7, 7), "index: 7 is not within a tree of size 7", id="index is size"),
        pytest.param(inclusion_proof, (-1, 7), "index: -1", id="negative index"),
        pytest.param(inclusion_paths, ((1, 7), 7), "index: 7", id="one index of several"),
        pytest.param(consistency_proof, (3, SIZE + 1), "size: 1101", id="consistency beyond the tree"),
        pytest.param(consistency_proof, (8, 7), "old size: 8 is not within 0..7", id="smaller tree"),
        pytest.param(consistency_proof, (-1, 7), "old size: -1", id="negative old size"),
    ],
)
def test_rejects_arguments_out_of_range(nodes, build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(*arguments, nodes)
