"""Making a server folder."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auditd.errors import FolderError, InvalidRequestError, Violation
from auditd.identity import LocalIssuer
from auditd.log import Log, create_key_file, load_signer, sync, sync_all, write_private_file
from auditd.regular_file import open_regular
from auditd.server._config import CONFIG_NAME, ISSUER_KEY_NAME, is_origin, load_config, local_issuer_name
from auditd.server._self_signed import CA_NAME, CERTIFICATE_NAME, KEY_NAME, make_self_signed, names_of

LOG_NAMES = ("main", "control", "access")
PAGE_KEY_NAME = "pages.key"
PAGE_KEY_BYTES = 32
_MAKE_PAGE_KEY = "(umask 077; head -c 32 /dev/urandom > %s)"

_CONFIG = """\
# Settings of this auditd server; every setting is described in docs/reference/configuration.md.
format = 1

# The server's globally unique name. It is part of what every checkpoint is signed for: never change it.
origin = "{origin}"

{listen}

# Keys need not lie beside the data: an absolute path will do.
keys = "keys"

{tls}# Tokens from `auditlog token issue`, for trying out and for small installations.
[local_issuer]
enabled = true
max_lifetime_s = 3600
"""

_PLAINTEXT = """\
# Plaintext is served on loopback alone; for other addresses add a [tls] table with certificate and key.
listen = "127.0.0.1:7443"\
"""

_LISTEN = """\
# With TLS any address will do, such as "0.0.0.0:7443".
listen = "127.0.0.1:7443"\
"""

_TLS = f"""\
# Made by `auditlog init --tls`; clients trust tls/{CA_NAME}. The files are read again when they change.
[tls]
certificate = "tls/{CERTIFICATE_NAME}"
key = "keys/{KEY_NAME}"

"""


@dataclass(frozen=True, slots=True)
class Made:
    """A new server folder: its verifier keys by log name, and with TLS what clients must trust."""

    folder: Path
    origin: str
    verifier_keys: dict[str, str]
    ca: Path | None = None


def make_folder(folder: Path, origin: str, tls_hosts: Sequence[str] | None = None) -> Made:
    """Make a server folder with safe defaults and new keys.

    Unless `tls_hosts` is None it has a certificate, by an authority of its own, for these host names and addresses
    and for those of the origin and this machine.

    All of it is on the disk when this returns: a verifier key that was handed out is never one of a lost key.

    Raises InvalidRequestError for an unfit origin or host, FolderError if the folder holds anything already, or cannot
    be written: then nothing of it is left.
    """
    hosts = None if tls_hosts is None else names_of(origin, tls_hosts)
    if not is_origin(origin):
        rule = "must be a name such as audit.example.com: printable ASCII, no spaces, '+', '~', scheme or final '/'"
        raise InvalidRequestError(
            "INVALID_ORIGIN", f"origin: {origin!r} {rule}", [Violation("origin", f"{origin!r} {rule}")]
        )
    was_there = folder.exists()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderError("FOLDER_NOT_EMPTY", f"{folder} is not empty; choose a new folder")
        # Of two at a time one gets no further than this, and so removes nothing of the other's.
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        with _gone_unless_whole(folder, was_there=was_there):
            verifier_keys = _fill(folder, keys, origin, hosts)
    except OSError as error:
        raise FolderError("FOLDER_UNWRITABLE", f"{error.filename or folder}: {error.strerror}") from error
    load_config(folder)
    return Made(folder, origin, verifier_keys, folder / "tls" / CA_NAME if hosts else None)


@contextmanager
def _gone_unless_whole(folder: Path, *, was_there: bool) -> Iterator[None]:
    """Empty a folder again if the block fails, so that the same command can be given again."""
    try:
        yield
    except BaseException:
        for made in folder.iterdir():
            shutil.rmtree(made, ignore_errors=True) if made.is_dir() else made.unlink()
        if not was_there:
            folder.rmdir()
        raise


def _fill(folder: Path, keys: Path, origin: str, tls_names: Sequence[str] | None) -> dict[str, str]:
    """Make all that is in a server folder, durably; return the logs' verifier keys by name."""
    verifier_keys = {name: _make_log(folder, keys, origin, name) for name in LOG_NAMES}
    LocalIssuer.create(local_issuer_name(origin)).write_key(keys / ISSUER_KEY_NAME)
    write_private_file(keys / PAGE_KEY_NAME, secrets.token_bytes(PAGE_KEY_BYTES))
    if tls_names is not None:
        make_self_signed(folder / "tls", keys, origin, tls_names)
    text = _CONFIG.format(origin=origin, listen=_LISTEN if tls_names else _PLAINTEXT, tls=_TLS if tls_names else "")
    # Written last, and not before the rest is on the disk: a folder with this file is whole.
    sync_all(folder)
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
    for made in (folder / CONFIG_NAME, folder, folder.resolve().parent):
        sync(made)
    return verifier_keys


def _make_log(folder: Path, keys: Path, origin: str, name: str) -> str:
    key_file = keys / f"{name}.pem"
    create_key_file(key_file)
    signer = load_signer(key_file, f"{origin}/{name}")
    Log.create(folder / "logs" / name, signer)
    return str(signer.verifier_key)


def load_page_key(keys: Path) -> bytes:
    """Return the key that page tokens are sealed with; raise FolderError where it is missing or too short."""
    path = keys / PAGE_KEY_NAME
    try:
        with open_regular(path) as file:
            key = file.read()
    except OSError as error:
        raise FolderError(
            "PAGE_KEY_UNREADABLE", f"{path}: {error.strerror}; put it back, or make one: {_MAKE_PAGE_KEY % path}"
        ) from error
    if len(key) < PAGE_KEY_BYTES:
        raise FolderError(
            "PAGE_KEY_UNREADABLE",
            f"{path} has {len(key)} bytes, must have {PAGE_KEY_BYTES}; make one: {_MAKE_PAGE_KEY % path}",
        )
    return key
