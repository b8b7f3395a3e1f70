"""A session: the steps that one actor takes, in the order of their times."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from demo._organisation import Person, Service

JsonObject = dict[str, Any]

RECORDS = {
    "harbour-clinic": ("patient", "prescription", "appointment"),
    "meadow-bank": ("account", "loan", "statement"),
    "quarry-labs": ("sample", "assay", "contract"),
    "summit-schools": ("pupil", "report", "class"),
}


@dataclass(slots=True)
class Session:
    """Steps that one actor takes from one address, and the clock they are taken by."""

    random: Random
    tenant: str
    actor: JsonObject
    origin: JsonObject
    now: datetime
    steps: list[JsonObject] = field(default_factory=list)

    def wait(self, mean_s: float) -> None:
        """Let a random time pass, of that mean and at most four times that."""
        self.now += timedelta(seconds=min(self.random.expovariate(1 / mean_s), 4 * mean_s))

    def do(
        self,
        action: str,
        *resources: JsonObject,
        outcome: str = "SUCCESS",
        reason: str = "",
        call: str = "",
        **attributes: object,
    ) -> None:
        """Take a step; `call` is the HTTP method and endpoint behind it."""
        method, _, endpoint = call.partition(" ")
        trace = self.random.getrandbits(192)
        step: JsonObject = {
            "id": "",
            "time": self.now,
            "tenant": self.tenant,
            "action": action,
            "outcome": outcome,
            **({"reason": reason} if reason else {}),
            "actor": self.actor,
            **({"resources": list(resources)} if resources else {}),
            "origin": {
                **self.origin,
                **({"method": method, "endpoint": endpoint} if call else {}),
                "request_id": f"req-{self.random.getrandbits(64):016x}",
                "traceparent": f"00-{trace >> 64:032x}-{trace & (1 << 64) - 1:016x}-01",
            },
            **({"attributes": attributes} if attributes else {}),
        }
        self.steps.append(step)


def person_session(random: Random, person: Person, now: datetime, ip: str = "", user_agent: str = "") -> Session:
    """Return an empty session of a person, who has not signed in yet."""
    actor = {
        "type": "user",
        "id": person.id,
        "name": person.name,
        "roles": [person.role],
        "session_id": f"s-{random.getrandbits(80):020x}",
        "auth_method": person.auth_method,
    }
    origin = {
        "ip": ip or random.choices(person.ips, (4, 1))[0],
        "user_agent": user_agent or person.user_agent,
        **({} if ip else {"device_id": person.device_id}),
    }
    return Session(random, person.tenant, actor, origin, now)


def account(person: Person) -> JsonObject:
    """Return a person's account as a resource."""
    return {"type": "account", "id": person.id, "name": person.name}


def record(random: Random, tenant: str) -> JsonObject:
    """Return some record of a tenant as a resource."""
    kind = random.choice(RECORDS[tenant])
    return {"type": kind, "id": f"{kind[:3].upper()}-{random.randrange(10_000, 60_000)}"}


def token(random: Random) -> JsonObject:
    """Return a fresh access token, by its identifier alone, as a resource."""
    return {"type": "token", "id": f"tok-{random.getrandbits(64):016x}"}


def service_session(random: Random, service: Service, now: datetime) -> Session:
    """Return an empty session of a service."""
    actor = {
        "type": "service",
        "id": f"{service.id}.{service.tenant}",
        "name": service.name,
        "session_id": f"s-{random.getrandbits(80):020x}",
        "auth_method": "client_credentials",
    }
    return Session(random, service.tenant, actor, {"ip": service.ip, "user_agent": f"{service.id}/4.2"}, now)
