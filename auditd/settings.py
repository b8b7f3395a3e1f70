"""Settings as frozen dataclasses: each field's rule stands beside its default, and every mistake is found at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from auditd.errors import ConfigError, Violation

Reader = Callable[[object], Any]
"""Returns a setting's value from what the file has; raises ValueError with the broken rule. A value that was
read already is taken as it is."""

T = TypeVar("T")
_READ, _KIND = "read", "kind"


def setting(default: Any, read: Reader) -> Any:  # noqa: ANN401 -- as `dataclasses.field`
    """Declare a field of a settings class; `MISSING` as `default` makes it required."""
    return field(default=default, metadata={_READ: read})


def table(kind: type[T]) -> T:
    """Declare a field that is a table of its own; absent, it has the defaults of `kind`."""
    return field(default_factory=kind, metadata={_READ: _instance(kind), _KIND: kind})


def optional_table(kind: type[T]) -> T | None:
    """Declare a field that is a table of its own, or None."""
    return field(default=None, metadata={_READ: optional(_instance(kind)), _KIND: kind})


def tables(kind: type[T]) -> tuple[T, ...]:
    """Declare a field that is an array of tables."""
    return field(default=(), metadata={_READ: _tuple_of(kind), _KIND: kind})


class SettingsTable(Protocol):
    """A settings class whose fields depend on each other says so in `violations_together`."""

    @staticmethod
    def violations_together(values: Mapping[str, Any]) -> Iterable[Violation]:
        """Return what is wrong between settings, defaults included; `values` lacks those wrong in themselves."""


def check_settings(instance: object, reason: str, about: str = "") -> None:
    """Hold a settings object that code made against its own rules.

    Raises ConfigError: with `reason`, and a violation for each mistake; `about` begins the message.
    """
    reading = Reading()
    values = {item.name: getattr(instance, item.name) for item in fields(instance) if _READ in item.metadata}  # type: ignore[arg-type]  # a dataclass
    good = _read_fields(type(instance), values, "", Path(), reading)
    found = reading.mistakes
    _add_together(type(instance), good, "", found)
    if found:
        raise ConfigError(reason, [f"{about}{one.field}: {one.description}" for one in found], found)


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading settings found: mistakes, and by their full names the values that are right in themselves."""

    mistakes: list[Violation] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


def read_table(
    kind: type[T], source: Mapping[str, object], where: str, base: Path, reading: Reading, **more: object
) -> T | None:
    """Return the settings that `source` holds, or None where there is a mistake; add what was found to `reading`.

    `where` stands before the names of settings, such as `issuers[0].`; relative paths start at `base`; `more`
    are fields that are no settings.
    """
    found = reading.mistakes
    before = len(found)
    known = {item.name for item in fields(kind) if _READ in item.metadata}  # type: ignore[arg-type]  # a dataclass
    problem = f"is no setting; known are {', '.join(sorted(known))}"
    found += [Violation(where + name, problem) for name in source if name not in known]
    values = _read_fields(kind, source, where, base, reading)
    absent = {
        item.name: item.default
        for item in fields(kind)  # type: ignore[arg-type]  # a dataclass
        if item.name not in source and item.default is not MISSING
    }
    _add_together(kind, absent | values, where, found)
    return None if len(found) > before else kind(**values, **more)


def _read_fields(
    kind: type[Any], source: Mapping[str, object], where: str, base: Path, reading: Reading
) -> dict[str, Any]:
    found = reading.mistakes
    values: dict[str, Any] = {}
    for item in fields(kind):
        if _READ not in item.metadata:
            continue
        name = item.name
        if name not in source:
            if item.default is MISSING and item.default_factory is MISSING:
                found.append(Violation(where + name, "is missing"))
            continue
        try:
            value = _read(item, source[name], where + name, base, reading)
        except ValueError as error:
            found.append(Violation(where + name, str(error)))
            continue
        if value is None and (_KIND in item.metadata or item.default is not None):
            continue  # a table with a mistake in it, or what stands for the default
        values[name] = base / value if isinstance(value, Path) else value
        reading.values[where + name] = values[name]
    return values


def _read(item: Field[Any], value: object, where: str, base: Path, reading: Reading) -> Any:  # noqa: ANN401 -- of any type
    kind = item.metadata.get(_KIND)
    if kind is not None and isinstance(value, dict):
        return read_table(kind, value, f"{where}.", base, reading)
    if kind is not None and isinstance(value, list) and item.default == ():
        read: list[Any] = []
        for number, one in enumerate(value):
            if isinstance(one, dict):
                read.append(read_table(kind, one, f"{where}[{number}].", base, reading))
            else:
                reading.mistakes.append(Violation(f"{where}[{number}]", "must be a table"))
        return tuple(read)  # None for one with a mistake: the numbers of the others count
    return item.metadata[_READ](value)


def _add_together(kind: type[Any], values: Mapping[str, Any], where: str, found: list[Violation]) -> None:
    together = getattr(kind, "violations_together", None)
    if together is not None:
        found += [Violation(where + one.field, one.description) for one in together(values)]


def _instance(kind: type[Any]) -> Reader:
    def read(value: object) -> Any:  # noqa: ANN401 -- of `kind`
        if not isinstance(value, kind):
            raise ValueError("must be a table")
        return value

    return read


def _tuple_of(kind: type[Any]) -> Reader:
    def read(value: object) -> Any:  # noqa: ANN401 -- a tuple of `kind`
        if not isinstance(value, tuple) or not all(isinstance(one, kind) for one in value):
            raise ValueError("must be an array of tables")
        return value

    return read


# Readers


def optional(read: Reader) -> Reader:
    """Take None as well, as the default that stands for something else."""
    return lambda value: None if value is None else read(value)


def whole(low: int, high: int | None = None) -> Reader:
    """Read a whole number from `low` to `high`, both included."""
    expected = f"must be at least {low}" if high is None else f"expected {low} to {high}"

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{value!r}, must be a whole number")
        if value < low or (high is not None and value > high):
            raise ValueError(f"{value}, {expected}")
        return value

    return read


def read_flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r}, must be true or false")
    return value


def read_text(value: object) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r}, must be text")
    return value


def one_of(*words: str) -> Reader:
    """Read one of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{value!r}, must be one of {', '.join(words)}")
        return value

    return read


def read_path(value: object) -> Path:
    """Read the path of a file or folder."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{value!r}, must be a path")
    return Path(value)
