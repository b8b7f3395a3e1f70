"""Backups of what came since another backup, and the whole that they make together."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.conftest import Server, auditlog
from tests.system.test_backup import append, checkpoint, files_below, rewrite_manifest


def back_up(server, destination, *flags):
    done = auditlog("backup", str(server.folder), str(destination), *flags)
    assert done.returncode == 0, done.stderr
    return destination


def join(*paths):
    return auditlog("backup", "join", *map(str, paths))


def entries(folder):
    with closing(sqlite3.connect(folder / "logs/main/evidence.db")) as db:
        return list(db.execute("SELECT * FROM entries")), list(db.execute("SELECT * FROM checkpoints"))


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A whole backup, two increments after it, a whole one of the end, and a checkpoint that a client holds."""
    folder = tmp_path_factory.mktemp("chain")
    server = Server.make(folder / "server")
    server.start()
    append(server, 300)
    back_up(server, folder / "monday")
    append(server, 700, "user.write")
    back_up(server, folder / "tuesday", "--since", str(folder / "monday"))
    server.stop()
    server.start()
    append(server, 5, "user.delete")
    checkpoint(server, folder / "held")
    back_up(server, folder / "wednesday", "--since", str(folder / "tuesday"))
    server.stop()
    back_up(server, folder / "whole")
    return folder


@pytest.fixture
def copy(chain, tmp_path):
    for name in ("monday", "tuesday", "wednesday"):
        shutil.copytree(chain / name, tmp_path / name)
    return tmp_path


def test_an_increment_holds_only_what_came_after(chain):
    with closing(sqlite3.connect(chain / "tuesday/logs/main/increment.db")) as db:
        assert db.execute("SELECT min(idx), max(idx) FROM entries").fetchone() == (300, 999)
    assert "logs/main/evidence.db" not in files_below(chain / "wednesday")
    with closing(sqlite3.connect(chain / "wednesday/logs/main/increment.db")) as db:
        assert db.execute("SELECT min(idx), max(idx) FROM entries").fetchone() == (1000, 1004)


def test_joined_they_are_the_whole_and_verify_against_what_others_hold(chain, tmp_path):
    done = join(chain / "monday", chain / "tuesday", chain / "wednesday", tmp_path / "joined")
    assert done.returncode == 0, done.stderr
    assert "main: 1,005 entries" in done.stdout
    found, stored = entries(tmp_path / "joined")
    assert found == entries(chain / "whole")[0]
    assert stored == entries(chain / "whole")[1][: len(stored)]
    done = auditlog("backup", "verify", str(tmp_path / "joined"), "--against", str(chain / "held"))
    assert done.returncode == 0, done.stdout
    done = auditlog("backup", "restore", str(tmp_path / "joined"), str(tmp_path / "restored"))
    assert done.returncode == 0, done.stderr
    # And it is a base for the next increment.
    manifest = json.loads((tmp_path / "joined/manifest.json").read_text())
    assert manifest["since"] is None
    assert manifest["logs"]["main"]["rows"]["entries"] == 1004


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["monday", "wednesday"], "wednesday does not go on from"),
        (["monday", "wednesday", "tuesday"], "wednesday does not go on from"),
        (["tuesday", "wednesday"], "holds only what came after the backup made at"),
        (["monday", "whole"], "whole does not go on from"),
    ],
)
def test_what_does_not_follow_is_refused_and_leaves_nothing(chain, tmp_path, names, said):
    done = join(*(chain / name for name in names), tmp_path / "joined")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_increment_alone_is_verified_file_by_file_and_not_restored(chain, tmp_path):
    done = auditlog("backup", "verify", str(chain / "tuesday"))
    assert done.returncode == 0
    assert "auditlog backup join BACKUP" in done.stdout
    done = auditlog("backup", "restore", str(chain / "tuesday"), str(tmp_path / "restored"))
    assert done.returncode == 2
    assert "auditlog backup join BACKUP" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_is_named_before_anything_is_joined(copy):
    (copy / "tuesday/logs/main/head").write_bytes(b"")
    done = join(copy / "monday", copy / "tuesday", copy / "joined")
    assert done.returncode == 1
    assert "logs/main/head: is not as it was written" in done.stderr
    assert not (copy / "joined").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 301) WHERE idx = 400", "does not verify"),
        ("DELETE FROM entries WHERE idx = 999", "does not verify"),
        ("DELETE FROM entries WHERE idx = 500", "idx is not the next one"),
        ("CREATE VIEW more AS SELECT 1", "other tables than an increment"),
        ("DROP TABLE tiles", "other tables than an increment"),
    ],
    ids=["entry", "tail", "gap", "schema", "table"],
)
def test_a_changed_increment_is_refused_even_with_a_manifest_that_fits(copy, change, said):
    with closing(sqlite3.connect(copy / "tuesday/logs/main/increment.db")) as db, db:
        db.execute(change)
    rewrite_manifest(copy / "tuesday")
    done = join(copy / "monday", copy / "tuesday", copy / "joined")
    assert done.returncode == 1, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (copy / "joined").exists()


def test_an_increment_goes_on_only_from_a_backup_of_the_same_history(chain, tmp_path):
    other = Server.make(tmp_path / "other")
    done = auditlog("backup", str(other.folder), str(tmp_path / "increment"), "--since", str(chain / "monday"))
    assert done.returncode == 2
    assert "is not of this log" in done.stderr
    forked = Server(Path(shutil.copytree(chain / "server", tmp_path / "forked")), {})
    forked.start()
    append(forked, 3, "of.one")
    back_up(forked, tmp_path / "of-one")
    forked.stop()
    shutil.rmtree(forked.folder)
    shutil.copytree(chain / "server", forked.folder)
    forked.start()
    append(forked, 3, "of.another")
    forked.stop()
    done = auditlog("backup", str(forked.folder), str(tmp_path / "increment"), "--since", str(tmp_path / "of-one"))
    assert done.returncode == 1
    assert "are not those that were signed for" in done.stderr
    assert not (tmp_path / "increment").exists()
