"""Bit rot in what is derived: whatever bit flips, a search gives what a scan of all leaves gives."""

import random

import pytest

from auditd.filter import parse
from auditd.query import Index, Order, Search, Tiles

SIZE = 4_096 + 300
FILTERS = [
    parse(text)
    for text in [
        "actor.id = alice AND outcome = DENIED",
        'actor.id = "ali*"',
        'id = "01936f5e-00000fa0"',
        'tenant = acme AND NOT resources.type = "test"',
        '"quick"',
        '"01936f5e-00001003"',
        'time >= "2026-11-24T00:58:00Z"',
    ]
]
ORDERS = [Order.NEWEST_FIRST, Order.EARLIEST_EVENT_FIRST]


@pytest.fixture(scope="module")
def filled(new_log, make_event):
    log = new_log()
    choose = random.Random(31).choice
    log.append(*(make_event(choose, number) for number in range(SIZE)))
    return log


@pytest.fixture(scope="module")
def files(filled, tmp_path_factory):
    """The bytes of both files of a log, made once."""
    folder = tmp_path_factory.mktemp("derived")
    index, tiles = Index(folder / "index.db", filled), Tiles(folder / "tiles.db", filled)
    assert index.wait_covered(SIZE, 60)
    assert tiles.wait_text_covered(4_096, 60)
    index.close()
    tiles.close()
    return {name: (folder / name).read_bytes() for name in ("index.db", "tiles.db")}


@pytest.fixture(scope="module")
def expected(filled):
    return answers(Search(filled, None))


def answers(search):
    return [search.page(tree, order=order, page_size=5, tree_size=SIZE).entries for tree in FILTERS for order in ORDERS]


def places(choose, data, flips):
    """Where bits flip: anywhere, and every tenth in the first page, by which SQLite reads all others."""
    return [(choose.randrange(100 if number % 10 == 0 else len(data)), choose.randrange(8)) for number in range(flips)]


@pytest.mark.parametrize("name", ["index.db", "tiles.db"])
@pytest.mark.parametrize("flips", [15, pytest.param(250, marks=pytest.mark.soak)])
def test_a_flipped_bit_never_changes_an_answer(filled, files, expected, tmp_path, name, flips):
    choose = random.Random(f"{name} {flips}")
    for position, bit in places(choose, files[name], flips):
        for suffix in ("", "-wal", "-shm"):
            for other in files:
                (tmp_path / f"{other}{suffix}").unlink(missing_ok=True)
        for other, data in files.items():
            (tmp_path / other).write_bytes(data)
        spoilt = bytearray(files[name])
        spoilt[position] ^= 1 << bit
        (tmp_path / name).write_bytes(spoilt)
        index, tiles = Index(tmp_path / "index.db", filled), Tiles(tmp_path / "tiles.db", filled)
        try:
            assert index.wait_covered(SIZE, 60), f"bit {bit} of byte {position}"
            assert tiles.wait_covered(SIZE // 256 * 256, 60), f"bit {bit} of byte {position}"
            assert answers(Search(filled, index, tiles)) == expected, f"bit {bit} of byte {position}"
        finally:
            index.close()
            tiles.close()


@pytest.mark.parametrize("name", ["index.db", "tiles.db"])
def test_a_page_met_with_a_wrong_checksum_is_built_anew(filled, files, expected, tmp_path, name):
    for other, data in files.items():
        spoilt = bytearray(data)
        for page in range(1, len(data) // 4_096) if other == name else ():
            spoilt[page * 4_096 + 2_000] ^= 1
        (tmp_path / other).write_bytes(spoilt)
    index, tiles = Index(tmp_path / "index.db", filled), Tiles(tmp_path / "tiles.db", filled)
    try:
        assert answers(Search(filled, index, tiles)) == expected
        assert index.wait_covered(SIZE, 60)
        assert tiles.wait_text_covered(4_096, 60)
        assert answers(Search(filled, index, tiles)) == expected
    finally:
        index.close()
        tiles.close()
