"""The index of fields is made of runs: the same entries make the same blocks, and every way to ask finds the same."""

import contextlib
import itertools
import random

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

import auditd.query._runs as runs_module
from auditd.query import UnfitError, verify_index
from auditd.query._derived_file import create, open_reader
from auditd.query._index_file import FORM, write
from auditd.query._index_snapshot import IndexSnapshot
from auditd.query._leaf import parse_leaf
from auditd.query._need import AllOf, AnyOf
from auditd.query._readers import IndexUnusableError
from auditd.query._runs import MOST_ROWS, make_run, merge_runs, rows_with, terms_in
from auditd.query._terms import Term, terms_of

terms = st.text(st.sampled_from("aAb\x00\x1fé😀"), min_size=1, max_size=4)
rows = st.lists(st.lists(terms, max_size=4).map("\n".join), max_size=60)
needs = st.recursive(
    st.builds(Term, terms, st.booleans()),
    lambda inner: st.builds(AllOf, st.tuples(inner, inner)) | st.builds(AnyOf, st.tuples(inner, inner)),
    max_leaves=5,
)


@pytest.fixture(params=["native", "Python"])
def made_by(request, monkeypatch):
    if request.param == "Python":
        monkeypatch.setattr(runs_module, "native", None)
    elif runs_module.native is None:
        pytest.skip("auditd_native is not installed, so Python makes the runs")


def has(row, need):
    """Whether a row's terms are what a need asks for, as its definition says."""
    found = set(row.split("\n"))
    match need:
        case AllOf(parts):
            return all(has(row, part) for part in parts)
        case AnyOf(parts):
            return any(has(row, part) for part in parts)
        case Term(text, prefix=True):
            return any(term.startswith(text) for term in found)
        case Term(text):
            return text in found


def in_python(make, given_):
    kept, runs_module.native = runs_module.native, None
    try:
        return make(given_)
    finally:
        runs_module.native = kept


def cut(given_, places):
    bounds = [0, *sorted({place % (len(given_) + 1) for place in places}), len(given_)]
    return [given_[start:end] for start, end in itertools.pairwise(bounds)]


@given(rows, st.lists(st.integers(0, 60), max_size=4))
def test_merged_runs_are_those_made_at_once_and_native_code_makes_those_of_python(given_, places):
    whole = in_python(make_run, given_)
    assert make_run(given_) == whole
    parts = [(len(part), [block for _, block in make_run(part)]) for part in cut(given_, places)]
    assert merge_runs(parts) == whole
    assert in_python(merge_runs, parts) == whole
    assert [term for term, _ in whole] == sorted(term for term, _ in whole)


def many_rows(number, seed=1):
    """Rows of frequent, of rare, and of single terms."""
    choose = random.Random(seed)
    return [
        f"o{choose.choice('SSSSF')}\nu{choose.randrange(300)}\nu{choose.randrange(9)}\nI{choose.getrandbits(32):08x}"
        for _ in range(number)
    ]


def test_large_runs_are_the_same_in_native_code_and_merged(made_by):
    given_ = many_rows(12_000)
    whole = make_run(given_)
    assert whole == in_python(make_run, given_)
    parts = [(len(part), [block for _, block in make_run(part)]) for part in cut(given_, [5, 4_000, 11_999])]
    assert merge_runs(parts) == whole


@given(rows, st.lists(needs, min_size=1, max_size=5), st.data())
def test_a_file_finds_what_the_rows_say_however_they_were_committed(tmp_path_factory, given_, asked, data):
    sizes = data.draw(st.lists(st.integers(0, 60), max_size=20))
    start = data.draw(st.integers(0, len(given_)))
    end = data.draw(st.integers(start, len(given_)))
    path = tmp_path_factory.mktemp("runs") / "index.db"
    connection = create(path, FORM)
    written = 0
    for part in filter(None, cut(given_, sizes)):
        write(connection, written, part, b"")
        written += len(part)
    snapshot = IndexSnapshot(connection)
    for need in asked:
        found = [index for index in range(start, end) if has(given_[index], need)]
        assert list(snapshot.rows(need, start, end, newest_first=False)) == found
        assert list(snapshot.rows(need, start, end, newest_first=True)) == found[::-1]
    snapshot.end()
    connection.close()


