"""Text to syntax tree."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, TypeGuard, cast

from auditd.errors import InvalidRequestError
from auditd.filter._ast import EVERYTHING, And, Comparison, Filter, FreeText, Not, Operator, Or
from auditd.filter._diagnose import out_of_place, refusal, strange_character
from auditd.filter._fields import UnknownFieldError, field_at
from auditd.filter._limits import DEFAULT_LIMITS, Limits, TokenCounter
from auditd.filter._values import Spelling, typed_value

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

_KEYWORDS = frozenset({"AND", "OR", "NOT"})
_SEGMENT = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^."']+""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@lru_cache(maxsize=512)
def parse(text: str, limits: Limits = DEFAULT_LIMITS) -> Filter:
    """Return the syntax tree of a filter; that of an empty one selects everything.

    Raises:
        InvalidRequestError: `INVALID_FILTER`; the filter breaks the grammar or a limit, names no field, or
            gives a field a value or operator that does not suit it. The violation says where.

    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise refusal(text, error.start, "half a surrogate pair is no text") from None
    if size > limits.max_bytes:
        raise refusal(
            text,
            0,
            f"a filter of {size} bytes; at most {limits.max_bytes} are allowed",
            limit=("filter.max_bytes", limits.max_bytes),
        )
    tree = _tree(text, limits)
    return _Builder(text).expression(cast("Tree[Token]", tree.children[0])) if tree.children else EVERYTHING


@cache
def _grammar() -> Lark:
    # Importing lark and building the table take some 100 ms, which only those who filter should pay.
    from lark import Lark

    source = resources.files("auditd.filter").joinpath("grammar.lark").read_text("utf-8")
    return Lark(source, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=False)


def _tree(text: str, limits: Limits) -> Tree[Token]:
    """Parse without recursion, so that limits are met before anything deep exists."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    parser = _grammar().parse_interactive(text)
    counter = TokenCounter(text, limits)
    try:
        for token in parser.iter_parse():
            counter.see(token)
        return cast("Tree[Token]", parser.feed_eof())  # type: ignore[no-untyped-call]  # lark's own signature
    except UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        raise refusal(text, position, strange_character(text, position)) from None
    except UnexpectedToken as error:
        found = cast("Token", error.token)
        if found.type == "$END":
            raise refusal(text, len(text.rstrip()), out_of_place("", error.expected)) from None
        raise refusal(text, found.start_pos or 0, out_of_place(str(found), error.expected)) from None


class _Builder:
    """Turns lark's tree, whose depth is bounded, into a filter."""

    def __init__(self, text: str) -> None:
        self._text = text

    def expression(self, tree: Tree[Token]) -> Filter:
        parts = tree.children
        if len(parts) == 1:
            return self._term(cast("Tree[Token]", parts[0]))
        connectors = self._connectors(tree)
        if len(set(connectors)) > 1:
            raise self._mixed(tree, connectors)
        terms = tuple(self._term(cast("Tree[Token]", part)) for part in parts if not _is_token(part))
        return Or(terms) if connectors[0] == "OR" else And(terms)

    @staticmethod
    def _connectors(tree: Tree[Token]) -> list[str]:
        """Return what stands between the terms; those side by side are joined by AND."""
        connectors: list[str] = []
        explicit = ""
        for part in tree.children[1:]:
            if _is_token(part):
                explicit = str(part)
            else:
                connectors.append(explicit or "AND")
                explicit = ""
        return connectors

    def _mixed(self, tree: Tree[Token], connectors: list[str]) -> InvalidRequestError:
        terms = [cast("Tree[Token]", part) for part in tree.children if not _is_token(part)]
        spans = [self._text[term.meta.start_pos : term.meta.end_pos] for term in terms]
        readings = f"{_reading(spans, connectors, 'OR')} or {_reading(spans, connectors, 'AND')}"
        problem = f"AND and OR are mixed without parentheses; write {readings}"
        second = connectors.index("OR" if connectors[0] == "AND" else "AND") + 1
        return refusal(self._text, terms[second].meta.start_pos, problem)

    def _term(self, tree: Tree[Token]) -> Filter:
        simple = cast("Tree[Token]", tree.children[-1])
        match simple.data:
            case "group":
                filter_ = self.expression(cast("Tree[Token]", simple.children[0]))
            case "comparison":
                filter_ = self._comparison(*cast("list[Token]", simple.children))
            case _:
                filter_ = self._free_text(cast("Token", simple.children[0]))
        return Not(filter_) if len(tree.children) == 2 else filter_

    def _comparison(self, name: Token, operator: Token, value: Token) -> Comparison:
        path = tuple(self._unquote(name, part.group()) for part in _SEGMENT.finditer(str(name)))
        try:
            field = field_at(path)
        except UnknownFieldError as error:
            raise refusal(self._text, name.start_pos or 0, str(error), error.nearest) from None
        spelling = self._spelling(value)
        try:
            typed = typed_value(field, cast("Operator", str(operator)), spelling)
        except ValueError as error:
            raise self._refuse(value, str(error)) from None
        return Comparison(path, cast("Operator", str(operator)), typed)

    def _free_text(self, token: Token) -> FreeText:
        if token.type == "WORD" and token.upper() in _KEYWORDS:
            raise self._refuse(token, f"write {token.upper()}, or {str(token)!r} in quotation marks")
        spelling = self._spelling(token)
        if spelling.before or spelling.after:
            raise self._refuse(token, "free text is found anywhere in a value: leave out the *, or write \\*")
        if not spelling.text:
            raise self._refuse(token, "free text must not be empty")
        return FreeText(spelling.text)

    def _spelling(self, token: Token) -> Spelling:
        text = str(token)
        if token.type == "STAR":
            return Spelling("", before=True, after=True)
        if token.type != "STRING":
            if '"' in text or "'" in text or text in _KEYWORDS:
                raise self._refuse(token, f"{text[:40]!r} must stand in quotation marks")
            return Spelling(text, quoted=False)
        body = text[1:-1]
        before = body.startswith("*")
        after = len(body) > before and re.search(r"(?<!\\)(?:\\\\)*\*\Z", body) is not None
        core = body[before : len(body) - after]
        if "*" in _ESCAPE.sub("", core):
            raise self._refuse(token, "a * may stand first or last in a text; elsewhere write \\*")
        return Spelling(self._unescape(token, core), before=before, after=after)

    def _unquote(self, token: Token, part: str) -> str:
        return self._unescape(token, part[1:-1]) if part[0] in "\"'" else part

    def _unescape(self, token: Token, body: str) -> str:
        for escape in _ESCAPE.finditer(body):
            if escape[1] not in "\\\"'*":
                raise self._refuse(token, f"{escape[0]!r} is no escape; a backslash is written as two")
        return _ESCAPE.sub(r"\1", body)

    def _refuse(self, token: Token, problem: str) -> InvalidRequestError:
        return refusal(self._text, token.start_pos or 0, problem)


def _is_token(part: Tree[Token] | Token) -> TypeGuard[Token]:
    return isinstance(part, str)


def _reading(spans: list[str], connectors: list[str], inner: str) -> str:
    """Write terms with parentheses around those that `inner` joins."""
    groups = [[spans[0]]]
    for connector, span in zip(connectors, spans[1:], strict=True):
        if connector == inner:
            groups[-1].append(span)
        else:
            groups.append([span])
    parts = [f"({f' {inner} '.join(group)})" if len(group) > 1 else group[0] for group in groups]
    text = (" AND " if inner == "OR" else " OR ").join(parts)
    return text if len(text) <= 300 else text[:297] + "..."
