"""A realistic day of an organisation, and the tour of auditd that `make demo` gives with it."""

from demo._sizes import generate_cloudtrail, generate_small
from demo.scenario import generate

__all__ = ["generate", "generate_cloudtrail", "generate_small"]
