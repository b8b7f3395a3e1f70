"""`auditd.toml`: read strictly, so that a mistyped setting is an error and not a surprise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from auditd.errors import ConfigError, FolderError, Violation
from auditd.identity import MAX_LIFETIME_S, CertificateConfig, IssuerConfig, Party, parties
from auditd.regular_file import open_regular
from auditd.server._toml_lines import TomlLines
from auditd.server._toml_syntax import TomlText, read_toml
from auditd.settings import (
    Reading,
    one_of,
    optional,
    optional_table,
    read_flag,
    read_path,
    read_table,
    read_text,
    setting,
    table,
    tables,
    whole,
)

CONFIG_NAME = "auditd.toml"
_MAX_BYTES = 1024 * 1024
ISSUER_KEY_NAME = "issuer.pem"
FORMAT = 1
_COUNT = whole(1, 2**31 - 1)
_BYTES = whole(1, 1024**5)
_SECONDS = whole(1, 100 * 31_557_600)
DEFAULT_LISTEN = "127.0.0.1:7443"
_IDENTIFYING = re.compile(r"((?:issuers|certificates)\[\d+\])\.(issuer|sha256|name|distinguished_name)")
"""Settings that say who is meant, and so may each be given once."""
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.:_\[\]-]+:[0-9]{1,5}", re.ASCII)


def is_origin(name: str) -> bool:
    """Tell whether `name` suits as a server's origin: printable ASCII without spaces, '+', '~' or a scheme."""
    return (
        0 < len(name) <= 200
        and name.isascii()
        and name.isprintable()
        and not set(name) & set(' +~"\\')
        and "://" not in name
        and not name.endswith("/")
    )


def _origin(value: object) -> str:
    if not isinstance(value, str) or not is_origin(value):
        raise ValueError(f"{value!r}, must be a name such as audit.example.com")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Limits, each with its unit in the name."""

    max_batch_events: int = setting(1_000, whole(1, 1_000_000))
    max_request_bytes: int = setting(4 * 1024 * 1024, whole(1, 1024**3))
    max_queued_events: int = setting(16_000, _COUNT)
    max_queued_bytes: int = setting(64 * 1024 * 1024, _BYTES)
    max_event_age_s: int = setting(30 * 86_400, _SECONDS)
    max_ahead_s: int = setting(300, _SECONDS)
    max_response_bytes: int = setting(4 * 1024 * 1024, whole(64 * 1024, 4 * 1024 * 1024))
    max_idle_s: int = setting(7 * 86_400, _SECONDS)
    min_free_bytes: int = setting(256 * 1024 * 1024, _BYTES)
    max_queries_at_once: int = setting(4, whole(1, 1_024))
    max_queued_queries: int = setting(64, _COUNT)
    max_queries_per_caller: int = setting(32, _COUNT)
    max_query_s: int = setting(20, whole(1, 3_600))
    max_tails: int = setting(2_000, _COUNT)
    max_tails_per_caller: int = setting(100, _COUNT)
    max_exports: int = setting(16, _COUNT)
    max_exports_per_caller: int = setting(4, _COUNT)
    max_cached_tokens: int = setting(2_048, _COUNT)
    max_calls_per_s_per_caller: int = setting(20_000, _COUNT)
    max_calls_at_once_per_caller: int = setting(16, _COUNT)
    max_wasted_calls_per_s_per_caller: int = setting(100, _COUNT)
    max_queued_calls_per_caller: int = setting(1_024, _COUNT)
    max_refused_per_s_per_peer: int = setting(100, _COUNT)
    max_calls_per_connection: int = setting(128, _COUNT)
    max_connections: int = setting(10_000, _COUNT)
    max_queued_large_requests: int = setting(32, _COUNT)
    max_queued_large_bytes: int = setting(32 * 1024 * 1024, _BYTES)
    max_slow_requests: int = setting(16, _COUNT)
    drain_s: int = setting(10, whole(1, 3_600))


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Files of the server's certificate chain and private key, and of who vouches for clients (PEM).

    With `client_ca` clients must present a certificate; those that have none may use another address, if there is
    one.
    """

    certificate: Path = setting(MISSING, read_path)
    key: Path = setting(MISSING, read_path)
    client_ca: Path | None = setting(None, optional(read_path))
    listen_without_certificate: str | None = setting(None, optional(read_text))

    @staticmethod
    def violations_together(values: Mapping[str, Any]) -> Iterator[Violation]:
        """Refuse an address without certificates where none are asked for anyway."""
        if values.get("listen_without_certificate") and not values.get("client_ca"):
            yield Violation("listen_without_certificate", "is for clients without a certificate: set client_ca as well")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalIssuerSettings:
    """The folder's own token issuer."""

    enabled: bool = setting(True, read_flag)
    max_lifetime_s: int = setting(3_600, whole(1, MAX_LIFETIME_S))
    identifies: tuple[Party, ...] = setting((Party.CALLER,), parties)


