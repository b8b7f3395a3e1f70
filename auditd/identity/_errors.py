"""Why a token is refused."""

from __future__ import annotations

from enum import StrEnum

from auditd.errors import UnauthenticatedError


class TokenReason(StrEnum):
    """The stable reasons of `TokenError`."""

    MISSING = "TOKEN_MISSING"
    MALFORMED = "TOKEN_MALFORMED"
    ALGORITHM = "TOKEN_ALGORITHM"
    TYPE = "TOKEN_TYPE"
    UNKNOWN_ISSUER = "TOKEN_UNKNOWN_ISSUER"
    UNKNOWN_KEY = "TOKEN_UNKNOWN_KEY"
    BAD_SIGNATURE = "TOKEN_BAD_SIGNATURE"
    WRONG_AUDIENCE = "TOKEN_WRONG_AUDIENCE"
    EXPIRED = "TOKEN_EXPIRED"
    NOT_YET_VALID = "TOKEN_NOT_YET_VALID"
    LIFETIME = "TOKEN_LIFETIME"
    SENDER_CONSTRAINED = "TOKEN_SENDER_CONSTRAINED"
    CLAIMS = "TOKEN_CLAIMS"
    REVOKED = "TOKEN_REVOKED"
    REPLAYED = "TOKEN_REPLAYED"


class TokenError(UnauthenticatedError):
    """A token that is missing or does not verify.

    The message never holds the token, its signature or a key. `unverified_subject` is the subject that
    the token claims, printable and at most 256 bytes, empty where there is none: for the record of the
    refusal, never for a decision.
    """

    def __init__(self, reason: TokenReason, message: str) -> None:
        super().__init__(reason.value, message)
        self.unverified_subject = ""


class UnknownKeyError(TokenError):
    """A token by a key that its issuer does not have now, but may have when it is asked again.

    `kid` is the header's, None where it has none; `issuer` the claim `iss` of an issuer that is trusted.
    """

    def __init__(self, message: str, kid: str | None, issuer: str = "") -> None:
        super().__init__(TokenReason.UNKNOWN_KEY, message)
        self.kid = kid
        self.issuer = issuer
