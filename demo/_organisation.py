"""The organisation that the scenario is about: tenants, people, services, and where they work from."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

TENANTS = ("harbour-clinic", "meadow-bank", "quarry-labs", "summit-schools")
FIRST_NAMES = (
    "Ada", "Amara", "Anton", "Aylin", "Ben", "Carla", "Chen", "Daria", "Elif", "Emeka", "Farah", "Felix",
    "Giulia", "Hana", "Ines", "Ivo", "Jana", "Kofi", "Lena", "Lucas", "Mei", "Milan", "Nadia", "Noah",
    "Olga", "Omar", "Petra", "Priya", "Quentin", "Rafael", "Rosa", "Samir", "Sofia", "Tariq", "Theo", "Uma",
    "Viktor", "Wanda", "Yuki", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Adeyemi", "Bauer", "Costa", "Dvořák", "Eriksen", "Fischer", "García", "Haddad", "Ito", "Jansen",
    "Kaya", "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka",
    "Ueda", "Varga", "Weber", "Xu", "Yilmaz", "Zimmer",
)  # fmt: skip
USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile",
)
# How many of 20 people hold a role.
ROLES = ("clerk",) * 11 + ("analyst",) * 5 + ("manager",) * 2 + ("support",) + ("administrator",)
SERVICES = ("billing", "backup", "report-mailer", "search-indexer", "ledger-sync", "retention")


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with an account; `ips` are the office address and the one at home."""

    id: str
    name: str
    tenant: str
    role: str
    ips: tuple[str, str]
    user_agent: str
    device_id: str
    auth_method: str


@dataclass(frozen=True, slots=True)
class Service:
    """A machine account and the address of its host."""

    id: str
    name: str
    tenant: str
    ip: str


@dataclass(frozen=True, slots=True)
class Organisation:
    """Everyone and everything that acts."""

    people: tuple[Person, ...]
    administrators: tuple[Person, ...]
    services: tuple[Service, ...]


def found_organisation(random: Random, people: int = 200) -> Organisation:
    """Return an organisation of that many people (at most 1,040), the same for the same state of `random`."""
    names = [(first, last) for first in FIRST_NAMES for last in LAST_NAMES]
    staff = tuple(_hire(random, number, *name) for number, name in enumerate(random.sample(names, people)))
    services = tuple(
        Service(f"svc-{name}", name, tenant, f"10.250.{number}.{10 + place}")
        for number, tenant in enumerate(TENANTS)
        for place, name in enumerate(SERVICES)
    )
    return Organisation(staff, tuple(one for one in staff if one.role == "administrator"), services)


def _hire(random: Random, number: int, first: str, last: str) -> Person:
    tenant = number % len(TENANTS)
    # Private addresses at the office; ranges kept for documentation (RFC 5737, RFC 3849) elsewhere.
    office = f"10.{10 + tenant}.{number // 50}.{20 + number % 200}"
    if random.random() < 0.3:
        home = f"2001:db8:{random.getrandbits(16):x}:{random.getrandbits(16):x}::{random.randrange(1, 200):x}"
    else:
        home = f"{random.choice(('192.0.2', '198.51.100', '203.0.113'))}.{random.randrange(1, 255)}"
    return Person(
        id=f"{first}.{last}".lower(),
        name=f"{first} {last}",
        tenant=TENANTS[tenant],
        role=ROLES[number // len(TENANTS) % len(ROLES)],
        ips=(office, home),
        user_agent=random.choice(USER_AGENTS),
        device_id=f"dev-{random.getrandbits(40):010x}",
        auth_method=random.choice(("password", "password", "webauthn", "sso")),
    )
