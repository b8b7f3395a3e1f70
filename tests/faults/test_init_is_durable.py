"""What `init` has made when it returns no power cut can take: keys above all, whose verifier keys are handed out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditd.server import make_folder


@pytest.fixture
def synced(monkeypatch):
    """Note what is synced, in its order."""
    names: list[Path] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr("os.fsync", noted)
    return names


def test_every_file_and_every_name_is_synced_and_the_settings_come_last(tmp_path, synced):
    folder = tmp_path / "server"
    make_folder(folder, "audit.example.com", ["localhost"])
    made = {path for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))} | {folder, tmp_path}
    assert made <= set(synced), "each file, and each folder that holds a name"
    settings = folder / "auditd.toml"
    last = {path: len(synced) - 1 - synced[::-1].index(path) for path in made}
    assert all(last[path] < last[settings] for path in made - {settings, folder, tmp_path})
    assert last[settings] < last[folder] < last[tmp_path]
