"""No log of a folder can be put back alone: others have recorded how far it was."""

from __future__ import annotations

import shutil

import pytest

from auditd.errors import DamagedError, FolderError
from auditd.log import load_signer, sign_peers
from auditd.note import sign_note


class Folder:
    """The logs `main` and `control`, and what `control` says of `main`."""

    def __init__(self, make_log, key_file, root):
        self._names = ("main", "control")
        self.made = {
            name: make_log(root / name, load_signer(key_file, f"audit.example.com/{name}")) for name in self._names
        }
        self.logs = {}

    def open(self):
        signer = self.made["control"].signer

        def peers():
            main = self.logs["main"]
            return sign_peers(signer, [(main.origin, main.tree_head)])

        self.logs["main"] = self.made["main"].open()
        self.logs["control"] = self.made["control"].open(peers=peers)

    def append(self, name, count, tag):
        self.made[name].append(self.logs[name], count, tag)

    def close(self):
        for name in self._names:
            self.logs[name].close()

    def require_peers(self):
        self.logs["control"].require_peers({log.origin: log for log in self.logs.values()})


@pytest.fixture
def folder(make_log, key_file, tmp_path):
    made = Folder(make_log, key_file, tmp_path)
    made.open()
    yield made
    made.close()


def refusal(folder):
    with pytest.raises((FolderError, DamagedError)) as caught:
        folder.require_peers()
    return caught.value


def put_back(folder, name, copy):
    shutil.rmtree(folder.made[name].folder)
    shutil.copytree(copy, folder.made[name].folder)


def test_logs_that_went_on_together_are_accepted(folder):
    folder.require_peers()
    for number in range(3):
        folder.append("main", 5, f"m{number}")
        folder.append("control", 1, f"c{number}")
        folder.made["control"].seconds += 2
    folder.close()
    folder.open()
    folder.require_peers()
    folder.append("main", 300, "ahead of what was recorded")
    folder.require_peers()


def test_a_log_put_back_alone_is_refused(folder, tmp_path):
    folder.append("main", 300, "a")
    folder.close()
    copy = shutil.copytree(folder.made["main"].folder, tmp_path / "copy")
    folder.open()
    folder.append("main", 7, "b")
    folder.append("control", 1, "c")
    folder.close()
    put_back(folder, "main", copy)
    folder.open()
    error = refusal(folder)
    assert (type(error), error.reason) == (FolderError, "LOG_PUT_BACK")
    assert error.facts == {"origin": "audit.example.com/main", "signed_size": "307"}
    assert "has 300 entries" in error.message
    assert "Put the newest copy of its folder back" in error.message


def test_a_log_that_is_gone_is_refused(folder):
    folder.append("main", 1, "a")
    folder.append("control", 1, "c")
    folder.close()
    folder.open()
    with pytest.raises(FolderError, match="is missing") as caught:
        folder.logs["control"].require_peers({})
    assert caught.value.reason == "LOG_PUT_BACK"


def test_another_history_of_a_log_is_refused(folder, make_log, tmp_path):
    folder.append("main", 300, "a")
    folder.append("control", 1, "c")
    folder.close()
    fork = make_log(tmp_path / "fork", folder.made["main"].signer)
    fork.filled(400).close()
    put_back(folder, "main", fork.folder)
    folder.open()
    error = refusal(folder)
    assert (type(error), error.reason) == (DamagedError, "LOG_REWRITTEN")
    assert error.facts["size"] == "300"
    assert error.facts["expected"] != error.facts["actual"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda note, _: note.replace("300", "299"), id="a size changed"),
        pytest.param(lambda note, _: "", id="nothing"),
        pytest.param(lambda note, _: note.split("\n\n")[0] + "\n", id="no signature"),
        pytest.param(lambda _, made: made.seen[-1], id="a checkpoint in its place"),
        pytest.param(lambda note, _: note.replace("main", "mine"), id="a name changed"),
        pytest.param(
            lambda note, made: sign_note(note.split("\n\n")[0].replace("peers", "pears") + "\n", [made.signer]),
            id="a note of another kind, signed with the same key",
        ),
    ],
)
def test_a_note_that_the_log_did_not_sign_so_is_refused(folder, tamper, change):
    folder.append("main", 300, "a")
    folder.append("control", 1, "c")
    folder.close()
    evidence = folder.made["control"].evidence
    folder.open()
    note = folder.logs["control"]._store.newest_checkpoint().peers
    forged = change(note, folder.made["control"])
    assert forged != note
    tamper(evidence, ("UPDATE checkpoints SET peers = ?", (forged,)))
    assert (type(refusal(folder)), refusal(folder).reason) == (DamagedError, "PEERS_DAMAGED")
