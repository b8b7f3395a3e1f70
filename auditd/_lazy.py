"""Front doors whose rooms are entered only when somebody goes there (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`: it imports each of the names in `modules` from the module given there.

    A command then waits only for what it needs, not for all of a server.
    """

    def get(name: str) -> Any:  # noqa: ANN401 -- whatever has that name
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
