"""Fuzzing, guided by coverage, of whatever parses bytes from elsewhere: `make fuzz ARGS="filters --seconds 600"`.

Each parser runs in a process of its own, for a bounded time, fed by libFuzzer (atheris), which keeps inputs that reach
code that none reached before. One that raises what it may not, hangs or takes too much memory is kept in `.fuzz/`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOUND = ROOT / ".fuzz"
SLOW_S = 10
MEMORY_MB = 2_048
MAX_BYTES = 65_536
_PACKAGES = ["auditd", "auditd_client", "lark"]


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """Feed one parser; never returns, as libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=_PACKAGES):
        from auditd.server import make_folder
        from tests.parsers import PARSERS, require_answer

    folder = corpus.parent / "server"
    make_folder(folder, "audit.example.com")
    parser = PARSERS[name]
    (corpus / "sound").write_bytes(parser.sound(folder))
    one_input: Callable[[bytes], None] = lambda data: require_answer(parser, data, folder)  # noqa: E731 - for atheris
    limits = {"max_total_time": seconds, "timeout": SLOW_S, "rss_limit_mb": MEMORY_MB, "max_len": MAX_BYTES}
    prefix = FOUND / re.sub(r"\W+", "-", name)
    flags = [f"-{limit}={value}" for limit, value in limits.items()]
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={prefix}-", "-print_final_stats=1", str(corpus)], one_input)
    atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Fuzz one parser in a process of its own; say what came of it, and return whether it held."""
    with tempfile.TemporaryDirectory() as made:
        corpus = Path(made) / "corpus"
        corpus.mkdir()
        command = [sys.executable, "-m", "tests.guided_fuzzing", "--only", str(corpus), "--seconds", str(seconds), name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        inputs = len(list(corpus.iterdir()))
    executed = re.search(r"number_of_executed_units:\s+(\d+)", done.stderr)
    count = int(executed[1]) if executed else 0
    outcome = "held" if done.returncode == 0 else f"DID NOT HOLD ({done.returncode})"
    print(f"{name:36} {count:>9,} inputs tried, {inputs:>5,} reach code of their own: {outcome}", flush=True)  # noqa: T201
    if done.returncode:
        print(done.stderr[-6_000:], flush=True)  # noqa: T201
    return done.returncode == 0


def main() -> None:
    """Fuzz the parsers named, or all of them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="PARSER")
    arguments.add_argument("--seconds", type=int, default=60, help="for each of them")
    arguments.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.only is not None:
        fuzz(chosen.names[0], chosen.seconds, chosen.only)
    from tests.parsers import PARSERS

    unknown = sorted({*chosen.names} - PARSERS.keys())
    if unknown:
        arguments.error(f"no parser is called {unknown[0]!r}; there are: {', '.join(PARSERS)}")
    FOUND.mkdir(exist_ok=True)
    held = {name: run(name, chosen.seconds) for name in chosen.names or PARSERS}
    sys.exit(not all(held.values()))


if __name__ == "__main__":
    main()
