"""Open files, of which each connection needs one."""

from __future__ import annotations

import resource


def allow_many_files() -> None:
    """Let the process open as many files as the system lets it: the usual limit of 1,024 would be used up soon."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
