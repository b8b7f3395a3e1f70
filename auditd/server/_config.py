"""`auditd.toml`: read strictly, so that a mistyped setting is an error and not a surprise."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from auditd.errors import FolderError
from auditd.identity import IssuerConfig

CONFIG_NAME = "auditd.toml"
FORMAT = 1
DEFAULT_LISTEN = "127.0.0.1:7443"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Limits, each with its unit in the name."""

    max_batch_events: int = 1_000
    max_request_bytes: int = 4 * 1024 * 1024
    max_queued_events: int = 16_000
    max_queued_bytes: int = 64 * 1024 * 1024
    max_event_age_s: int = 30 * 86_400
    max_ahead_s: int = 300
    max_queries_at_once: int = 4
    max_query_s: int = 20
    max_cached_tokens: int = 2_048
    drain_s: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Files of the server's certificate chain and private key (PEM)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalIssuerSettings:
    """The folder's own token issuer."""

    enabled: bool = True
    max_lifetime_s: int = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A server folder's settings; paths are absolute."""

    folder: Path
    origin: str
    audience: str
    listen: str = DEFAULT_LISTEN
    keys: Path
    tls: TlsSettings | None = None
    local_issuer: LocalIssuerSettings = field(default_factory=LocalIssuerSettings)
    issuers: tuple[IssuerConfig, ...] = ()
    limits: LimitSettings = field(default_factory=LimitSettings)
    text: str = ""

    @property
    def local_issuer_name(self) -> str:
        """The claim `iss` of tokens from the folder's own issuer."""
        return local_issuer_name(self.origin)

    def log_folder(self, name: str) -> Path:
        """Return where a log is kept."""
        return self.folder / "logs" / name

    def log_origin(self, name: str) -> str:
        """Return a log's globally unique name."""
        return f"{self.origin}/{name}"


def load_config(folder: Path) -> Config:
    """Read `auditd.toml` of a server folder; raise FolderError naming file and key of the first mistake."""
    path = folder / CONFIG_NAME
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        raise FolderError(
            "FOLDER_MISSING",
            f"{folder} is no server folder ({CONFIG_NAME} is missing); make one: auditlog init {folder}",
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FolderError("CONFIG_INVALID", f"{path}: {error}") from error
    return _Reader(path).config(folder.resolve(), table, text)


class _Reader:
    """Turns tables into settings, naming the file in every complaint."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def config(self, folder: Path, table: Mapping[str, Any], text: str) -> Config:
        known = {"format", "origin", "audience", "listen", "keys", "tls", "local_issuer", "issuers", "limits"}
        self._refuse_unknown("", table, known)
        version = self._take(table, "format", int, None)
        if version > FORMAT:
            raise FolderError(
                "NEWER_FORMAT",
                f"{self._path}: format {version}, this release knows {FORMAT}; use a newer release",
            )
        if version != FORMAT:
            raise self._error("format", f"{version}, must be {FORMAT}")
        origin = self._take(table, "origin", str, None)
        if not is_origin(origin):
            raise self._error("origin", f"{origin!r}, must be a name such as audit.example.com")
        issuers = self._take(table, "issuers", list, [])
        return Config(
            folder=folder,
            origin=origin,
            audience=self._take(table, "audience", str, origin),
            listen=self._take(table, "listen", str, DEFAULT_LISTEN),
            keys=folder / self._take(table, "keys", str, "keys"),
            tls=self._tls(folder, table),
            local_issuer=self._settings(LocalIssuerSettings, "local_issuer", table),
            issuers=tuple(self._issuer(folder, f"issuers[{i}]", item) for i, item in enumerate(issuers)),
            limits=self._settings(LimitSettings, "limits", table),
            text=text,
        )

    def _tls(self, folder: Path, table: Mapping[str, Any]) -> TlsSettings | None:
        if "tls" not in table:
            return None
        section = self._take(table, "tls", dict, {})
        self._refuse_unknown("tls.", section, {"certificate", "key"})
        paths = {name: folder / self._take(section, name, str, None, "tls.") for name in ("certificate", "key")}
        return TlsSettings(**paths)

    def _issuer(self, folder: Path, where: str, item: object) -> IssuerConfig:
        if not isinstance(item, dict):
            raise self._error(where, "must be a table")
        values = dict(item)
        self._refuse_unknown(f"{where}.", values, {item.name for item in fields(IssuerConfig)})
        values["jwks_file"] = folder / self._take(values, "jwks_file", str, None, f"{where}.")
        values["issuer"] = self._take(values, "issuer", str, None, f"{where}.")
        for name, kind in (
            ("leeway_s", int),
            ("max_lifetime_s", int),
            ("roles_claim", str),
            ("audience", str),
            ("typ", str),
        ):
            if name in values:
                self._take(values, name, kind, None, f"{where}.")
        if "algorithms" in values:
            values["algorithms"] = tuple(map(str, self._take(values, "algorithms", list, None, f"{where}.")))
        try:
            return IssuerConfig(**values)
        except FolderError as error:
            raise FolderError(error.reason, f"{self._path}: {where}: {error.message}") from error

    def _settings(self, kind: type[Any], name: str, table: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- one of three
        section = self._take(table, name, dict, {})
        defaults = {item.name: item.default for item in fields(kind)}
        self._refuse_unknown(f"{name}.", section, set(defaults))
        values = {key: self._take(section, key, type(defaults[key]), defaults[key], f"{name}.") for key in section}
        for key, value in values.items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise self._error(f"{name}.{key}", f"{value}, must be at least 1")
        return kind(**values)

    def _take(self, table: Mapping[str, Any], key: str, kind: type[Any], default: object, prefix: str = "") -> Any:  # noqa: ANN401 -- as the file has it
        value = table.get(key, default)
        if value is None:
            raise self._error(prefix + key, "is missing")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._error(prefix + key, f"{value!r}, must be a {kind.__name__}")
        return value

    def _refuse_unknown(self, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
        unknown = sorted(set(table) - known)
        if unknown:
            raise self._error(prefix + unknown[0], f"is no setting; known are {', '.join(sorted(known))}")

    def _error(self, key: str, problem: str) -> FolderError:
        return FolderError("CONFIG_INVALID", f"{self._path}: {key}: {problem}", {"key": key})


def local_issuer_name(origin: str) -> str:
    """Return the claim `iss` of tokens from the own issuer of the server of this origin."""
    return f"https://{origin}/local"


def is_origin(text: str) -> bool:
    """Tell whether `text` suits as a server's origin: printable ASCII without spaces, '+', '~' or a scheme."""
    return (
        0 < len(text) <= 200
        and text.isascii()
        and text.isprintable()
        and not set(text) & set(' +~"\\')
        and "://" not in text
        and not text.endswith("/")
    )