def _endpoint(value: object) -> str:
    if not isinstance(value, str) or not _ENDPOINT.fullmatch(value):
        raise ValueError(f"{value!r}, must be http://HOST:PORT or, with TLS, https://HOST:PORT")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{value!r}, must be an array of names")
    return tuple(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """What is indexed: of the logs `without_text`, no text and no values of attributes."""

    without_text: tuple[str, ...] = setting((), _names)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """The listener for metrics and health, in plaintext and without tokens."""

    listen: str = setting(MISSING, read_text)
    allow_remote: bool = setting(False, read_flag)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """What the server says on stderr, and in which form."""

    level: str = setting("warning", one_of("debug", "info", "warning", "error"))
    format: str = setting("auto", one_of("auto", "json", "text"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """Where spans of calls go (OTLP over gRPC), under which name, and how many of those that nobody else decides on."""

    endpoint: str = setting(MISSING, _endpoint)
    service_name: str = setting("auditd", read_text)
    sampled_per_mille: int = setting(1_000, whole(0, 1_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A server folder's settings; paths are absolute."""

    folder: Path
    text: str = ""
    format: int = setting(MISSING, whole(FORMAT, FORMAT))
    origin: str = setting(MISSING, _origin)
    audience: str = setting("", read_text)
    listen: str = setting(DEFAULT_LISTEN, read_text)
    keys: Path = setting(Path("keys"), read_path)
    tls: TlsSettings | None = optional_table(TlsSettings)
    local_issuer: LocalIssuerSettings = table(LocalIssuerSettings)
    issuers: tuple[IssuerConfig, ...] = tables(IssuerConfig)
    certificates: tuple[CertificateConfig, ...] = tables(CertificateConfig)
    index: IndexSettings = table(IndexSettings)
    limits: LimitSettings = table(LimitSettings)
    http: HttpSettings | None = optional_table(HttpSettings)
    logging: LoggingSettings = table(LoggingSettings)
    tracing: TracingSettings | None = optional_table(TracingSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "audience", self.audience or self.origin)
        object.__setattr__(self, "keys", self.folder / self.keys)

    @staticmethod
    def violations_together(values: Mapping[str, Any]) -> Iterator[Violation]:
        """Refuse callers known by certificates that nobody asks for."""
        if (
            values.get("certificates")
            and "tls" in values
            and (values["tls"] is None or values["tls"].client_ca is None)
        ):
            yield Violation("certificates", "need client certificates: set tls.client_ca")

    @property
    def path(self) -> Path:
        """The file that these settings stand in."""
        return self.folder / CONFIG_NAME

    @property
    def local_issuer_name(self) -> str:
        """The claim `iss` of tokens from the folder's own issuer."""
        return local_issuer_name(self.origin)

    @property
    def certificate_issuer_name(self) -> str:
        """What stands for the claim `iss` of callers known by their certificate."""
        return certificate_issuer_name(self.origin)

    @property
    def issuer_names(self) -> frozenset[str]:
        """What may stand as issuer in entries of callers: whose tokens and certificates are accepted."""
        names = {issuer.issuer for issuer in self.issuers}
        if self.local_issuer.enabled:
            names.add(self.local_issuer_name)
        if self.certificates:
            names.add(self.certificate_issuer_name)
        return frozenset(names)

    def log_folder(self, name: str) -> Path:
        """Return where a log is kept."""
        return self.folder / "logs" / name

    def log_origin(self, name: str) -> str:
        """Return a log's globally unique name."""
        return f"{self.origin}/{name}"


@dataclass(frozen=True, slots=True)
class ConfigReading:
    """What `auditd.toml` of a folder says: its settings, or else its mistakes and what is right in itself.

    `folder` is absolute, `file` as it was named.
    """

    folder: Path
    file: Path
    toml: TomlText
    reading: Reading
    config: Config | None

    @property
    def mistakes(self) -> list[Violation]:
        """What is wrong with what the text says, given that it is TOML."""
        return self.reading.mistakes

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- of any type
        """Return a setting by its full name, such as `issuers[0].jwks_file`, if it is right in itself."""
        return self.reading.values.get(name, default)

    def error(self) -> ConfigError:
        """Return the error that names file, line and key of every mistake, in the order of the file."""
        lines = TomlLines(self.toml.text)
        found = [*((lines.line_of(one.field), one) for one in self.mistakes), *self.toml.slips]
        placed = [(line, f"{one.field}: {one.description}") for line, one in found]
        if self.toml.stop is not None:
            placed.append(self.toml.stop)
        said = [f"{self.file}:{line}: {problem}" for line, problem in sorted(placed, key=lambda pair: pair[0])]
        return ConfigError("CONFIG_INVALID", said, [one for _, one in found])


def load_config(folder: Path) -> Config:
    """Read `auditd.toml` of a server folder.

    Raises ConfigError: `CONFIG_INVALID`, naming file, line and key of every mistake. Raises FolderError:
    `FOLDER_MISSING`, `NEWER_FORMAT`.
    """
    found = read_config(folder)
    if found.config is None:
        raise found.error()
    return found.config


def read_config(folder: Path) -> ConfigReading:
    """Read `auditd.toml` of a server folder, mistakes included.

    Raises ConfigError: `CONFIG_INVALID`, where it cannot be read at all. Raises FolderError as `load_config`.
    """
    file = folder / CONFIG_NAME
    try:
        with open_regular(file) as opened:
            data = opened.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigError("CONFIG_INVALID", [f"{file}: is longer than {_MAX_BYTES} bytes"])
        content = data.decode("utf-8")
    except FileNotFoundError as error:
        raise FolderError(
            "FOLDER_MISSING",
            f"{folder} is no server folder ({CONFIG_NAME} is missing); make one: auditlog init {folder}",
        ) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("CONFIG_INVALID", [f"{file}:{line}: is not UTF-8"]) from error
    except OSError as error:
        raise ConfigError("CONFIG_INVALID", [f"{file}: {error.strerror}"]) from error
    toml, base, reading = read_toml(content), folder.resolve(), Reading()
    version = toml.values.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise FolderError("NEWER_FORMAT", f"{file}: format {version}, this release knows {FORMAT}; use a newer release")
    if toml.stop is not None:
        # Of what stands before it nothing can be said without what would follow.
        return ConfigReading(base, file, toml, reading, None)
    config = read_table(Config, toml.values, "", base, reading, folder=base, text=content)
    reading.mistakes[:] = [one for one in reading.mistakes if one.field not in toml.unread]
    reading.mistakes.extend(_repeated(reading.values))
    return ConfigReading(base, file, toml, reading, None if reading.mistakes or toml.slips else config)


def _repeated(values: Mapping[str, Any]) -> Iterator[Violation]:
    """Refuse two issuers of one name, the folder's own included, and two callers by one certificate."""
    seen: dict[tuple[str, object], str] = {}
    if "origin" in values:
        if values.get("local_issuer.enabled", True):
            seen["issuer", local_issuer_name(values["origin"])] = "this folder's own issuer"
        seen["issuer", certificate_issuer_name(values["origin"])] = "callers known by their certificates"
    for field, value in values.items():
        match = _IDENTIFYING.fullmatch(field)
        if match is not None and value is not None:
            first = seen.setdefault((match[2], value), match[1])
            if first != match[1]:
                yield Violation(field, f"is that of {first} already")


def local_issuer_name(origin: str) -> str:
    """Return the claim `iss` of tokens from the own issuer of the server of this origin."""
    return f"https://{origin}/local"


def certificate_issuer_name(origin: str) -> str:
    """Return what stands for the claim `iss` of callers of this origin's server that are known by their certificate."""
    return f"https://{origin}/certificates"
