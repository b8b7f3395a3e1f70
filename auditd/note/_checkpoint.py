"""Checkpoints: C2SP tlog-checkpoint."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from auditd.note._errors import NoteError
from auditd.note._strict import MAX_SIZE, broken_text_rule, quote, read_base64, read_size

_ROOT_SIZE: Final = 32
_EMPTY_ROOT: Final = sha256(b"").digest()
_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its origin, its size in leaves, and the root of its tree, 32 bytes.

    `extensions` are lines of a foreign log's checkpoint beyond the three; opaque, and none in our own. Raises
    ValueError if the text would not be that of a checkpoint.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, line in (("origin", self.origin), *(("extension", line) for line in self.extensions)):
            if not line or "\n" in line or broken_text_rule(line):
                raise ValueError(f"{name}: {quote(line)} is not one non-empty line")
        if not 0 <= self.size <= MAX_SIZE:
            raise ValueError(f"size: {self.size} is not within 0..{MAX_SIZE}")
        if len(self.root) != _ROOT_SIZE:
            raise ValueError(f"root: {len(self.root)} bytes, must be {_ROOT_SIZE}")
        if not self.size and self.root != _EMPTY_ROOT:
            raise ValueError(f"root: {self.root.hex()} is not that of the empty tree")

    def text(self) -> str:
        """Return the text to sign."""
        root = b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text; raise NoteError `MALFORMED_CHECKPOINT`, which names the line and the rule.

        The origin is the signer's word: compare it with the one expected.
        """
        broken = broken_text_rule(text)
        if broken:
            raise _malformed(broken)
        if not text.endswith("\n"):
            raise _malformed("does not end in a newline")
        lines = text.removesuffix("\n").split("\n")
        if "" in lines:
            raise _malformed(f"line {lines.index('') + 1} is empty")
        if len(lines) < _LINES:
            raise _malformed(f"has {len(lines)} lines, must have at least {_LINES}")
        origin, size_text, root_text, *extensions = lines
        try:
            size = read_size(size_text)
        except ValueError as error:
            raise _malformed(f"line 2: the size {quote(size_text)} is {error}") from error
        return cls(origin, size, _read_root(root_text, size), tuple(extensions))


def _read_root(text: str, size: int) -> bytes:
    try:
        root = read_base64(text)
    except ValueError as error:
        raise _malformed(f"line 3: the root {quote(text)} is not canonical base64") from error
    if len(root) != _ROOT_SIZE:
        raise _malformed(f"line 3: the root has {len(root)} bytes, must be {_ROOT_SIZE}")
    if not size and root != _EMPTY_ROOT:
        raise _malformed(f"line 3: the size is 0, but the root {quote(text)} is not that of the empty tree")
    return root


def _malformed(rule: str) -> NoteError:
    return NoteError("MALFORMED_CHECKPOINT", f"checkpoint: {rule}")
