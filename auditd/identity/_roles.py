"""What callers may do: permissions, and the built-in roles that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# Nobody appends to these two, and only roles that say so read them.
SYSTEM_LOGS = frozenset({"control", "access"})


def is_system(log: str) -> bool:
    """Whether a log is `control` or `access`, or of the chain of one of them, such as `access~2`."""
    return log.partition("~")[0] in SYSTEM_LOGS


class Permission(StrEnum):
    """Something a caller may be allowed to do with a log."""

    APPEND = "append"
    IMPORT = "import"
    GET = "get"
    QUERY = "query"
    PROVE = "prove"
    CHECKPOINT = "checkpoint"
    ADMINISTER = "administer"
    BACK_UP = "back_up"


_WRITE = frozenset({Permission.APPEND, Permission.IMPORT})
_READ = frozenset({Permission.GET, Permission.QUERY, Permission.CHECKPOINT})
_AUDIT = _READ | {Permission.PROVE}


@dataclass(frozen=True, slots=True)
class Permissions:
    """A set of permissions, by the kind of log: `ordinary` ones, and `system` for `control` and `access`."""

    ordinary: frozenset[Permission] = frozenset()
    system: frozenset[Permission] = frozenset()

    def allow(self, permission: Permission, log: str) -> bool:
        """Whether `permission` is held for the log of this name."""
        return permission in (self.system if is_system(log) else self.ordinary)

    def __or__(self, other: Permissions) -> Permissions:
        return Permissions(self.ordinary | other.ordinary, self.system | other.system)

    def __bool__(self) -> bool:
        return bool(self.ordinary or self.system)


# `administer` and `back_up` are of the whole server, and held for the log `control`.
# `import` allows old events only together with `append`.
ROLES: dict[str, Permissions] = {
    "writer": Permissions(frozenset({Permission.APPEND})),
    "importer": Permissions(_WRITE),
    "reader": Permissions(_READ),
    "auditor": Permissions(_AUDIT, _AUDIT),
    "backup": Permissions(system=frozenset({Permission.BACK_UP})),
    "admin": Permissions(_WRITE | _AUDIT, _AUDIT | {Permission.ADMINISTER, Permission.BACK_UP}),
}


def permissions_of(roles: Iterable[str]) -> Permissions:
    """Return all that the built-in roles among `roles` allow together; unknown roles give nothing."""
    permissions = Permissions()
    for role in roles:
        permissions |= ROLES.get(role, Permissions())
    return permissions


def roles_allowing(permission: Permission, log: str) -> tuple[str, ...]:
    """Return the names of the built-in roles that would allow `permission` on the log of this name."""
    return tuple(name for name, permissions in ROLES.items() if permissions.allow(permission, log))
