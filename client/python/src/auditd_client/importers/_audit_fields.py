"""The fields of one Linux audit record, decoded: quotes, hex, socket addresses, and what the daemon added in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

_FIELD = re.compile(r"""([A-Za-z_][\w.\-]{0,63}(?:\[\d{1,6}\])?)=("[^"]*"|'[^']*'|[^\s"']\S*|)""", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-F]{2})+", re.ASCII)
_ACCESS_VECTOR = re.compile(r"avc:\s+(denied|granted)\s+\{([^}]*)\}")
_ARGUMENT = re.compile(r"a(\d{1,6})(?:\[(\d{1,6})\])?", re.ASCII)
_IN_WORDS = "\x1d"

# Fields that may hold any bytes: quoted if they are harmless, else in hex.
_ENCODED = frozenset(
    (
        "acct", "cmd", "comm", "cwd", "data", "dir", "exe", "file", "grp", "id", "invalid_context", "key", "name",
        "new_group", "ocomm", "path", "proctitle", "sw", "unit", "vm", "watch", "root_dir",
    )
)  # fmt: skip
_FAMILIES = {1: "local", 2: "inet", 10: "inet6", 16: "netlink", 17: "packet"}


def read_fields(kind: str, text: str) -> dict[str, str]:
    """Return the fields of a record of a kind such as `SYSCALL`, in their order; the first of a name holds."""
    fields: dict[str, str] = {}
    said, _, in_words = text.partition(_IN_WORDS)
    if (vector := _ACCESS_VECTOR.match(said)) is not None:
        fields |= {"seresult": vector[1], "seperms": " ".join(vector[2].split())}
    for name, value in _pairs(said):
        if name in fields:
            continue
        if name == "saddr" and kind == "SOCKADDR":
            fields |= _socket_address(value)
        fields[name] = _decoded(kind, name, value)
    for name, value in _pairs(in_words):
        fields.setdefault(name, _unquoted(value))
    return fields


def executed(fields: Mapping[str, str]) -> list[str]:
    """Return the arguments that a record EXECVE names; long ones come in pieces."""
    found: dict[int, dict[int, str]] = {}
    for name, value in fields.items():
        if (match := _ARGUMENT.fullmatch(name)) is not None:
            found.setdefault(int(match[1]), {})[int(match[2] or 0)] = value
    return ["".join(pieces[at] for at in sorted(pieces)) for _, pieces in sorted(found.items())]


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values as written; those within msg='...' stand among the others."""
    for match in _FIELD.finditer(text):
        if match[1] == "msg" and match[2].startswith("'"):
            yield from _pairs(match[2][1:-1])
        else:
            yield match[1], match[2]


def _decoded(kind: str, name: str, value: str) -> str:
    if value.startswith(('"', "'")):
        return _unquoted(value)
    is_encoded = name in _ENCODED or (kind == "EXECVE" and _ARGUMENT.fullmatch(name) is not None)
    if not is_encoded or _HEX.fullmatch(value) is None:
        return value
    data = bytes.fromhex(value)
    if name == "proctitle":
        data = data.rstrip(b"\0").replace(b"\0", b" ")
    return data.decode("utf-8", "backslashreplace")


def _unquoted(value: str) -> str:
    return value[1:-1] if value.startswith(('"', "'")) else value


def _socket_address(value: str) -> dict[str, str]:
    """Return what a struct sockaddr of a little-endian machine says; nothing if it is none."""
    if _HEX.fullmatch(value) is None or len(value) < 4:
        return {}
    data = bytes.fromhex(value)
    family = int.from_bytes(data[:2], "little")
    found = {"saddr_fam": _FAMILIES.get(family, str(family))}
    if family == 1:
        found["path"] = data[2:].partition(b"\0")[0].decode("utf-8", "backslashreplace")
    elif family == 2 and len(data) >= 8:
        found |= {"laddr": str(IPv4Address(data[4:8])), "lport": str(int.from_bytes(data[2:4], "big"))}
    elif family == 10 and len(data) >= 24:
        found |= {"laddr": str(IPv6Address(data[8:24])), "lport": str(int.from_bytes(data[2:4], "big"))}
    return found
