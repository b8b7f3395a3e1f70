"""What is revoked: callers that are refused although their credentials verify."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from auditd.errors import InvalidRequestError, Violation
from auditd.identity._caller import Caller
from auditd.identity._claims import MAX_JTI_BYTES, MAX_SUBJECT_BYTES
from auditd.identity._errors import TokenError, TokenReason
from auditd.identity._issuer import MAX_ISSUER_BYTES
from auditd.identity._strict import check_name

KEY_CHARACTERS = 43
_MAX_BYTES = {"jti": MAX_JTI_BYTES, "subject": MAX_SUBJECT_BYTES, "key": KEY_CHARACTERS}


class RevokedKind(StrEnum):
    """What a revocation names, beside the issuer."""

    JTI = "jti"
    SUBJECT = "subject"
    KEY = "key"
    ISSUER = "issuer"


_Target: TypeAlias = tuple[RevokedKind, str, str]


@dataclass(frozen=True, slots=True)
class Revoked:
    """What is revoked: of `issuer`, the token `value`, all of the subject or of the key `value`, or everything.

    `value` is a claim `jti`, a subject, or a key's thumbprint (RFC 7638, 43 characters); for a whole issuer it is
    empty.

    Raises InvalidRequestError: `INVALID_REVOCATION`, naming the field at fault.
    """

    kind: RevokedKind
    issuer: str
    value: str = ""

    def __post_init__(self) -> None:
        _check("issuer", self.issuer, MAX_ISSUER_BYTES)
        if self.kind is not RevokedKind.ISSUER:
            _check(self.kind.value, self.value, _MAX_BYTES[self.kind])
        if self.kind is RevokedKind.KEY and len(self.value) != KEY_CHARACTERS:
            problem = f"{len(self.value)} characters, must be the {KEY_CHARACTERS} of an RFC 7638 thumbprint"
            raise _invalid("key", problem)

    @property
    def target(self) -> _Target:
        """What it is found by."""
        return self.kind, self.issuer, self.value


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revocation: its entry's `index` in `control`, what it says, and when it was recorded.

    With `issued_before` (Unix seconds) it concerns only tokens whose `iat` is earlier, or missing.
    """

    index: int
    revoked: Revoked
    revoked_at_us: int
    issued_before: int | None = None
    reason: str = ""

    def refuses(self, caller: Caller) -> bool:
        """Whether it concerns this caller's credential."""
        return self.revoked.target in _targets(caller) and self._is_early_enough(caller.issued_at)

    def _is_early_enough(self, issued_at: float | None) -> bool:
        return self.issued_before is None or issued_at is None or issued_at < self.issued_before

    def recorded(self, index: int, revoked_at_us: int) -> Revocation:
        """Return the same with the place and time at which it was recorded."""
        return replace(self, index=index, revoked_at_us=revoked_at_us)

    @property
    def attributes(self) -> dict[str, str | int]:
        """What its entry holds, beside the reason."""
        attributes: dict[str, str | int] = {"revoked": self.revoked.kind.value, "issuer": self.revoked.issuer}
        if self.revoked.value:
            attributes["value"] = self.revoked.value
        if self.issued_before is not None:
            attributes["issued_before"] = self.issued_before
        return attributes

    @classmethod
    def from_entry(cls, index: int, revoked_at_us: int, attributes: Mapping[str, Any], reason: str) -> Revocation:
        """Return what an entry says; the opposite of `attributes`."""
        revoked = Revoked(RevokedKind(attributes["revoked"]), attributes["issuer"], attributes.get("value", ""))
        return cls(index, revoked, revoked_at_us, attributes.get("issued_before"), reason)


class Revocations:
    """All that is revoked now. Safe to use from several threads.

    `version` changes with every change, so that what was found good need be looked at again only then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards changes; single look-ups need none
        self._by_index: dict[int, Revocation] = {}
        self._by_target: dict[_Target, tuple[Revocation, ...]] = {}
        self.version = 0

    def add(self, revocation: Revocation) -> None:
        """Have it take effect. Its entry must be durable by now."""
        with self._lock:
            target = revocation.revoked.target
            self._by_index[revocation.index] = revocation
            self._by_target[target] = (*self._by_target.get(target, ()), revocation)
            self.version += 1

    def withdraw(self, index: int) -> None:
        """Have a revocation end, if there is one. The entry that withdraws it must be durable by now."""
        with self._lock:
            revocation = self._by_index.pop(index, None)
            if revocation is None:
                return
            target = revocation.revoked.target
            left = tuple(one for one in self._by_target[target] if one.index != index)
            if left:
                self._by_target[target] = left
            else:
                del self._by_target[target]
            self.version += 1

    def get(self, index: int) -> Revocation | None:
        """Return the revocation whose entry stands at `index`, if it is in force."""
        return self._by_index.get(index)

    def same(self, revoked: Revoked, issued_before: int | None) -> Revocation | None:
        """Return a revocation in force that says the same already, if there is one."""
        found = self._by_target.get(revoked.target, ())
        return next((one for one in found if one.issued_before == issued_before), None)

    def from_index(self, first: int) -> Iterator[Revocation]:
        """Yield those in force whose entries stand at `first` or later, in that order."""
        with self._lock:
            indexes = sorted(index for index in self._by_index if index >= first)
        for index in indexes:
            found = self._by_index.get(index)
            if found is not None:
                yield found

    def __len__(self) -> int:
        return len(self._by_index)

    def require_good(self, caller: Caller) -> None:
        """Do nothing unless the caller's credential is revoked.

        Raises TokenError: `TOKEN_REVOKED`, naming the entry of `control`.
        """
        if not self._by_target:
            return
        for target in _targets(caller):
            for revocation in self._by_target.get(target, ()):
                if revocation.refuses(caller):
                    message = (
                        f"{caller.kind}: its {target[0]} is revoked by entry {revocation.index} of the log control"
                    )
                    error = TokenError(TokenReason.REVOKED, message)
                    error.unverified_subject = caller.subject
                    raise error


def _targets(caller: Caller) -> tuple[_Target, ...]:
    targets = (
        (RevokedKind.SUBJECT, caller.issuer, caller.subject),
        (RevokedKind.KEY, caller.issuer, caller.key_thumbprint),
        (RevokedKind.ISSUER, caller.issuer, ""),
    )
    return targets if caller.jti is None else (*targets, (RevokedKind.JTI, caller.issuer, caller.jti))


def _check(field: str, value: str, max_bytes: int) -> None:
    try:
        check_name(value, max_bytes)
    except ValueError as error:
        raise _invalid(field, str(error)) from error


def _invalid(field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError("INVALID_REVOCATION", f"{field}: {problem}", [Violation(field, problem)])
