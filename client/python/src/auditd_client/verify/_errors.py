"""Every way in which verification says no, by what it means for the person who asked.

VerificationError
├── MalformedError            the input is not what it claims to be: `what`, `line`, `rule`
├── WrongLogError             another log's: the key or the origin is not the one expected
├── BadSignatureError         the expected key is named, but did not sign this text
├── ProofError                the hashes do not lead to the root: `expected_root`, `actual_root`
│   └── InconsistentError     two signed checkpoints, one not shown to extend the other: both notes
└── MismatchError             all genuine, but it says something else: `field`, `expected`, `actual`
"""

from __future__ import annotations


class VerificationError(Exception):
    """What was given does not verify. The message names the rule, what was expected and what was found."""


class MalformedError(VerificationError):
    """The input breaks a rule of its format.

    `what` names the input (`checkpoint`, `bundle`, `leaf` ...), `line` counts from 1 where there are
    lines, `rule` is the message without both.
    """

    def __init__(self, what: str, rule: str, line: int | None = None) -> None:
        place = what if line is None else f"{what} line {line}"
        super().__init__(f"{place}: {rule}")
        self.what = what
        self.line = line
        self.rule = rule


class WrongLogError(VerificationError):
    """The note is another log's: signed by no expected key, or of another origin.

    Also what a log looks like that was closed, to who knows its key alone: `open_closing` of what it signed then, which
    `Client.logs` has, returns the key of the log that goes on.
    """

    def __init__(self, message: str, expected: str, actual: str) -> None:
        super().__init__(f"{message}: expected {quote(expected)}, found {quote(actual)}")
        self.expected = expected
        self.actual = actual


class BadSignatureError(VerificationError):
    """A signature names the expected key, which did not make it: the text or the signature was changed."""

    def __init__(self, name: str, key_id: bytes, line: int) -> None:
        super().__init__(
            f"note line {line}: the signature of {quote(name)}, key ID {key_id.hex()}, does not fit the text"
        )
        self.name = name
        self.key_id = key_id
        self.line = line


class ProofError(VerificationError):
    """A proof does not lead to the root it should; the roots are None where none was computed."""

    def __init__(self, message: str, expected_root: bytes | None = None, actual_root: bytes | None = None) -> None:
        if expected_root is not None and actual_root is not None:
            message = f"{message}: expected root {expected_root.hex()}, found {actual_root.hex()}"
        super().__init__(message)
        self.expected_root = expected_root
        self.actual_root = actual_root


class InconsistentError(ProofError):
    """One checkpoint was not shown to extend another.

    `old_note` and `new_note` are the checkpoints as they were signed. Keep them: where no valid proof
    exists, they convict the log.
    """

    def __init__(self, cause: ProofError, old_note: str, new_note: str) -> None:
        super().__init__(str(cause))
        self.expected_root = cause.expected_root
        self.actual_root = cause.actual_root
        self.old_note = old_note
        self.new_note = new_note


class MismatchError(VerificationError):
    """Hashes and signatures hold, but for something other than what was expected; None means absent."""

    def __init__(self, field: str, expected: object, actual: object, remark: str = "") -> None:
        message = f"{field}: expected {_stated(expected)}, found {_stated(actual)}"
        super().__init__(f"{message}; {remark}" if remark else message)
        self.field = field
        self.expected = expected
        self.actual = actual


def quote(value: object, limit: int = 100) -> str:
    """Return `repr(value)` in ASCII, at most `limit` characters of it, fit for a terminal."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _stated(value: object) -> str:
    if value is None:
        return "nothing"
    return value.hex() if isinstance(value, bytes) else quote(value)
