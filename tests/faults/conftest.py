"""Real server processes, driven into faults."""

from __future__ import annotations

from tests.system.conftest import make_server, serve_folder

__all__ = ["make_server", "serve_folder"]
