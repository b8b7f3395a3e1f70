"""Whatever bytes come in, what parses them answers, or refuses with an error of its own; nothing else gets out.

Each parser is fed what it takes, with pieces changed, cut out, doubled or put in: 50 examples each in `make test`,
and in `make test-all` 2,000.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditd.server import make_folder
from tests.parsers import PARSERS, Parser, require_answer

PIECES = [
    b"\0",
    b"\xff",
    b"\n",
    b'"',
    b"{",
    b"[" * 5_000,
    b"\\ud800",
    b"-",
    b"9" * 400,
    b"e99999",
    b"\xe2\x80\xae",
    b"=",
]


def mutated(sound: bytes, seed: int, many: int) -> bytes:
    """Return bytes with some pieces changed, cut out, doubled or put in."""
    choose, data = random.Random(seed), bytearray(sound)
    for _ in range(many):
        start = choose.randrange(len(data) + 1)
        end = min(len(data), start + choose.choice([0, 1, 1, 4, 40]))
        piece = choose.choice([*PIECES, bytes(data[start:end]) * 2, bytes([choose.randrange(256)]), b""])
        data[start:end] = piece
    return bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("fuzzed") / "server"
    make_folder(made, "audit.example.com")
    return made


def fuzz(parser: Parser, folder: Path, examples: int) -> None:
    sound = parser.sound(folder)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(st.integers(0, 2**32), st.integers(1, 6), st.one_of(st.just(sound), st.binary(max_size=300)))
    def run(seed: int, many: int, start: bytes) -> None:
        require_answer(parser, mutated(start, seed, many), folder)

    run()


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
def test_bytes_changed_at_random_are_answered(parser, folder):
    fuzz(parser, folder, 50)


@pytest.mark.soak
@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
def test_bytes_changed_at_random_many_times_are_answered(parser, folder):
    fuzz(parser, folder, 2_000)
