"""The claims of a token whose signature has been verified (RFC 7519 section 4.1, RFC 8725)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from auditd.identity._claim_mapping import ClaimPath, find_claim, map_roles, path_text
from auditd.identity._errors import TokenError, TokenReason
from auditd.identity._issuer import IssuerConfig
from auditd.identity._strict import check_name, decode_base64url, shown

MAX_SUBJECT_BYTES = 256
MAX_JTI_BYTES = 256
MAX_SESSION_BYTES = 256
MAX_TENANT_BYTES = 128
MAX_METHOD_BYTES = 64

_ABSENT = object()
_SPACED_CLAIMS = frozenset({"scope", "scp"})

_THUMBPRINT = "x5t#S256"
_SHA256_BYTES = 32
_LAST_DATE = 253_402_300_799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, checked; `roles` are ours, by the issuer's mapping.

    `session`, `tenant` and `method` are None where the token, or the issuer's configuration, says nothing
    of them; a method of several is parted by spaces, such as `pwd otp`. `issued_at` is the claim `iat`, None
    where there is none. `expires_at` is the Unix time in seconds from which the token is refused: `exp`
    rounded down, plus the leeway. `bound_to` is the SHA-256 (32 bytes) of the client certificate that the
    token is bound to: it is good on no other connection.
    """

    subject: str
    jti: str | None
    roles: tuple[str, ...]
    session: str | None
    tenant: str | None
    method: str | None
    issued_at: float | None
    expires_at: int
    bound_to: bytes | None


def check_claims(claims: dict[str, object], config: IssuerConfig, audiences: Sequence[str], now: float) -> Claims:
    """Check every claim that decides whether the token is good here and now.

    `iss` has been matched already: it chose `config`. The token must be for one of `audiences`. `now` is Unix
    time in seconds.

    Raises TokenError: `TOKEN_SENDER_CONSTRAINED`, `TOKEN_WRONG_AUDIENCE`, `TOKEN_EXPIRED`,
    `TOKEN_NOT_YET_VALID`, `TOKEN_LIFETIME`, or `TOKEN_CLAIMS` for a claim that is missing or malformed.
    """
    bound_to = _certificate_hash(claims)
    _check_audience(claims.get("aud"), audiences)
    expires_at = _check_times(claims, config, now)
    names = config.claims
    subject = _name(claims, names.subject, MAX_SUBJECT_BYTES)
    if subject is None:
        raise TokenError(TokenReason.CLAIMS, f"token claim {path_text(names.subject)}: missing")
    return Claims(
        subject=subject,
        jti=_name(claims, ("jti",), MAX_JTI_BYTES),
        roles=map_roles(_roles(claims, names.roles), config.roles),
        session=_name(claims, names.session, MAX_SESSION_BYTES),
        tenant=_name(claims, names.tenant, MAX_TENANT_BYTES),
        method=_method(claims, names.method),
        issued_at=_date(claims, "iat"),
        expires_at=expires_at,
        bound_to=bound_to,
    )


def _certificate_hash(claims: dict[str, object]) -> bytes | None:
    """Return what `cnf` binds the token to (RFC 8705 section 3.1).

    Any member that is not understood is refused: to take a bound token for less bound than it is would undo that.
    """
    if "cnf" not in claims:
        return None
    cnf = claims["cnf"]
    if not isinstance(cnf, dict) or cnf.keys() != {_THUMBPRINT}:
        raise _bad_binding(f"expected an object with {_THUMBPRINT} alone; other bindings are not supported")
    value = cnf[_THUMBPRINT]
    try:
        digest = decode_base64url(value) if isinstance(value, str) else b""
    except ValueError as error:
        raise _bad_binding(f"{_THUMBPRINT}: {error}") from error
    if len(digest) != _SHA256_BYTES:
        raise _bad_binding(f"{_THUMBPRINT}: expected the base64url of a SHA-256")
    return digest


def _bad_binding(problem: str) -> TokenError:
    return TokenError(TokenReason.SENDER_CONSTRAINED, f"token claim cnf: {problem}")


