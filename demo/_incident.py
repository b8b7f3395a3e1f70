"""The incident to find: stuffed credentials, one account that gives way, and what is done with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from demo._organisation import Organisation, Person
from demo._session import Session, account, person_session, record, token

ATTACKER_IP = "203.0.113.77"
ATTACKER_AGENT = "python-requests/2.32.3"
BEGINS = timedelta(hours=2, minutes=41, seconds=7)


def incident_sessions(random: Random, organisation: Organisation, day: datetime) -> list[Session]:
    """Return the sessions of the incident, which begins at 02:41 of the day and lasts a quarter of an hour.

    From one address, 64 passwords are tried on 24 accounts; one more fits, that of an administrator. Its
    second factor is replaced, its role raised, records are exported in bulk, and somebody tries to switch the
    audit log off.
    """
    victim = random.choice(organisation.administrators)
    others = [one for one in organisation.people if one.tenant == victim.tenant and one is not victim]
    targets = [*random.sample(others, 23), victim]
    attempts, now = _stuff(random, targets, day + BEGINS)
    return [*attempts, _take_over(random, victim, now)]


def _stuff(random: Random, targets: list[Person], now: datetime) -> tuple[list[Session], datetime]:
    attempts = []
    for number in range(64):
        target = targets[number % len(targets)]
        attempt = person_session(random, target, now, ATTACKER_IP, ATTACKER_AGENT)
        attempt.actor["auth_method"] = "password"
        attempt.wait(1.5)
        reason = "unknown device" if target.auth_method == "sso" else "bad password"
        attempt.do("user.login", account(target), outcome="FAILURE", reason=reason, call="POST /login")
        attempts.append(attempt)
        now = attempt.now
    return attempts, now


def _take_over(random: Random, victim: Person, now: datetime) -> Session:
    session = person_session(random, victim, now, ATTACKER_IP, ATTACKER_AGENT)
    session.actor["auth_method"] = "password"
    session.wait(3)
    session.do("user.login", account(victim), call="POST /login", remembered=False)
    session.wait(20)
    session.do("mfa.verify", outcome="FAILURE", reason="wrong code", call="POST /mfa", factor="totp")
    session.wait(40)
    session.do("mfa.reset", account(victim), call="POST /accounts/mfa", channel="recovery e-mail")
    session.wait(30)
    session.do("mfa.verify", call="POST /mfa", factor="totp", enrolled="new device")
    session.do("token.issue", token(random), call="POST /token", scope="records admin", lifetime_s=900)
    session.wait(60)
    session.do("role.assign", account(victim), call="PUT /accounts/role", role="owner", was=victim.role)
    session.wait(10)
    session.do("permission.grant", account(victim), call="PUT /permissions", permission="records.export")
    for _ in range(18):
        session.wait(30)
        session.do(
            "record.export",
            record(random, victim.tenant),
            call="POST /exports",
            rows=random.randrange(4_000, 9_000),
            format="csv",
        )
    session.wait(45)
    session.do(
        "audit.disable",
        {"type": "setting", "id": "audit.enabled"},
        outcome="DENIED",
        reason="audit cannot be switched off",
        call="PUT /settings/audit",
    )
    session.wait(5)
    session.do("user.logout", call="POST /logout")
    return session
