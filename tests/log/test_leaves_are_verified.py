"""Promise 4: nothing is returned that is not the tree's, whatever was done to the file."""

from __future__ import annotations

import pytest
import zstandard

from auditd.entry import KeyMaker
from auditd.errors import DamagedError
from auditd.merkle import TILE_WIDTH, leaf_hash, tile_root

GARBAGE = b"garbage, and no frame"
KEY = KeyMaker("https://idp.example.com", "alice")


def frame(leaf):
    return zstandard.ZstdCompressor(level=1).compress(leaf)


def forged(leaf):
    """A leaf that is as well-formed, but tells another story."""
    assert b"user.login" in leaf
    return leaf.replace(b"user.login", b"user.logon")


def damage(read):
    with pytest.raises(DamagedError) as caught:
        read()
    return caught.value


def change_leaf(tamper, one_log, index, data):
    tamper(one_log.evidence, ("UPDATE entries SET leaf = ? WHERE idx = ?", (data, index)))


@pytest.mark.parametrize("make", [lambda _: GARBAGE, lambda leaf: frame(forged(leaf))], ids=["garbage", "a new frame"])
def test_a_leaf_changed_behind_the_triggers_is_never_returned(one_log, tamper, sent, make):
    log = one_log.filled(300)
    event = sent(300, "fill0").events[5]
    change_leaf(tamper, one_log, 5, make(log.leaf(5)))
    require_never_returned(one_log, log, event)
    log.close()
    require_never_returned(one_log, one_log.open(), event)


def require_never_returned(one_log, log, event):
    reads = {
        "leaf": lambda: log.leaf(5),
        "leaves": lambda: log.leaves(0, 20),
        "find": lambda: log.find(KEY(event.id, event.time, event.time_ns)),
        "append again": lambda: one_log.append(log, 300, "fill0"),
    }
    for name, read in reads.items():
        error = damage(read)
        assert (error.reason, error.facts["index"]) == ("LEAF_DAMAGED", "5"), name
        assert "entry 5:" in error.message
    assert len(log.leaves(0, 5) + log.leaves(6, 300)) == 299


def test_a_damaged_entry_sent_again_disturbs_no_one_else_in_the_commit(one_log, tamper, sent, answer):
    one_log.filled(300).close()
    change_leaf(tamper, one_log, 5, GARBAGE)
    log = one_log.open_only()
    answers = [answer() for _ in range(3)]
    for tag, done in zip(("before", "fill0", "after"), answers, strict=True):
        log.submit(sent(10, tag, done=done))
    log.start()
    before, again, after = [done.outcome() for done in answers]
    assert (before.indexes, after.indexes) == (range(300, 310), range(310, 320))
    assert isinstance(again, DamagedError)
    assert again.facts["index"] == "5"


def test_the_forged_leaf_is_named_with_both_hashes(one_log, tamper):
    log = one_log.filled(300)
    leaf = log.leaf(7)
    change_leaf(tamper, one_log, 7, frame(forged(leaf)))
    facts = damage(lambda: log.leaf(7)).facts
    hashes = {"expected": leaf_hash(leaf).hex(), "actual": leaf_hash(forged(leaf)).hex()}
    assert facts == {"log": "main", "index": "7", **hashes}


def test_two_leaves_that_changed_places_are_never_returned(one_log, tamper):
    log = one_log.filled(300)
    eighth, ninth = log.leaves(8, 10)
    change_leaf(tamper, one_log, 8, frame(ninth))
    change_leaf(tamper, one_log, 9, frame(eighth))
    assert damage(lambda: log.leaf(9)).facts["index"] == "9"
    assert damage(lambda: log.leaves(0, 300)).facts["index"] == "8"


def test_an_entry_that_is_gone_is_named(one_log, tamper):
    log = one_log.filled(300)
    tamper(one_log.evidence, "DELETE FROM entries WHERE idx IN (41, 77)")
    assert damage(lambda: log.leaf(77)).facts == {"log": "main", "index": "77"}
    error = damage(lambda: log.leaves(0, 300))
    assert (error.reason, error.facts) == ("ENTRY_MISSING", {"log": "main", "index": "41"})


