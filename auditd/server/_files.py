"""Open files, of which each connection needs one."""

from __future__ import annotations

import resource

from auditd.errors import FolderError

FEWEST_FILES = 256
"""What a server of three logs needs before anyone calls is half of it."""


def allow_many_files() -> None:
    """Let the process open as many files as the system lets it: the usual limit of 1,024 would be used up soon.

    Raises FolderError where that is too few: what cannot be opened then would be said to be at fault.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FEWEST_FILES:
        raise FolderError(
            "TOO_FEW_FILES",
            f"the system lets this process open {most} files, a server needs {FEWEST_FILES}, one more a connection; "
            "raise the limit: ulimit -n, or LimitNOFILE of the service",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
