"""What is wrong with a folder's settings and the files that they name, all at once and without a server."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from auditd.errors import AuditdError, Violation
from auditd.identity import ALGORITHMS, Issuer, IssuerConfig, LocalIssuer
from auditd.log import load_signer
from auditd.server._config import ISSUER_KEY_NAME, Config, ConfigReading, local_issuer_name, read_config
from auditd.server._folder import load_page_key
from auditd.server._listening import require_http_safe, require_listen, require_safe
from auditd.server._logs import log_names
from auditd.server._traces import require_tracing

_NO_ORIGIN = "unknown"


@dataclass(frozen=True, slots=True)
class Checked:
    """Settings that a server could run with; `notes` are no mistakes, but worth knowing."""

    config: Config
    notes: tuple[str, ...]


def check_config(folder: Path, *, insecure: bool = False) -> Checked:
    """Read `auditd.toml` and the files that it names; nothing is asked for over the network, nothing is written.

    `insecure` is whether the server is to be run with plaintext on any address.

    Raises ConfigError: `CONFIG_INVALID`, naming file, line and key of every mistake: a file is looked at wherever
    the setting that names it can be read, whatever is wrong elsewhere. Raises FolderError where there is
    no `auditd.toml`, or one of a newer release.
    """
    found = read_config(folder)
    notes: list[str] = []
    if found.toml.stop is None:
        problems = (
            *_listeners(found, insecure),
            *_keys(found),
            *_tls(found),
            *_issuers(found, notes),
            *_tracing(found),
        )
        for field, problem in problems:
            if problem is not None:
                found.mistakes.append(Violation(field, problem.removeprefix(f"{field}: ")))
        if "issuers" not in found.toml.values and not found.get("local_issuer.enabled", default=True):
            found.mistakes.append(Violation("local_issuer.enabled", "is off and no issuer is named: nobody could call"))
    if found.config is None or found.mistakes:
        raise found.error()
    return Checked(found.config, tuple(notes))


def _listeners(found: ConfigReading, insecure: bool) -> Iterator[tuple[str, str | None]]:
    listen, http = found.get("listen"), found.get("http.listen")
    if listen is not None:
        has_tls = "tls" in found.toml.values
        yield "listen", _problem(lambda: require_safe(listen, has_tls=has_tls, insecure=insecure))
    if http is not None:
        allowed = insecure or found.get("http.allow_remote", default=False)
        yield "http.listen", _problem(lambda: require_http_safe(http, allowed=allowed))
    if (other := found.get("tls.listen_without_certificate")) is not None:
        where = "tls.listen_without_certificate"
        yield where, _problem(lambda: require_listen(other, where))


def _keys(found: ConfigReading) -> Iterator[tuple[str, str | None]]:
    keys: Path | None = found.get("keys", found.folder / "keys" if "keys" not in found.toml.values else None)
    if keys is None:
        return
    origin = found.get("origin", _NO_ORIGIN)
    yield "keys", _problem(lambda: load_page_key(keys))
    names: list[str] = []
    yield "logs", _problem(lambda: names.extend(log_names(found.folder)))
    for name in names:
        yield "keys", _problem(lambda name=name: load_signer(keys / f"{name}.pem", f"{origin}/{name}"))  # type: ignore[misc]
    if found.get("local_issuer.enabled", default=True):
        issuer = local_issuer_name(origin)
        yield "local_issuer", _problem(lambda: LocalIssuer.load(issuer, keys / ISSUER_KEY_NAME, 1))


def _tls(found: ConfigReading) -> Iterator[tuple[str, str | None]]:
    files = {name: found.get(name) for name in ("tls.certificate", "tls.key")}
    unreadable = {name: _unreadable(file) for name, file in files.items() if file is not None}
    yield from unreadable.items()
    certificate, key = files.values()
    if certificate is not None and key is not None and not any(unreadable.values()):
        yield "tls", _unfit_pair(certificate, key)
    if (authority := found.get("tls.client_ca")) is not None:
        yield "tls.client_ca", _unfit_authority(authority)


def _issuers(found: ConfigReading, notes: list[str]) -> Iterator[tuple[str, str | None]]:
    tables = found.toml.values.get("issuers")
    for number in range(len(tables) if isinstance(tables, list) else 0):
        where = f"issuers[{number}]"
        if (authority := found.get(f"{where}.ca_file")) is not None:
            yield f"{where}.ca_file", _unfit_authority(authority)
        if (file := found.get(f"{where}.jwks_file")) is not None:
            issuer = IssuerConfig(
                issuer=found.get(f"{where}.issuer", where),
                jwks_file=file,
                algorithms=found.get(f"{where}.algorithms", ALGORITHMS),
            )
            yield f"{where}.jwks_file", _problem(lambda issuer=issuer: _read_keys(issuer, notes))  # type: ignore[misc]


def _tracing(found: ConfigReading) -> Iterator[tuple[str, str | None]]:
    if "tracing" in found.toml.values:
        yield "tracing", _problem(require_tracing)


def _read_keys(config: IssuerConfig, notes: list[str]) -> None:
    issuer = Issuer.from_jwks_file(config)
    notes.extend(f"issuer {config.issuer}: key not used: {problem}" for problem in issuer.ignored_keys)


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
