"""Randomness that can be played again: the seed is printed, and taken from FAULTS_SEED if that is set."""

from __future__ import annotations

import os
import random
import sys


def seeded(name: str) -> random.Random:
    """Return a generator for a test, and print how to have the same again."""
    seed = int(os.environ.get("FAULTS_SEED", "") or random.SystemRandom().randrange(1 << 32))
    sys.stderr.write(f"{name}: FAULTS_SEED={seed}\n")
    return random.Random(seed)
