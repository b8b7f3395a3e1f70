"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# A deadline judges the machine, not the code: how long an example takes depends on what else is running.
settings.register_profile("auditd", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("auditd")