def test_a_key_moved_to_another_entry_finds_nothing_false(one_log, tamper, sent):
    log = one_log.filled(300)
    victim = sent(300, "fill0").events[30]
    key = KEY(victim.id, victim.time, victim.time_ns)
    assert log.find(key) == 30
    tamper(
        one_log.evidence,
        "UPDATE entries SET key = randomblob(16) WHERE idx = 30",
        ("UPDATE entries SET key = ? WHERE idx = 31", (key,)),
    )
    error = damage(lambda: log.find(key))
    assert (error.reason, error.facts["index"]) == ("KEY_DAMAGED", "31")


def test_find_knows_no_other_names(one_log):
    log = one_log.filled(3)
    assert log.find(bytes(16)) is None


# Tiles


def set_tile(level, tile, hashes):
    return "UPDATE tiles SET hashes = ? WHERE level = ? AND tile = ?", (bytes(hashes), level, tile)


def forge(one_log, rows, leaf, *, parent):
    """Change entry 5 and its tile, and its parent tile as well if asked; return the statements."""
    sql = "SELECT hashes FROM tiles WHERE tile = 0 ORDER BY level"
    tile, above = (bytearray(hashes) for (hashes,) in rows(one_log.evidence, sql))
    tile[5 * 32 : 6 * 32] = leaf_hash(leaf)
    above[:32] = tile_root(bytes(tile))
    statements = [("UPDATE entries SET leaf = ? WHERE idx = 5", (frame(leaf),)), set_tile(0, 0, tile)]
    return [*statements, set_tile(1, 0, above)] if parent else statements


@pytest.mark.parametrize("parent", [False, True], ids=["and its tile", "its tile and the tile above"])
def test_a_leaf_changed_with(copy_of_large, tamper, rows, parent):
    one_log = copy_of_large
    log = one_log.open()
    leaf = log.leaf(5)
    one_log.append(log, 300, "more")
    log.close()
    log = one_log.open()  # with nothing read yet
    tamper(one_log.evidence, *forge(one_log, rows, forged(leaf), parent=parent))
    reads = {
        "leaf": lambda: log.leaf(5),
        "leaves": lambda: log.leaves(0, 300),
        "inclusion proof": lambda: log.proofs.inclusion(5, log.size),
        "proof of a neighbour": lambda: log.proofs.inclusion(200, log.size),
        "consistency proof": lambda: log.proofs.consistency(100, log.size),
        "append again": lambda: one_log.append(log, 1_000, "fill0"),
    }
    for name, read in reads.items():
        error = damage(read)
        assert (error.reason, error.facts["tile"]) == ("TILE_DAMAGED", "0"), name
        assert error.facts["level"] == ("1" if parent else "0")
    if not parent:
        assert log.leaves(TILE_WIDTH, 2 * TILE_WIDTH)
    assert log.leaf(log.size - 1)


def test_a_tile_changed_up_to_the_edge_refuses_to_open(copy_of_large, tamper, rows):
    one_log = copy_of_large
    log = one_log.open()
    leaf = log.leaf(5)
    one_log.append(log, 300, "more")
    log.close()
    tamper(one_log.evidence, *forge(one_log, rows, forged(leaf), parent=True))
    with pytest.raises(DamagedError) as caught:
        one_log.open()
    assert caught.value.reason == "EVIDENCE_CONTRADICTS_HEAD"


def test_a_tile_of_the_middle_that_is_gone_is_named_where_it_is_needed(copy_of_large, tamper):
    one_log = copy_of_large
    log = one_log.open()
    one_log.append(log, 1, "more")
    log.close()
    tamper(one_log.evidence, "DELETE FROM tiles WHERE level = 0 AND tile = 3")
    log = one_log.open()
    assert log.leaf(0)
    error = damage(lambda: log.leaf(3 * TILE_WIDTH + 1))
    assert (error.reason, error.facts["tile"], error.facts["level"]) == ("TILE_DAMAGED", "3", "0")


def test_a_table_dropped_while_the_log_is_open_is_damage_and_tells_callers_no_path(one_log, tamper):
    log = one_log.filled(300)
    tamper(one_log.evidence, "DROP TABLE entries")
    error = damage(lambda: log.leaf(5))
    assert error.reason == "EVIDENCE_UNREADABLE"
    assert str(one_log.folder) not in error.message
