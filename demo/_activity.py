"""What people and services do on an ordinary day."""

from __future__ import annotations

from datetime import datetime
from random import Random

from demo._organisation import Organisation, Person, Service
from demo._session import Session, account, person_session, record, service_session, token

RECORD_ACTIONS = ("record.view",) * 13 + ("record.update",) * 4 + ("record.search",) * 2 + ("record.export",)
SETTINGS = ("session.timeout", "password.min_length", "export.row_limit", "sso.certificate", "mail.domain")
PERMISSIONS = ("records.read", "records.write", "records.export", "reports.read", "users.read")


def ordinary_session(random: Random, organisation: Organisation, now: datetime) -> Session:
    """Return some session of an ordinary day that begins at `now`."""
    kind = random.random()
    if kind < 0.14:
        return _job(random, random.choice(organisation.services), now)
    if kind < 0.20:
        return _administration(random, organisation, now)
    return _work(random, random.choice(organisation.people), now)


def _work(random: Random, person: Person, now: datetime) -> Session:
    session = person_session(random, person, now)
    if not _sign_in(session, person):
        return session
    for _ in range(random.randrange(3, 30)):
        session.wait(90)
        _touch_record(session, person)
    if random.random() < 0.15:
        session.wait(20)
        _renew(session)
    if random.random() < 0.7:
        session.wait(60)
        _sign_out(session)
    return session


def _sign_in(session: Session, person: Person) -> bool:
    random = session.random
    for _ in range(random.choices((0, 1, 2, 3), (88, 8, 3, 1))[0]):
        reason = random.choices(("bad password", "expired password", "unknown device"), (8, 1, 1))[0]
        session.do("user.login", account(person), outcome="FAILURE", reason=reason, call="POST /login")
        session.wait(8)
    if random.random() < 0.01:
        session.do("user.login", account(person), outcome="DENIED", reason="account locked", call="POST /login")
        return False
    session.do("user.login", account(person), call="POST /login", remembered=random.random() < 0.3)
    if person.auth_method == "password":
        session.wait(6)
        if random.random() < 0.03:
            session.do("mfa.verify", outcome="FAILURE", reason="wrong code", call="POST /mfa", factor="totp")
            session.wait(10)
        session.do("mfa.verify", call="POST /mfa", factor="totp")
    session.wait(0.3)
    session.do("token.issue", token(random), call="POST /token", scope="records", lifetime_s=900)
    return True


def _touch_record(session: Session, person: Person) -> None:
    random = session.random
    action = random.choice(RECORD_ACTIONS)
    found = record(random, session.tenant)
    call = f"GET /{found['type']}s/{found['id']}"
    match action:
        case "record.view":
            allowed = random.random() > 0.012
            session.do(
                action,
                found,
                outcome="SUCCESS" if allowed else "DENIED",
                reason="" if allowed else "no permission for this record",
                call=call,
                fields=random.randrange(3, 40),
            )
        case "record.update":
            changed = random.sample(("address", "phone", "status", "note", "owner"), random.randrange(1, 3))
            session.do(action, found, call=call.replace("GET", "PATCH"), changed=changed)
        case "record.search":
            session.do(
                action,
                call=f"GET /{found['type']}s",
                hits=random.randrange(200),
                ms=round(random.uniform(4, 90), 1),
            )
        case _:
            permitted = person.role != "clerk"
            session.do(
                action,
                found,
                outcome="SUCCESS" if permitted else "DENIED",
                reason="" if permitted else "role clerk may not export",
                call=call.replace("GET", "POST") + "/export",
                rows=random.randrange(1, 120),
                format=random.choice(("csv", "pdf")),
            )


def _renew(session: Session) -> None:
    session.do("token.refresh", token(session.random), call="POST /token", lifetime_s=900)


def _sign_out(session: Session) -> None:
    session.do("token.revoke", token(session.random), call="POST /revoke")
    session.do("user.logout", call="POST /logout")


def _administration(random: Random, organisation: Organisation, now: datetime) -> Session:
    administrator = random.choice(organisation.administrators)
    session = person_session(random, administrator, now)
    if not _sign_in(session, administrator):
        return session
    colleagues = [person for person in organisation.people if person.tenant == administrator.tenant]
    for _ in range(random.randrange(2, 9)):
        session.wait(120)
        _administer(session, random.choice(colleagues))
    session.wait(60)
    _sign_out(session)
    return session


def _administer(session: Session, whom: Person) -> None:
    random = session.random
    match random.randrange(12):
        case 0 | 1:
            session.do("mfa.reset", account(whom), call="POST /accounts/mfa", ticket=f"HD-{random.randrange(20_000)}")
        case 2:
            session.do("user.create", account(whom), call="POST /accounts", invited=True)
        case 3:
            session.do("user.disable", account(whom), call="POST /accounts/disable", reason="left the organisation")
        case 4 | 5:
            session.do("role.assign", account(whom), call="PUT /accounts/role", role=whom.role, was="clerk")
        case 6 | 7:
            setting = {"type": "setting", "id": random.choice(SETTINGS)}
            session.do("config.change", setting, call="PUT /settings", was=random.randrange(10, 60), now=30)
        case number:
            action = "permission.grant" if number % 2 else "permission.revoke"
            session.do(action, account(whom), call="PUT /permissions", permission=random.choice(PERMISSIONS))


def _job(random: Random, service: Service, now: datetime) -> Session:
    session = service_session(random, service, now)
    job = {"type": "job", "id": f"job-{random.getrandbits(40):010x}", "name": service.name}
    session.do("token.issue", token(random), call="POST /token", scope=service.name, lifetime_s=300)
    session.do("job.start", job)
    done = random.randrange(4, 24)
    for number in range(done):
        session.wait(4)
        session.do(
            "record.process",
            job,
            record(random, session.tenant),
            step=number + 1,
            ms=round(random.uniform(1, 400), 2),
        )
    failed = random.random() < 0.04
    session.wait(2)
    session.do(
        "job.finish",
        job,
        outcome="FAILURE" if failed else "SUCCESS",
        reason="time-out talking to the ledger" if failed else "",
        records=done,
    )
    return session
