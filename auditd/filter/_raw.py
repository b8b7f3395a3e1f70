"""Syntax tree to a cheap test over a leaf's bytes, so that most leaves need no parsing."""

from __future__ import annotations

from collections.abc import Callable

from auditd.filter._ast import And, Comparison, Filter, FreeText, Not, Or, Pattern, Present, Text


def compile_raw(tree: Filter) -> Callable[[bytes], bool] | None:
    r"""Return a test over leaves that is false only where the filter does not select; None if there is none.

    A leaf with a backslash always passes, for JSON can spell any text with escapes (`\u0061`).
    """
    match tree:
        case And(terms):
            found = [test for test in map(compile_raw, terms) if test is not None]
            return _every(found) if found else None
        case Or(terms):
            tests = [compile_raw(term) for term in terms]
            known = [test for test in tests if test is not None]
            return _some(known) if known and len(known) == len(tests) else None
        case FreeText(text):
            return _any_case(text)
        case Comparison(_, "=" | ":", Text(text) | Pattern(text)):
            return _holds(text)
        case Comparison(("attributes", *_, name), _, _) if tree.operator != ":" or isinstance(tree.value, Present):
            # Whatever compares an attribute, `!=` too, selects nothing without it.
            return _holds(f'"{name}"')
        case Not() | Comparison():
            return None


def _every(tests: list[Callable[[bytes], bool]]) -> Callable[[bytes], bool]:
    return tests[0] if len(tests) == 1 else lambda leaf: all(test(leaf) for test in tests)


def _some(tests: list[Callable[[bytes], bool]]) -> Callable[[bytes], bool]:
    return lambda leaf: any(test(leaf) for test in tests)


def _holds(text: str) -> Callable[[bytes], bool]:
    needle = text.encode("utf-8", "surrogatepass")
    return lambda leaf: needle in leaf or b"\\" in leaf


def _any_case(text: str) -> Callable[[bytes], bool]:
    folded = text.casefold()
    if not folded.isascii():
        return lambda leaf: b"\\" in leaf or not leaf.isascii()
    needle = folded.encode()
    # Letters beyond ASCII fold to ASCII (the Kelvin sign to k), so only plain leaves can be told apart here.
    return lambda leaf: needle in leaf.lower() or b"\\" in leaf or not leaf.isascii()
