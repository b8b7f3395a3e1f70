"""Opening a log: the tree is rebuilt from what is stored, and goes on where it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from auditd.errors import FolderError, NotFoundError
from auditd.log._head import SLOT_BYTES
from auditd_client.verify import leaf_hash, open_checkpoint, verify_inclusion


def require_sound(one_log, log, mth, indexes):
    """Every leaf is in the signed tree, as an auditor would check."""
    checkpoint = open_checkpoint(log.tree_head.note, log.verifier_key)
    leaves = [leaf for start in range(0, log.size, 4_096) for leaf in log.leaves(start, min(start + 4_096, log.size))]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert (checkpoint.size, checkpoint.root) == (len(leaves), mth(hashes))
    for index in {index % log.size for index in indexes} if log.size else ():
        proof = log.proofs.inclusion(index, log.size)
        verify_inclusion(index, checkpoint.size, hashes[index], proof, checkpoint.root)
    one_log.require_one_history(log)


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1_025])
def test_a_log_of_any_size_opens_with_the_same_tree_and_goes_on(one_log, tmp_path, mth, size, killed):
    log = one_log.filled(size)
    head = log.tree_head
    folder = one_log.crash_image(tmp_path / "image") if killed else one_log.folder
    if not killed:
        log.close()
    again = one_log.open(folder)
    assert again.tree_head == head
    assert one_log.append(again, 3, "more").indexes == range(size, size + 3)
    require_sound(one_log, again, mth, [0, 1, 254, 255, 256, size - 1, size, size + 2])


def test_a_tree_of_three_levels_opens_around_the_size_where_its_second_level_is_full(copy_of_large, mth):
    log = copy_of_large.open()
    for size in (65_535, 65_536, 65_537):
        head = log.tree_head
        log.close()
        log = copy_of_large.open()
        assert (log.size, log.tree_head) == (size, head)
        copy_of_large.append(log, 1, f"at{size}")
    require_sound(copy_of_large, log, mth, [0, 255, 256, 40_000, 65_279, 65_280, 65_535, 65_536, 65_537])


def test_a_log_opened_again_and_again_keeps_one_history(one_log, mth):
    for number in range(12):
        log = one_log.open()
        one_log.append(log, 37, f"run{number}")
        log.close()
    log = one_log.open()
    assert log.size == 12 * 37
    require_sound(one_log, log, mth, range(0, 444, 41))


def test_a_head_older_than_the_evidence_is_extended_as_after_a_power_cut(one_log, tmp_path, mth):
    log = one_log.filled(200)
    shutil.copyfile(one_log.folder / "head", tmp_path / "head")
    one_log.append(log, 100, "more")
    newest = log.tree_head
    log.close()
    shutil.copyfile(tmp_path / "head", one_log.folder / "head")
    again = one_log.open()
    assert again.tree_head == newest
    require_sound(one_log, again, mth, [0, 199, 200, 299])


@pytest.mark.parametrize("slot", [0, 1])
def test_a_torn_slot_of_head_leaves_the_other(one_log, slot):
    log = one_log.open()
    for number in range(4):
        one_log.append(log, 1, f"e{number}")
    newest = log.tree_head
    log.close()
    head = one_log.folder / "head"
    torn = bytearray(head.read_bytes())
    torn[slot * SLOT_BYTES + 30] ^= 1
    head.write_bytes(torn)
    again = one_log.open()
    assert again.tree_head == newest
    one_log.require_one_history(again)


def test_head_is_whole_again_after_it_was_torn(one_log):
    log = one_log.open()
    one_log.append(log, 3)
    log.close()
    head = one_log.folder / "head"
    for slot in (0, 1, 0):
        torn = bytearray(head.read_bytes())
        torn[slot * SLOT_BYTES : slot * SLOT_BYTES + 100] = bytes(100)
        head.write_bytes(torn)
        again = one_log.open()
        assert again.size == 3
        again.close()


def test_what_lies_beyond_the_tree_is_not_found(one_log):
    log = one_log.filled(3)
    with pytest.raises(NotFoundError) as caught:
        log.leaf(3)
    assert caught.value.facts == {"log": "main", "index": "3", "tree_size": "3"}
    with pytest.raises(NotFoundError):
        log.leaf(-1)
    with pytest.raises(ValueError, match=r"leaves \[2, 4\)"):
        log.leaves(2, 4)


def open_files(folder):
    links = (link.resolve() for link in Path("/proc/self/fd").iterdir())
    return [path for path in links if path.is_relative_to(folder)]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to count open files")
@pytest.mark.parametrize("fit", [True, False], ids=["opened and closed", "refused"])
def test_a_log_leaves_no_file_open(one_log, fit):
    one_log.filled(3).close()
    if not fit:
        (one_log.folder / "head").write_bytes(b"")
    for _ in range(3):
        if fit:
            one_log.open().close()
        else:
            with pytest.raises(FolderError):
                one_log.open()
    assert open_files(one_log.folder) == []
    if fit:
        one_log.open()
        assert len(open_files(one_log.folder)) > 10


def test_tiles_that_are_stored_leave_the_memory(one_log, monkeypatch):
    monkeypatch.setattr("auditd.merkle._tree.SETTLED_TILES", 2)
    log = one_log.filled(3_000)
    assert len(log._writer.nodes._tree._full) <= 3
    assert len(log.leaves(0, 3_000)) == 3_000
