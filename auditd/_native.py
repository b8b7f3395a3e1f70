"""The optional native code of the hot paths: `auditd_native`, or None.

Every function of it has a Python reference that gives the same bytes, and only that one refuses anything. The
reference alone runs where the package is not installed, and where `AUDITD_NATIVE=0` asks for it.
"""

from __future__ import annotations

import logging
import os
from types import ModuleType
from typing import TYPE_CHECKING

_NAMES = frozenset(
    {
        *("AppendBatch", "Dictionaries", "LIMITS", "Sieve", "append_response", "are_attributes", "check_leaves"),
        *("entry_fields", "leaf_hashes", "make_run", "merge_runs", "parent_row", "read_append", "read_leaves"),
        *("sift_leaves", "sign_leaves"),
    }
)
"""What is used of it: a build that lacks some of these is of another release."""

if TYPE_CHECKING:
    import auditd_native as native
else:
    native: ModuleType | None = None
    if os.environ.get("AUDITD_NATIVE", "1") != "0":
        try:
            import auditd_native as native
        except ImportError:
            native = None
        if native is not None and (missing := _NAMES - set(dir(native))):
            logging.getLogger(__name__).warning(
                "the native code is of another release (it lacks %s), so Python does its work: run make again",
                ", ".join(sorted(missing)),
            )
            native = None

__all__ = ["available", "native"]


def available() -> bool:
    """Tell whether the native code is used."""
    return native is not None