@pytest.mark.parametrize("commit", [1, 7, 900, 20_000])
def test_many_commits_leave_few_runs(tmp_path, commit):
    """However small commits are, a search looks at a few runs for each 65,536 entries."""
    size = min(700 * commit, 3 * MOST_ROWS + 5)
    given_ = many_rows(1_000) * (size // 1_000 + 1)
    connection = create(tmp_path / "index.db", FORM)
    for start in range(0, size, commit):
        write(connection, start, given_[start : min(size, start + commit)], b"")
    runs = connection.execute("SELECT first, end FROM runs ORDER BY first").fetchall()
    assert [first for first, _ in runs] == [0, *(end for _, end in runs)][:-1]
    assert runs[-1][1] == size
    assert len(runs) <= size // MOST_ROWS + 30
    assert all(end % MOST_ROWS == 0 for first, end in runs if end // MOST_ROWS > first // MOST_ROWS)
    snapshot = IndexSnapshot(connection)
    rare = given_[size - 1].rsplit("\n", 1)[1]
    found = [index for index in range(size) if rare in given_[index]]
    assert list(snapshot.rows(Term(rare), 0, size, newest_first=False)) == found
    both = AllOf((Term("oF"), Term("u7")))
    expected = [index for index in range(size) if has(given_[index], both)]
    assert list(snapshot.rows(both, 0, size, newest_first=True)) == expected[::-1]
    snapshot.end()
    connection.close()


@given(st.binary(max_size=200), st.integers(1, 70_000))
def test_whatever_a_block_holds_it_is_read_or_refused(block, length):
    for read in (lambda: list(terms_in(block, length)), lambda: rows_with(block, b"a", length)):
        with contextlib.suppress(ValueError):
            read()


@given(rows.filter(lambda given_: any(given_)), st.data())
def test_a_block_with_a_byte_changed_never_gives_rows_beyond_its_run(given_, data):
    _, block = data.draw(st.sampled_from(make_run(given_)))
    spoilt = bytearray(block)
    spoilt[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = list(terms_in(bytes(spoilt), len(given_)))
    except ValueError:
        return
    for _, of_term in found:
        if isinstance(of_term, bytes):
            assert int.from_bytes(of_term, "little") >> len(given_) == 0
        else:
            assert max(of_term, default=0) < len(given_)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM runs WHERE first = 0",
        "DELETE FROM runs WHERE first = 8",
        "UPDATE runs SET end = 9 WHERE first = 0",
        "UPDATE runs SET end = 7 WHERE first = 0",
        "UPDATE runs SET end = 70000 WHERE first = 8",
        "UPDATE runs SET end = -1",
        "INSERT INTO runs VALUES (4, 9)",
        "UPDATE blocks SET block = x''",
        "UPDATE blocks SET block = x'0100ffff00000000'",
    ],
)
def test_runs_that_leave_something_out_are_damage(tmp_path, sql):
    """A file that lost a run would otherwise hide its entries."""
    path = tmp_path / "index.db"
    connection = create(path, FORM)
    write(connection, 0, many_rows(8), b"")
    write(connection, 8, many_rows(3), b"")
    connection.execute(sql)
    connection.close()
    reader = open_reader(path)
    snapshot = IndexSnapshot(reader)
    with pytest.raises(IndexUnusableError):
        list(snapshot.rows(Term("oS"), 0, 11, newest_first=False))
    reader.close()


@pytest.mark.parametrize(
    ("spoil", "entry", "what"),
    [
        (lambda given_: given_[5].replace("outcome", ""), None, None),
        (lambda given_: "\n".join(given_[5].split("\n")[1:]), 5, "lacks 1 of its terms"),
        (lambda given_: given_[5] + "\nuelse\nuother", 5, "has 2 terms too many"),
    ],
    ids=["none", "lacking", "too many"],
)
def test_what_a_run_says_falsely_is_named(filled_index, spoil, entry, what):
    path, log, given_ = filled_index
    rewrite(path, [*given_[:5], spoil(given_), *given_[6:]])
    false = verify_index(path, log.leaves, {log.size: log.root_at(log.size)}, lambda *_: None)
    assert [(one.first, one.end) for one in false] == ([] if entry is None else [(entry, entry + 1)])
    assert all(what in one.what for one in false)


def test_a_file_whose_runs_have_gaps_is_not_one_that_is_compared(filled_index):
    path, log, _ = filled_index
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE runs SET first = 1")
    connection.close()
    with pytest.raises(UnfitError):
        verify_index(path, log.leaves, {log.size: log.root_at(log.size)}, lambda *_: None)


@pytest.fixture
def filled_index(tmp_path, busy_log, open_index):
    open_index(busy_log).close()
    return tmp_path / "index.db", busy_log, [terms_of(parse_leaf(leaf)) for leaf in busy_log.leaves(0, busy_log.size)]


def rewrite(path, given_):
    """Put the run that other entries would make in the place of the only one."""
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM blocks; DELETE FROM runs")
    connection.execute("INSERT INTO runs VALUES (0, ?)", (len(given_),))
    connection.executemany(
        "INSERT INTO blocks(run, term, block) VALUES (0, ?, ?)", (tuple(block) for block in make_run(given_))
    )
    connection.close()
