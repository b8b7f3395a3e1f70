"""The optional native code of the hot paths: `auditd_native`, or None.

Every function of it has a Python reference that gives the same bytes, and only that one refuses anything. The
reference alone runs where the package is not installed, and where `AUDITD_NATIVE=0` asks for it.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import auditd_native as native
else:
    native: ModuleType | None = None
    if os.environ.get("AUDITD_NATIVE", "1") != "0":
        try:
            import auditd_native as native
        except ImportError:
            native = None

__all__ = ["available", "native"]


def available() -> bool:
    """Tell whether the native code is used."""
    return native is not None
