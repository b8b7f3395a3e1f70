"""Which claims of an issuer's tokens say what: every provider has its own names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from auditd.identity._roles import ROLES
from auditd.identity._strict import check_name, shown
from auditd.settings import optional, setting

ClaimPath: TypeAlias = tuple[str, ...]
"""The names that lead to a claim: `("realm_access", "roles")` is the member `roles` of the claim `realm_access`."""

MAX_CLAIM_NAME_BYTES = 512
_MAX_STEPS = 8


def claim_path(value: object) -> ClaimPath:
    """Read a path: text is parted at dots; an array has the names one by one, for names that hold dots.

    Raises ValueError: with the broken rule.
    """
    if isinstance(value, str):
        value = value.split(".")
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be text, or an array of names")
    if len(value) > _MAX_STEPS:
        raise ValueError(f"{len(value)} names, limit {_MAX_STEPS}")
    return tuple(check_name(name, MAX_CLAIM_NAME_BYTES) for name in value)


def path_text(path: ClaimPath) -> str:
    """Return a path as messages show it."""
    return ".".join(path)


def role_names(value: object) -> tuple[str, ...]:
    """Read one of our roles, or an array of them; raise ValueError for a role that does not exist."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise ValueError("must be a role, or an array of roles")
    for name in names:
        if name not in ROLES:
            raise ValueError(f"{shown(name)} is none of {', '.join(ROLES)}")
    return tuple(names)


def role_mapping(value: object) -> Mapping[str, tuple[str, ...]]:
    """Read a table from the provider's role names to ours; raise ValueError with the broken rule."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a table")
    mapping: dict[str, tuple[str, ...]] = {}
    for theirs, ours in value.items():
        try:
            mapping[theirs] = role_names(ours)
        except ValueError as error:
            raise ValueError(f"{shown(theirs)}: {error}") from error
    return mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMapping:
    """Where an issuer's tokens say what; None: they do not.

    subject: who the token is about: text of at most 256 bytes; required in every token.
    roles: an array of text, or text with a space between names, as `scope` has it (RFC 6749 section 3.3).
    session: the session in which it was issued: text of at most 256 bytes.
    tenant: the tenant whose user it is about: text of at most 128 bytes.
    method: how the user had signed in: text, or an array of text (RFC 8176), at most 64 bytes together.
    """

    subject: ClaimPath = setting(("sub",), claim_path)
    roles: ClaimPath = setting(("roles",), claim_path)
    session: ClaimPath | None = setting(("sid",), optional(claim_path))
    tenant: ClaimPath | None = setting(None, optional(claim_path))
    method: ClaimPath | None = setting(("amr",), optional(claim_path))


def find_claim(claims: Mapping[str, object], path: ClaimPath, absent: object = None) -> object:
    """Return what a path leads to, or `absent` where a name on it is not there.

    Raises ValueError: when a name on the way is no object.
    """
    value: object = claims
    for number, name in enumerate(path):
        if not isinstance(value, Mapping):
            raise ValueError(f"{shown(path_text(path[:number]))} is no object")
        if name not in value:
            return absent
        value = value[name]
    return value


def map_roles(roles: Iterable[str], mapping: Mapping[str, tuple[str, ...]] | None) -> tuple[str, ...]:
    """Return our names of a provider's roles, each once.

    Without a mapping names are taken as they are. With one, only what it names counts: a provider's own
    `admin` must not become ours by its name.
    """
    if mapping is None:
        return tuple(roles)
    return tuple(dict.fromkeys(ours for theirs in roles for ours in mapping.get(theirs, ())))
