"""The configuration page names every setting with its default, and no other."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from auditd.errors import ConfigError
from auditd.identity import CertificateConfig, ClaimMapping, IssuerConfig
from auditd.server import load_config
from auditd.server._config import (
    DEFAULT_LISTEN,
    FORMAT,
    Config,
    HttpSettings,
    IndexSettings,
    LimitSettings,
    LocalIssuerSettings,
    LoggingSettings,
    TlsSettings,
    TracingSettings,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
TABLES = {"tls", "local_issuer", "issuers", "certificates", "index", "limits", "http", "logging", "tracing"}
NOT_SET_BY_ITSELF = {"folder", "text"} | TABLES


def documented(heading: str) -> dict[str, str]:
    """Return setting and default of each row in a section."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+?) \| [^|]+ \|$", section, re.MULTILINE))


def shown(value: object) -> str:
    """Write a default as the page does."""
    if value is MISSING:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f"{value:,}"
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return f"`{value}`"


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("`[tls]`", TlsSettings),
        ("`[[certificates]]`", CertificateConfig),
        ("`[local_issuer]`", LocalIssuerSettings),
        ("`[[issuers]]`", IssuerConfig),
        ("`[issuers.claims]`", ClaimMapping),
        ("`[index]`", IndexSettings),
        ("`[limits]`", LimitSettings),
        ("`[http]`", HttpSettings),
        ("`[logging]`", LoggingSettings),
        ("`[tracing]`", TracingSettings),
    ],
)
def test_each_table_is_described_with_its_defaults(heading, kind):
    defaults = {item.name: shown(item.default) for item in fields(kind)}
    if kind is IssuerConfig:
        defaults["audience"] = "the server's"
        # Tables, which have sections of their own.
        del defaults["claims"], defaults["roles"]
    described = {name: default.partition(" (")[0] for name, default in documented(heading).items()}
    assert described == defaults


def test_each_limit_takes_what_the_page_says_and_no_more(tmp_path):
    section = PAGE.split("\n## `[limits]`\n")[1].split("\n## ")[0]
    whole = r"([\d,]+)"
    most = re.search(f"at least 1, and at most {whole}, of bytes {whole} .*, of seconds {whole} ", section)
    otherwise = {"": most[1], "_bytes": most[2], "_s": most[3]}
    for item in fields(LimitSettings):
        row = re.search(rf"^\| `{item.name}` \|.*$", section, re.MULTILINE)[0]
        ends = re.search(rf"[.,] {whole} to {whole}\b", row)
        kind = next(kind for kind in ("_bytes", "_s", "") if item.name.endswith(kind))
        low, high = (int(end.replace(",", "")) for end in (ends.groups() if ends else ("1", otherwise[kind])))
        for value in (low - 1, low, high, high + 1):
            (tmp_path / "auditd.toml").write_text(f'format = 1\norigin = "a.example"\nlimits.{item.name} = {value}\n')
            if low <= value <= high:
                load_config(tmp_path)
                continue
            with pytest.raises(ConfigError, match=rf"toml:3: limits.{item.name}: {value}, expected {low} to {high}"):
                load_config(tmp_path)


def test_the_servers_own_settings_are_described():
    names = {item.name for item in fields(Config)} - NOT_SET_BY_ITSELF | {"format"}
    described = documented("Server")
    assert set(described) == names
    assert described["listen"] == f"`{DEFAULT_LISTEN}`"
    assert "version of the folder's format: 1" in PAGE
    assert FORMAT == 1


def test_the_example_is_accepted(tmp_path):
    example = re.search(r"<!-- config -->\n```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert example is not None
    (tmp_path / "auditd.toml").write_text(example[1])
    config = load_config(tmp_path)
    assert (config.issuers[0].claims.roles, config.local_issuer.enabled) == (("realm_access", "roles"), False)
