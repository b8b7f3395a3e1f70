"""The Merkle tree of a log: hashes, tiles, growth, and the building of proofs."""

from auditd.merkle._hash import EMPTY_ROOT, HASH_SIZE, leaf_hash, leaf_hashes, node_hash
from auditd.merkle._left_out import entries_proof, maximal_subtrees, range_proof
from auditd.merkle._nodes import Nodes
from auditd.merkle._proof import (
    NodeSource,
    consistency_proof,
    inclusion_paths,
    inclusion_proof,
    root_at,
    split_hashes,
)
from auditd.merkle._tile import TILE_WIDTH, Tile, edge_widths, tile_root
from auditd.merkle._tree import Tree

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "TILE_WIDTH",
    "NodeSource",
    "Nodes",
    "Tile",
    "Tree",
    "consistency_proof",
    "edge_widths",
    "entries_proof",
    "inclusion_paths",
    "inclusion_proof",
    "leaf_hash",
    "leaf_hashes",
    "maximal_subtrees",
    "node_hash",
    "range_proof",
    "root_at",
    "split_hashes",
    "tile_root",
]
