"""`auditlog serve`: run a server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditd.cli._errors import folder_errors
from auditd_client.cli import shown

if TYPE_CHECKING:
    from auditd.server import Addresses


@click.command("serve")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Address to listen on; port 0 takes a free one.  [default: as in auditd.toml]",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Answer /metrics, /healthz and /readyz there; port 0 takes a free one.  [default: as in auditd.toml, or off]",
)
@click.option("--insecure", is_flag=True, help="Allow plaintext on an address other than loopback.")
@click.option(
    "--check-config",
    is_flag=True,
    help="Only say what is wrong with auditd.toml and the files it names, with file, line and key of every mistake.",
)
def serve(folder: Path, listen: str | None, http: str | None, insecure: bool, check_config: bool) -> None:
    """Run a server on the folder DIR until it is told to stop (SIGTERM, Ctrl-C, SIGHUP).

    Before it signs anything it verifies that the evidence extends all that was signed. It refuses to start where that
    does not hold, and says what is missing.
    """
    # The server forks only to become another program at once, and what gRPC does on a fork can end it before it has.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from auditd.server import configure_logging, load_config
    from auditd.server import serve as run

    if check_config:
        _check_config(folder, insecure=insecure)
        return
    with folder_errors():
        config = load_config(folder)
        configure_logging(config.logging, sys.stderr)
        ready = _ready_event if config.logging.format == "json" else _ready
        run_to_end = _runner()
        run_to_end(run(config, listen or config.listen, insecure=insecure, ready=ready, http=http))


def _check_config(folder: Path, *, insecure: bool) -> None:
    from auditd.server import check_config

    with folder_errors():
        checked = check_config(folder, insecure=insecure)
    for note in checked.notes:
        click.echo(f"note: {shown(note)}")
    click.echo(f"{shown(str(checked.config.path))}: no mistakes")


def _ready(addresses: Addresses) -> None:
    for address in addresses.grpc[1:]:
        click.echo(f"clients without a certificate: {address}", err=True)
    if addresses.http is not None:
        click.echo(f"metrics and health: http://{addresses.http}", err=True)
    click.echo(f"auditd is ready on {addresses.grpc[0]}", err=True)


def _ready_event(addresses: Addresses) -> None:
    from auditd.server import event_logger

    event_logger("auditlog").info("ready", grpc=list(addresses.grpc), http=addresses.http)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:  # not made for every platform
        return asyncio.run
    return uvloop.run