def token_roles(claims: dict[str, object], config: IssuerConfig) -> tuple[str, ...]:
    """Return the roles of a token by the names that its issuer has for them. Raises TokenError: `TOKEN_CLAIMS`."""
    return tuple(dict.fromkeys(_roles(claims, config.claims.roles)))


def _check_audience(value: object, expected: Sequence[str]) -> None:
    audiences = [value] if isinstance(value, str) else value
    if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
        raise TokenError(TokenReason.CLAIMS, "token claim aud: expected a string or an array of strings")
    if not set(expected) & set(audiences):
        given = ", ".join(map(shown, audiences[:4])) or "nobody"
        wanted = " or ".join(map(shown, expected))
        raise TokenError(TokenReason.WRONG_AUDIENCE, f"token claim aud: is for {given}, expected {wanted}")


def _check_times(claims: dict[str, object], config: IssuerConfig, now: float) -> int:
    leeway = config.leeway_s
    exp = _date(claims, "exp")
    if exp is None:
        raise TokenError(TokenReason.CLAIMS, "token claim exp: missing")
    expires_at = math.floor(exp) + leeway
    if now >= expires_at:
        raise TokenError(TokenReason.EXPIRED, f"token claim exp: {max(0, math.floor(now - exp))} s ago")
    issued = _date(claims, "iat")
    for name, date in (("nbf", _date(claims, "nbf")), ("iat", issued)):
        if date is not None and now + leeway < date:
            message = f"token claim {name}: {math.ceil(date - now)} s ahead, leeway {leeway} s"
            raise TokenError(TokenReason.NOT_YET_VALID, message)
    lifetime = exp - (now + leeway if issued is None else issued)
    if lifetime > config.max_lifetime_s:
        message = f"token claim exp: a lifetime of {math.ceil(lifetime)} s, limit {config.max_lifetime_s} s"
        raise TokenError(TokenReason.LIFETIME, message)
    return expires_at


def _date(claims: dict[str, object], name: str) -> int | float | None:
    """Return a NumericDate; fractions are allowed, booleans are not numbers (RFC 7519 section 2)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(TokenReason.CLAIMS, f"token claim {name}: expected a number of seconds")
    if not 0 <= value <= _LAST_DATE:
        raise TokenError(TokenReason.CLAIMS, f"token claim {name}: outside the years 1970 to 9999")
    return value


def _find(claims: dict[str, object], path: ClaimPath | None) -> object:
    if path is None:
        return _ABSENT
    try:
        return find_claim(claims, path, _ABSENT)
    except ValueError as error:
        raise _malformed(path, str(error)) from error


def _name(claims: dict[str, object], path: ClaimPath | None, max_bytes: int) -> str | None:
    value = _find(claims, path)
    if path is None or value is _ABSENT:
        return None
    try:
        return check_name(value, max_bytes)
    except ValueError as error:
        raise _malformed(path, str(error)) from error


def _roles(claims: dict[str, object], path: ClaimPath) -> tuple[str, ...]:
    roles = _find(claims, path)
    if roles is _ABSENT:
        return ()
    if isinstance(roles, str) and path[-1] in _SPACED_CLAIMS:
        return tuple(roles.split(" "))
    return _strings(roles, path)


def _method(claims: dict[str, object], path: ClaimPath | None) -> str | None:
    value = _find(claims, path)
    if path is None or value is _ABSENT:
        return None
    methods = (value,) if isinstance(value, str) else _strings(value, path)
    if not methods:
        return None
    try:
        return check_name(" ".join(methods), MAX_METHOD_BYTES)
    except ValueError as error:
        raise _malformed(path, str(error)) from error


def _strings(value: object, path: ClaimPath) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _malformed(path, "expected an array of strings")
    return tuple(value)


def _malformed(path: ClaimPath, problem: str) -> TokenError:
    return TokenError(TokenReason.CLAIMS, f"token claim {path_text(path)}: {problem}")
