"""What is wrong with a folder's settings and the files that they name, all at once and without a server."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from auditd.errors import AuditdError, Violation
from auditd.identity import Issuer, IssuerConfig
from auditd.log import load_signer
from auditd.server._config import Config, config_error, load_config
from auditd.server._folder import load_page_key
from auditd.server._issuers import load_local_issuer
from auditd.server._listening import require_http_safe, require_listen
from auditd.server._logs import log_names


@dataclass(frozen=True, slots=True)
class Checked:
    """Settings that a server could run with; `notes` are no mistakes, but worth knowing."""

    config: Config
    notes: tuple[str, ...]


def check_config(folder: Path) -> Checked:
    """Read `auditd.toml` and the files that it names; nothing is asked for over the network, nothing is written.

    Raises ConfigError: `CONFIG_INVALID`, naming file, line and key of every mistake. Raises FolderError where there is
    no `auditd.toml`, or one of a newer release.
    """
    config = load_config(folder)
    notes: list[str] = []
    found = [
        Violation(field, problem.removeprefix(f"{field}: "))
        for field, problem in (*_files(config), *_issuers(config, notes))
        if problem is not None
    ]
    if not config.issuers and not config.local_issuer.enabled:
        found.append(Violation("local_issuer.enabled", "is off and no issuer is named: nobody could call"))
    if found:
        raise config_error(folder / config.path.name, config.text, found)
    return Checked(config, tuple(notes))


def _files(config: Config) -> Iterator[tuple[str, str | None]]:
    yield "listen", _problem(lambda: require_listen(config.listen))
    http = config.http
    if http is not None:
        yield "http.listen", _problem(lambda: require_http_safe(config, http.listen, insecure=False))
    yield "keys", _problem(lambda: load_page_key(config.keys))
    yield "keys", _problem(lambda: _load_signers(config))
    yield "local_issuer", _problem(lambda: load_local_issuer(config))
    if config.tls is not None:
        yield "tls.certificate", _unreadable(config.tls.certificate)
        yield "tls.key", _unreadable(config.tls.key)
        if _unreadable(config.tls.certificate) is None and _unreadable(config.tls.key) is None:
            yield "tls", _unfit_pair(config.tls.certificate, config.tls.key)
        if config.tls.client_ca is not None:
            yield "tls.client_ca", _unfit_authority(config.tls.client_ca)
        other = config.tls.listen_without_certificate
        if other is not None:
            where = "tls.listen_without_certificate"
            yield where, _problem(lambda: require_listen(other, where))


def _issuers(config: Config, notes: list[str]) -> Iterator[tuple[str, str | None]]:
    for number, issuer in enumerate(config.issuers):
        where = f"issuers[{number}]"
        if issuer.ca_file is not None:
            yield f"{where}.ca_file", _unfit_authority(issuer.ca_file)
        if issuer.jwks_file is not None:
            yield f"{where}.jwks_file", _problem(lambda issuer=issuer: _read_keys(issuer, notes))  # type: ignore[misc]


def _read_keys(config: IssuerConfig, notes: list[str]) -> None:
    issuer = Issuer.from_jwks_file(config)
    notes.extend(f"issuer {config.issuer}: key not used: {problem}" for problem in issuer.ignored_keys)


def _load_signers(config: Config) -> None:
    for name in log_names(config):
        load_signer(config.keys / f"{name}.pem", config.log_origin(name))


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
    except AuditdError as error:
        return error.message
    return None


def _unreadable(file: Path) -> str | None:
    try:
        file.read_bytes()
    except OSError as error:
        return f"{file}: {error.strerror}"
    return None


def _unfit_pair(certificate: Path, key: Path) -> str | None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        return f"{certificate} and {key} are no certificate and its key in PEM: {getattr(error, 'reason', error)}"
    return None


def _unfit_authority(file: Path) -> str | None:
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        return f"{file} holds no certificate in PEM"
    except OSError as error:
        return f"{file}: {error.strerror}"
    return None
