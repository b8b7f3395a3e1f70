"""What an entry must have, put together of parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AllOf(Generic[T]):
    """What fulfils every part."""

    parts: tuple[Need[T], ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Generic[T]):
    """What fulfils one part at least."""

    parts: tuple[Need[T], ...]


Need: TypeAlias = AllOf[T] | AnyOf[T] | T
