"""A file of evidence that somebody kept is not lost to a name that was given twice."""

from __future__ import annotations

import json

import pytest

from auditd_client import Client
from auditd_client.cli._errors import CommandError
from auditd_client.cli._whole_file import new_file


@pytest.fixture(scope="module")
def credential(shared_server):
    with Client(shared_server.address, shared_server.token("admin")) as client:
        client.append([{"action": "a.b"} for _ in range(5)])
        return json.loads(client.get(0).leaf)["caller"]["credential"]


COMMANDS = {
    "a bundle": ("prove", "0", "-o"),
    "a range": ("prove", "0..3", "-o"),
    "a proof between two trees": ("prove", "--consistency", "2", "4", "-o"),
    "a credential": ("credential", "CREDENTIAL", "-o"),
    "an evidence package": ("export", "--evidence"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("is_link", [False, True], ids=["file", "link to nothing"])
def test_a_file_that_exists_is_left_as_it_is_and_nothing_is_asked_for(
    shared_server, credential, tmp_path, command, is_link
):
    kept = tmp_path / "kept"
    if is_link:
        kept.symlink_to("elsewhere")
    else:
        kept.write_text("of Monday")
    arguments = [credential if argument == "CREDENTIAL" else argument for argument in command]
    done = shared_server.cli(*arguments, str(kept), env={"AUDITLOG_ADDRESS": "127.0.0.1:9"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"auditlog: {kept}: exists and is left as it is; remove it, or name another file\n"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.is_symlink() if is_link else kept.read_text() == "of Monday"
    kept.unlink()
    done = shared_server.cli(*arguments, str(kept))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("links", [True, False], ids=["with links", "on a file system without links"])
def test_a_file_that_comes_while_another_is_written_stays(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    name = tmp_path / "proof"

    def write_while_another_comes():
        with new_file(name) as file:
            file.write(b"mine")
            name.write_text("theirs")

    with pytest.raises(CommandError, match="exists and is left as it is"):
        write_while_another_comes()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("proof", "theirs")]
    name.unlink()
    with new_file(name) as file:
        file.write(b"mine")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("proof", "mine")]
