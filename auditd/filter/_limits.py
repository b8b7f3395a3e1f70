"""What a filter may cost, held token by token while it is parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditd.filter._diagnose import refusal

if TYPE_CHECKING:
    from lark import Token

_VALUES = frozenset({"STRING", "WORD", "TIMESTAMP", "NEGATIVE", "STAR"})
_ENDS = _VALUES | {"RPAR"}
_BEGINS = _VALUES | {"LPAR", "MINUS", "NOT", "AND", "OR"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a filter may cost: its length in bytes of UTF-8, its parentheses within each other, its terms."""

    max_bytes: int = 10_000
    max_depth: int = 32
    max_terms: int = 200


DEFAULT_LIMITS = Limits()


class TokenCounter:
    """Refuses a filter at the first token beyond a limit, and tokens that touch each other."""

    def __init__(self, text: str, limits: Limits) -> None:
        self._text = text
        self._limits = limits
        self._depth = 0
        self._terms = 0
        self._last: Token | None = None

    def see(self, token: Token) -> None:
        """Count the next token of the filter.

        Raises:
            InvalidRequestError: `INVALID_FILTER`; the token touches the one before it, or passes a limit.

        """
        position = token.start_pos or 0
        last, self._last = self._last, token
        if last is not None and last.end_pos == position and last.type in _ENDS and token.type in _BEGINS:
            raise refusal(self._text, position, _touching(last, token))
        self._depth += (token.type == "LPAR") - (token.type == "RPAR")
        if self._depth > self._limits.max_depth:
            problem = f"more than {self._limits.max_depth} parentheses within each other"
            raise refusal(self._text, position, problem, limit=("filter.max_depth", self._limits.max_depth))
        self._terms += token.type in {"WORD", "STRING"} and (last is None or last.type != "OPERATOR")
        if self._terms > self._limits.max_terms:
            problem = f"more than {self._limits.max_terms} terms"
            raise refusal(self._text, position, problem, limit=("filter.max_terms", self._limits.max_terms))


def _touching(last: Token, token: Token) -> str:
    if last.type == "WORD" and token.type == "LPAR":
        return f"there are no functions such as {str(last)[:40]!r}"
    return "a space must stand here"
