"""Stored tiles count only as far as the tree vouches for them, and readers never wait for the writer."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from auditd.errors import DamagedError
from auditd.merkle import (
    HASH_SIZE,
    TILE_WIDTH,
    Nodes,
    Tree,
    consistency_proof,
    edge_widths,
    inclusion_proof,
    leaf_hash,
    root_at,
    tile_root,
)

SIZE = 2 * 65_536 + 3 * 256 + 5


@pytest.fixture(scope="module")
def stored(stored_tree):
    return stored_tree(SIZE)


@pytest.fixture
def tampered(stored):
    """The same tree, whose stored tiles a test may change."""
    tiles = dict(stored.tiles)
    return tiles, Nodes(stored.tree, lambda level, index: tiles.get((level, index), b""))


def flip(hashes: bytes, at: int) -> bytes:
    return hashes[:at] + bytes([hashes[at] ^ 1]) + hashes[at + 1 :]


def test_leaf_hashes_come_from_stored_and_ragged_tiles_alike(stored):
    nodes = stored.nodes()
    assert nodes.leaf_hashes(0, 0) == nodes.leaf_hashes(SIZE, SIZE) == []
    for start, end in ((0, 1), (250, 260), (255, 256), (256, 256), (300, 1300), (SIZE - 300, SIZE)):
        assert nodes.leaf_hashes(start, end) == stored.hashes[start:end]
    assert nodes.leaf_hash_at(0) == stored.hashes[0]
    assert nodes.leaf_hash_at(SIZE - 1) == stored.hashes[-1]
    assert nodes.level0_hashes(1) == b"".join(stored.hashes[256:512])
    assert nodes.level0_hashes(SIZE // TILE_WIDTH) == b"".join(stored.hashes[-5:])


@pytest.mark.parametrize("at", [0, 31, 4_000, 8_191])
@pytest.mark.parametrize("key", [(0, 0), (0, 300), (0, 514), (1, 0), (1, 1)], ids=str)
def test_a_flipped_bit_in_a_stored_tile_is_found_promise_4(tampered, key, at):
    tiles, nodes = tampered
    tiles[key] = flip(tiles[key], at)
    level, index = key
    with pytest.raises(DamagedError) as caught:
        nodes.leaf_hash_at(index * TILE_WIDTH ** (level + 1))
    assert caught.value.reason == "TILE_DAMAGED"
    assert caught.value.facts["level"] == str(level)
    assert caught.value.facts["tile"] == str(index)
    assert caught.value.facts["tree_size"] == str(SIZE)
    assert caught.value.facts["expected"] != caught.value.facts["actual"] == tile_root(tiles[key]).hex()


def test_a_tile_edited_together_with_the_tile_above_is_found_promise_4(tampered):
    tiles, nodes = tampered
    tiles[0, 5] = flip(tiles[0, 5], 0)
    above = tiles[1, 0]
    tiles[1, 0] = above[: 5 * HASH_SIZE] + tile_root(tiles[0, 5]) + above[6 * HASH_SIZE :]
    with pytest.raises(DamagedError) as caught:
        nodes.leaf_hash_at(5 * TILE_WIDTH)
    assert (caught.value.facts["level"], caught.value.facts["tile"]) == ("1", "0")


def test_a_tile_edited_after_the_one_above_was_verified_is_found_promise_4(tampered):
    tiles, nodes = tampered
    nodes.leaf_hash_at(0)
    tiles[0, 5] = flip(tiles[0, 5], 0)
    above = tiles[1, 0]
    tiles[1, 0] = above[: 5 * HASH_SIZE] + tile_root(tiles[0, 5]) + above[6 * HASH_SIZE :]
    with pytest.raises(DamagedError) as caught:
        nodes.leaf_hash_at(5 * TILE_WIDTH)
    assert (caught.value.facts["level"], caught.value.facts["tile"]) == ("0", "5")


def test_two_tiles_that_changed_places_are_found_promise_4(tampered):
    tiles, nodes = tampered
    tiles[0, 7], tiles[0, 8] = tiles[0, 8], tiles[0, 7]
    for tile in (7, 8):
        with pytest.raises(DamagedError):
            nodes.level0_hashes(tile)


@pytest.mark.parametrize("content", [b"", b"x", bytes(8_191), bytes(8_193)], ids=len)
def test_a_missing_or_misshapen_tile_is_found_promise_4(tampered, content):
    tiles, nodes = tampered
    tiles[0, 300] = content
    with pytest.raises(DamagedError) as caught:
        nodes.leaf_hashes(300 * TILE_WIDTH - 1, 300 * TILE_WIDTH + 1)
    assert caught.value.reason == "TILE_DAMAGED"
    assert caught.value.facts["actual"] == f"{len(content)} bytes instead of 8192"


def test_no_proof_is_built_from_a_damaged_tile(tampered):
    tiles, nodes = tampered
    tiles[0, 3] = flip(tiles[0, 3], 77)
    for build in (
        lambda: inclusion_proof(3 * 256, SIZE, nodes),
        lambda: consistency_proof(3 * 256 + 1, SIZE, nodes),
        lambda: root_at(3 * 256 + 1, nodes),
    ):
        with pytest.raises(DamagedError):
            build()
    assert inclusion_proof(4 * 256, SIZE, nodes)


@pytest.mark.parametrize("damaged", range(4))
def test_damage_is_found_at_every_level_of_a_tall_tree_promise_4(damaged):
    # With equal leaves all tiles of a level are equal, so four levels cost four tiles.
    size = TILE_WIDTH**4
    tiles = [leaf_hash(b"") * TILE_WIDTH]
    for _ in edge_widths(size)[1:]:
        tiles.append(tile_root(tiles[-1]) * TILE_WIDTH)
    tree = Tree.from_edge(size, [b"", b"", b"", b"", tiles[4][:HASH_SIZE]])
    nodes = Nodes(tree, lambda level, index: tiles[level])
    assert nodes.leaf_hash_at(size - 1) == leaf_hash(b"")

    tiles[damaged] = flip(tiles[damaged], 100)
    nodes = Nodes(tree, lambda level, index: tiles[level])
    with pytest.raises(DamagedError) as caught:
        nodes.leaf_hash_at(size - 1)
    assert caught.value.facts["level"] == str(damaged)
    assert caught.value.facts["tile"] == str(TILE_WIDTH ** (3 - damaged) - 1)


def test_what_was_verified_is_read_once_and_what_was_refused_again(stored, tampered):
    stored.reads.clear()
    nodes = stored.nodes()
    for index in (0, 1, 255, 0):
        nodes.leaf_hash_at(index)
    assert stored.reads == [(1, 0), (0, 0)]

    tiles, nodes = tampered
    sound = tiles[0, 9]
    tiles[0, 9] = flip(sound, 0)
    with pytest.raises(DamagedError):
        nodes.level0_hashes(9)
    tiles[0, 9] = sound
    assert nodes.level0_hashes(9) == sound


def test_the_cache_is_bounded_and_drops_what_was_used_least_recently(stored):
    stored.reads.clear()
    nodes = stored.nodes(cache_tiles=3)
    for tile in (0, 1, 0, 2, 0, 1):
        nodes.level0_hashes(tile)
    assert stored.reads == [(1, 0), (0, 0), (0, 1), (0, 2), (0, 1)]


def test_a_tile_that_just_filled_is_not_read_back():
    def refuse(level, index):
        raise AssertionError(f"read of tile {level}/{index}")

    tree = Tree()
    nodes = Nodes(tree, refuse)
    hashes = [leaf_hash(b"%d" % index) for index in range(1_000)]
    tree.extend(hashes)
    tree.settle(tree.size)
    assert nodes.leaf_hashes(0, 1_000) == hashes
    assert root_at(1_000, nodes) == tree.root()


@pytest.mark.parametrize(
    ("height", "index"),
    [
        (0, SIZE),
        (0, -1),
        (-1, 0),
        (-8, 0),
        (1, SIZE // 2),
        (8, SIZE >> 8),
        (17, 1),
        (18, 0),
        (64, 0),
        (0, 2**63),
    ],
)
def test_rejects_a_node_the_tree_does_not_have(stored, height, index):
    with pytest.raises(ValueError, match="not within a tree of size"):
        stored.nodes().node(height, index)


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 2), (0, SIZE + 1)])
def test_rejects_a_range_of_leaves_the_tree_does_not_have(stored, start, end):
    with pytest.raises(ValueError, match="not within a tree of size"):
        stored.nodes().leaf_hashes(start, end)


@pytest.fixture
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("settled_tiles", [0, 128])
def test_readers_prove_at_a_committed_size_while_the_writer_is_ahead(rfc, eager_switching, monkeypatch, settled_tiles):
    monkeypatch.setattr("auditd.merkle._tree.SETTLED_TILES", settled_tiles)
    hashes = [leaf_hash(b"%d" % index) for index in range(12_000)]
    tree = Tree()
    tiles: dict[tuple[int, int], bytes] = {}
    nodes = Nodes(tree, lambda level, index: tiles.get((level, index), b""), cache_tiles=4)
    committed = [(1, hashes[0])]
    done = threading.Event()
    tree.extend(hashes[:1])

    def write() -> None:
        try:
            for step in (1, 37, 600, 255) * 13:
                staged = tree.extend(hashes[tree.size : tree.size + step])
                # Readers meanwhile still use the size before.
                tiles.update({(tile.level, tile.index): tile.hashes for tile in staged})
                committed.append((tree.size, tree.root()))
                tree.settle(tree.size)
        finally:
            done.set()

    def read(seed: int) -> int:
        proofs = 0
        while not (done.is_set() and proofs):
            size, root = committed[-1]
            old, old_root = committed[len(committed) // 2]
            index = (proofs * 7919 + seed) % size
            proof = inclusion_proof(index, size, nodes)
            assert rfc.included(index, size, nodes.leaf_hash_at(index), proof, root)
            assert nodes.leaf_hashes(max(size - 5, 0), size) == hashes[max(size - 5, 0) : size]
            if old < size:
                assert rfc.consistent(old, size, old_root, root, consistency_proof(old, size, nodes))
            proofs += 1
        return proofs

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, seed) for seed in range(3)]
        pool.submit(write).result()
        assert all(reader.result() for reader in readers)
    assert committed[-1] == (tree.size, rfc.root(hashes[: tree.size]))
