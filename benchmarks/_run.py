"""One run: every figure beside its limit, both taken within minutes on the same machine."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
from rich.console import Console

from benchmarks._append import Subject
from benchmarks._events import CLOUDTRAIL_FOLDER, cloudtrail_events, small_events
from benchmarks._noop import running_noop_server
from benchmarks._report import Figure, as_json, as_markdown, print_tables
from benchmarks._suite import Settings, Suite
from demo._server import running_server

FULL = Settings(rounds=3, load_s=3.0, raw_rows=50_000, import_copies=10, floor_leaves=11_600, stage_batches=30)
QUICK = Settings(rounds=1, load_s=1.0, raw_rows=20_000, import_copies=4, floor_leaves=2_900, stage_batches=10)
RESULTS = Path(__file__).resolve().parent / "results"
ORIGIN = "audit.example.com"


def main() -> None:
    """Measure, print the table, and keep JSON and Markdown in `benchmarks/results`."""
    options = _options()
    console = Console(stderr=options.output == "json", width=None if sys.stdout.isatty() else 160)
    about = about_this_machine(quick=options.quick)
    started = time.perf_counter()
    with TemporaryDirectory(prefix="auditlog-bench-", dir=options.scratch) as scratch:
        figures = measure(Path(scratch), options.data, QUICK if options.quick else FULL, console)
    about["seconds"] = round(time.perf_counter() - started)
    keep("latest", figures, about)
    if options.output == "json":
        print(as_json(figures, about))
    else:
        print_tables(figures, about, console)


def measure(scratch: Path, data: Path, settings: Settings, console: Console) -> list[Figure]:
    """Run everything in a scratch folder, whose disk is the one that is measured."""
    with (
        running_noop_server() as noop,
        running_server(scratch / "small", ORIGIN) as small,
        running_server(scratch / "cloudtrail", ORIGIN) as cloudtrail,
    ):
        suite = Suite(
            Subject(small, small_events()),
            Subject(cloudtrail, cloudtrail_events(data)),
            noop,
            scratch,
            data,
            settings,
            lambda text: console.print(text, style="dim", highlight=False),
        )
        return suite.run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round instead of the best of three, shorter loads")
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="what to print; default %(default)s"
    )
    parser.add_argument("--data", type=Path, default=CLOUDTRAIL_FOLDER, help="folder of CloudTrail files")
    parser.add_argument("--scratch", type=Path, help="where to put the servers' folders: the disk to measure")
    return parser.parse_args()


def about_this_machine(*, quick: bool) -> dict[str, Any]:
    """Return what a run was made on."""
    return {
        "auditd": version("auditd"),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "grpc": version("grpcio"),
        "quick": quick,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def keep(name: str, figures: list[Figure], about: dict[str, Any]) -> None:
    """Write a run to `benchmarks/results`, as JSON and as Markdown."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(as_json(figures, about), encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(as_markdown(figures), encoding="utf-8")
