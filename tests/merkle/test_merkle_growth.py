"""Hashes, growth and the ragged edge."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    TILE_WIDTH,
    Tile,
    Tree,
    edge_widths,
    leaf_hash,
    node_hash,
    tile_root,
)
from auditd.merkle._tree import SETTLED_TILES

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "merkle.json").read_text())
HASHES = [leaf_hash(b"%d" % index) for index in range(66_000)]


@pytest.fixture(scope="module")
def edges() -> dict[int, tuple[list[bytes], bytes]]:
    """Edge and root of one tree at the sizes around which tiles fill."""
    tree = Tree()
    seen = {}
    boundaries = {0, 256, 512, 65_280, 65_536, 65_792}
    for size, hashed in enumerate(HASHES):
        if not boundaries.isdisjoint(range(size - 2, size + 3)):
            seen[size] = tree.edge(), tree.root()
        tree.extend([hashed])
    return seen


def test_hashes_are_those_of_rfc_6962():
    assert EMPTY_ROOT.hex() == VECTORS["empty_root"]
    for case in VECTORS["leaf_hashes"]:
        assert leaf_hash(bytes.fromhex(case["leaf"])).hex() == case["hash"]
    for case in VECTORS["node_hashes"]:
        assert node_hash(bytes.fromhex(case["left"]), bytes.fromhex(case["right"])).hex() == case["hash"]


def test_the_roots_of_the_eight_known_leaves():
    tree = Tree()
    roots = [tree.root().hex()]
    for leaf in VECTORS["leaves"]:
        tree.extend([leaf_hash(bytes.fromhex(leaf))])
        roots.append(tree.root().hex())
    assert roots == VECTORS["roots"]


@given(batches=st.lists(st.integers(0, 700), max_size=6))
def test_any_way_of_growing_gives_the_root_and_tiles_of_the_definition(rfc, batches):
    tree = Tree()
    tiles = []
    for width in batches:
        tiles += tree.extend(HASHES[tree.size : tree.size + width])
    hashes = HASHES[: sum(batches)]
    assert tree.size == len(hashes)
    assert tree.root() == rfc.root(hashes)
    assert tiles == [
        Tile(0, index, b"".join(hashes[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]))
        for index in range(len(hashes) // TILE_WIDTH)
    ]


def test_a_level_1_tile_follows_the_level_0_tile_that_completes_it(rfc):
    tree = Tree()
    tiles = [(tile.level, tile.index) for tile in tree.extend(HASHES[:65_535])]
    assert tiles == [(0, index) for index in range(255)]
    last, above = tree.extend(HASHES[65_535:])[:2]
    assert (last.level, last.index, above.level, above.index) == (0, 255, 1, 0)
    assert above.hashes[-HASH_SIZE:] == tile_root(last.hashes) == rfc.root(HASHES[65_280:65_536])
    assert tree.root() == rfc.root(HASHES)


def test_a_tree_is_made_again_from_its_edge_at_every_size_around_a_boundary(edges):
    for size, (edge, root) in edges.items():
        tree = Tree.from_edge(size, edge)
        assert (tree.size, tree.edge(), tree.root()) == (size, edge, root)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_535, 65_536, 65_537])
def test_a_tree_made_from_an_edge_grows_on_as_the_first_would(edges, rfc, size):
    tree = Tree.from_edge(size, edges[size][0])
    tiles = tree.extend(HASHES[size : size + 300])
    assert tree.root() == rfc.root(HASHES[: size + 300])
    assert [tile.index for tile in tiles if tile.level == 0] == list(
        range(size // TILE_WIDTH, (size + 300) // TILE_WIDTH)
    )


def test_the_edge_consists_of_leaf_hashes_and_tile_roots(edges):
    edge, _ = edges[65_794]
    assert edge_widths(65_794) == [2, 1, 1]
    assert edge[0] == b"".join(HASHES[65_792:65_794])
    assert edge[1] == tile_root(b"".join(HASHES[65_536:65_792]))


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (0, []),
        (1, [1]),
        (255, [255]),
        (256, [0, 1]),
        (70_000, [112, 17, 1]),
        (65_536, [0, 0, 1]),
        (2**63 - 1, [255] * 7 + [127]),
    ],
)
def test_edge_widths(size, widths):
    assert edge_widths(size) == widths


@pytest.mark.parametrize(
    ("size", "edge", "message"),
    [
        pytest.param(-1, [], "size: -1 is negative", id="negative size"),
        pytest.param(0, [b""], "edge: 1 levels, a tree of size 0 has 0", id="surplus level"),
        pytest.param(256, [b""], "edge: 1 levels, a tree of size 256 has 2", id="missing level"),
        pytest.param(2, [bytes(32)], "edge: 32 bytes at level 0, must be 64", id="short level"),
        pytest.param(1, [bytes(33)], "edge: 33 bytes at level 0, must be 32", id="half a hash"),
    ],
)
def test_rejects_an_edge_that_does_not_fit_its_size(size, edge, message):
    with pytest.raises(ValueError, match=message):
        Tree.from_edge(size, edge)


def test_rejects_hashes_of_another_length_and_stays_as_it_was():
    tree = Tree()
    tree.extend(HASHES[:5])
    root = tree.root()
    with pytest.raises(ValueError, match="leaf hashes: 63 bytes for 2 hashes of 32"):
        tree.extend([HASHES[5], HASHES[6][:31]])
    assert (tree.size, tree.root()) == (5, root)


@pytest.mark.parametrize("width", [0, 255, 257])
def test_only_a_full_tile_has_a_root(width):
    with pytest.raises(ValueError, match=f"tile: {width * HASH_SIZE} bytes, must be 8192"):
        tile_root(bytes(width * HASH_SIZE))


def test_keeps_every_full_tile_until_it_settles_and_the_newest_ones_longer():
    tree = Tree()
    tree.extend(HASHES[: 200 * TILE_WIDTH])
    assert all(tree.rows(0, index) for index in range(200))

    tree.settle(50 * TILE_WIDTH)
    assert [index for index in range(200) if tree.rows(0, index) is None] == list(range(50))

    tree.settle(tree.size)
    assert [index for index in range(200) if tree.rows(0, index)] == list(range(200 - SETTLED_TILES, 200))
