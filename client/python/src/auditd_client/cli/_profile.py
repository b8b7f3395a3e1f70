"""Profiles: settings by name, in one TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditd_client.cli._errors import CommandError

DEFAULT_PROFILE = "default"

_TEXTS = ("address", "token", "token_file", "ca", "certificate", "private_key", "key", "log")
_PATHS = ("token_file", "ca", "certificate", "private_key")
_FLAGS = ("insecure",)


def profile_path() -> Path:
    """Return where the profile file lies: in `$XDG_CONFIG_HOME`, or `~/.config` without it."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "auditlog" / "config.toml"


def read_profile(name: str | None) -> Mapping[str, Any]:
    """Return the settings of `[profiles.NAME]`; without a name those of `default`, if there are any.

    Paths are taken from the file's own folder. Raises CommandError for a named profile that is missing, a
    file that is no TOML, and settings that are unknown or of the wrong type.
    """
    path = profile_path()
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if name is None:
            return {}
        raise CommandError(f"profile {name!r}: there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: no UTF-8 at byte {error.start}") from error
    try:
        profiles = tomllib.loads(text).get("profiles", {})
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{path}: {error}") from error
    if not isinstance(profiles, dict):
        raise CommandError(f"{path}: profiles is no table")
    wanted = name or DEFAULT_PROFILE
    if wanted not in profiles:
        if name is None:
            return {}
        known = ", ".join(map(repr, profiles)) or "none"
        raise CommandError(f"{path}: no profile {name!r}; it has {known}")
    return _checked(profiles[wanted], f"{path}: profiles.{wanted}", path.parent)


def _checked(profile: object, place: str, folder: Path) -> Mapping[str, Any]:
    if not isinstance(profile, dict):
        raise CommandError(f"{place} is no table")
    for setting, value in profile.items():
        if setting not in (*_TEXTS, *_FLAGS):
            raise CommandError(f"{place}.{setting}: unknown setting; known are {', '.join((*_TEXTS, *_FLAGS))}")
        expected = bool if setting in _FLAGS else str
        if type(value) is not expected:
            raise CommandError(f"{place}.{setting}: expected {'true or false' if expected is bool else 'text'}")
    return {name: str(folder / value) if name in _PATHS else value for name, value in profile.items()}
