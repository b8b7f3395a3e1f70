"""Proofs of all entries of a range, from a real server to a verifier that trusts only the key."""

from __future__ import annotations

import json
import uuid
from itertools import pairwise

import grpc
import pytest

from auditd_client import Client, InvalidRequestError
from auditd_client.verify import leaf_hash, open_checkpoint, verify_entries, verify_range

SIZE = 700


@pytest.fixture(scope="module")
def client(shared_server):
    with Client(shared_server.address, shared_server.token("admin"), key=shared_server.vkey) as client:
        client.append([{"id": str(uuid.uuid4()), "action": f"a.{n % 5}"} for n in range(SIZE)])
        yield client


@pytest.fixture(scope="module")
def hashes(client):
    return [leaf_hash(entry.leaf) for entry in client.query(order="asc")]


@pytest.mark.parametrize(("first", "last"), [(0, 1), (0, SIZE), (255, 257), (13, 600), (SIZE - 1, SIZE)])
def test_a_range_proof_verifies_under_the_checkpoint(shared_server, client, hashes, first, last):
    proof = client.prove_range(first, last)
    checkpoint = open_checkpoint(proof.checkpoint, shared_server.vkey)
    assert checkpoint.size == proof.tree_size == SIZE
    assert len(proof.hashes) <= 2 * SIZE.bit_length()
    verify_range(first, last, SIZE, hashes[first:last], proof.hashes, checkpoint.root)


def test_scattered_entries_are_proven_together_and_in_pieces(shared_server, client, hashes):
    ranges = [(index, index + 1) for index in range(3, SIZE, 7)]
    whole = client.prove_entries(ranges)
    cuts = [0, *(last for _, last in ranges[19:-1:20]), SIZE]
    pieces = []
    for start, end in pairwise(cuts):
        inside = [pair for pair in ranges if start <= pair[0] < end]
        pieces += client.prove_entries(inside, tree_size=SIZE, within=(start, end)).hashes
    assert tuple(pieces) == whole.hashes
    root = open_checkpoint(whole.checkpoint, shared_server.vkey).root
    chosen = {first for first, _ in ranges}
    left_out = [(index, digest) for index, digest in enumerate(hashes) if index not in chosen]
    verify_entries(((index, hashes[index]) for index in sorted(chosen)), SIZE, whole.hashes, root, left_out)


def test_leaf_hashes_are_those_of_the_leaves(client, hashes):
    assert list(client.leaf_hashes(100, 600)) == hashes[100:600]


def test_an_older_tree_can_be_proven_in(client, hashes, shared_server):
    older = client.prove_range(5, 9, tree_size=300)
    assert older.tree_size == 300
    with pytest.raises(Exception, match="expected root"):
        verify_range(5, 9, 300, hashes[5:9], older.hashes, bytes(32))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda client: client.prove_range(5, 5), "range.last"),
        (lambda client: client.prove_range(9, 5), "range.last"),
        (lambda client: client.prove_range(0, 2**63), "range.last"),
        (lambda client: client.prove_range(0, SIZE + 1), "range.last"),
        (lambda client: client.prove_range(0, 5, tree_size=SIZE + 1), "tree_size"),
        (lambda client: client.prove_range(0, 5, tree_size=4), "range.last"),
        (lambda client: client.prove_entries([]), "entries.ranges"),
        (lambda client: client.prove_entries([(i, i + 1) for i in range(1_001)]), "entries.ranges"),
        (lambda client: client.prove_entries([(1, 3), (2, 4)]), "entries.ranges[1].first"),
        (lambda client: client.prove_entries([(1, 3), (4, 4)]), "entries.ranges[1].last"),
        (lambda client: client.prove_entries([(1, 3)], within=(2, 4)), "entries.ranges[0].first"),
        (lambda client: client.prove_entries([(1, 3)], within=(4, 2)), "entries.within.last"),
        (lambda client: client.prove_entries([(1, 3)], within=(0, 2)), "entries.ranges[0].last"),
        (lambda client: client.prove_entries([(1, SIZE + 1)]), "entries.ranges[0].last"),
        (lambda client: client.leaf_hashes(3, 3), "leaf_hashes.last"),
        (lambda client: client.leaf_hashes(0, 65_537), "leaf_hashes.last"),
        (lambda client: client.leaf_hashes(0, SIZE + 1), "leaf_hashes.last"),
    ],
)
def test_a_range_that_is_none_is_refused_with_its_field(client, call, field):
    with pytest.raises(InvalidRequestError) as caught:
        call(client)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT.name
    assert [violation.field for violation in caught.value.violations] == [field]


def test_what_was_proven_is_recorded_with_its_range(make_server):
    server = make_server()
    with Client(server.address, server.token("admin")) as client:
        client.append([{"action": "a.b"} for _ in range(9)])
        client.prove_range(2, 7)
        seen = [json.loads(entry.leaf)["event"] for entry in client.query('action = "log.prove"', log="access")]
    assert [event["attributes"] for event in seen] == [{"lowest_index": 2, "highest_index": 6}]


def test_a_range_goes_from_command_to_file_to_verdict(shared_server, client, tmp_path):
    file = str(tmp_path / "entries.range")
    done = shared_server.cli("prove", "13..600", "-o", file, "--key", shared_server.vkey)
    assert (done.returncode, done.stderr) == (0, f"{file}: entries 13 up to 600 in a tree of {SIZE}, verified\n")
    done = shared_server.cli("verify", file, "--key", shared_server.vkey)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{file}: verified range: first 13, last 600, origin ")
    data = (tmp_path / "entries.range").read_bytes()
    (tmp_path / "entries.range").write_bytes(data.replace(b'"a.3"', b'"a.4"', 1))
    done = shared_server.cli("verify", file, "--key", shared_server.vkey)
    assert done.returncode == 1
    assert "does not verify" in done.stderr
