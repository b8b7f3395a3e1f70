"""The commands of `auditlog` that need a server folder."""

from typing import TYPE_CHECKING

from auditd._lazy import lazy as _lazy

if TYPE_CHECKING:
    from auditd.cli._backup import backup
    from auditd.cli._check import check
    from auditd.cli._clock import clock
    from auditd.cli._init import init
    from auditd.cli._log import log
    from auditd.cli._serve import serve
    from auditd.cli._token import issue_from_folder

__all__ = ["backup", "check", "clock", "init", "issue_from_folder", "log", "serve"]

__getattr__ = _lazy(
    __name__,
    {
        "backup": "_backup",
        "check": "_check",
        "clock": "_clock",
        "init": "_init",
        "issue_from_folder": "_token",
        "log": "_log",
        "serve": "_serve",
    },
)
