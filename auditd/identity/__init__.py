"""Who calls, and what they may do: issuers and their keys, tokens, roles."""

from auditd.identity._actor_tokens import ActorJudge, JudgedActor
from auditd.identity._authenticator import Authenticator, parse_authorization
from auditd.identity._caller import Caller, Credential
from auditd.identity._certificate import ClientCertificate
from auditd.identity._certificate_callers import CertificateCallers, CertificateConfig
from auditd.identity._claim_mapping import ClaimMapping
from auditd.identity._errors import TokenError, TokenReason, UnknownKeyError
from auditd.identity._issuer import ALGORITHMS, MAX_LIFETIME_S, Issuer, IssuerConfig, IssuerKey, Party, parties
from auditd.identity._key_rotation import KeyRotation, tell_unused_keys
from auditd.identity._key_sources import key_source
from auditd.identity._local_issuer import LocalIssuer
from auditd.identity._reverify import RecordedToken, TokenVerdict, verify_again
from auditd.identity._revocations import Revocation, Revocations, Revoked, RevokedKind
from auditd.identity._roles import ROLES, SYSTEM_LOGS, Permission, Permissions, is_system

__all__ = [
    "ALGORITHMS",
    "MAX_LIFETIME_S",
    "ROLES",
    "SYSTEM_LOGS",
    "ActorJudge",
    "Authenticator",
    "Caller",
    "CertificateCallers",
    "CertificateConfig",
    "ClaimMapping",
    "ClientCertificate",
    "Credential",
    "Issuer",
    "IssuerConfig",
    "IssuerKey",
    "JudgedActor",
    "KeyRotation",
    "LocalIssuer",
    "Party",
    "Permission",
    "Permissions",
    "RecordedToken",
    "Revocation",
    "Revocations",
    "Revoked",
    "RevokedKind",
    "TokenError",
    "TokenReason",
    "TokenVerdict",
    "UnknownKeyError",
    "is_system",
    "key_source",
    "parse_authorization",
    "parties",
    "tell_unused_keys",
    "verify_again",
]
