"""The events that are sent: 500 bytes as a message, and as large as CloudTrail's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from auditd_client import Event, event_from_dict
from auditd_client.importers import find_files, importer
from benchmarks._frames import Template, make_templates
from demo import generate_cloudtrail, generate_small

CLOUDTRAIL_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "cloudtrail"
"""Where real CloudTrail files lie, if anywhere: beside the repository."""

_SEED = 1
_TEMPLATES = 2_000
_PURPOSES = ("treatment", "billing", "quality assurance", "research", "subject access")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event to load a server with."""

    name: str
    templates: list[Template]

    @property
    def event_bytes(self) -> float:
        """Mean length of the event's message."""
        return sum(template.event_bytes for template in self.templates) / len(self.templates)

    @property
    def random_bytes(self) -> float:
        """Mean number of bytes of an event that no compression can take away."""
        return sum(template.digits for template in self.templates) / len(self.templates) / 2


def small_events(actors: Sequence[Mapping[str, str]] = ()) -> Kind:
    """Return events of 500 bytes, as messages, on average: those of the demo, with more of their fields set.

    With `actors`, each event is done by one of these: its `id`, and its `token` if that comes along.
    """
    random = Random(_SEED)
    events: list[Event] = []
    for members in generate_small(_SEED, _TEMPLATES):
        members["actor"] |= {"name": f"Person {random.randrange(1000):03}", "roles": ["clinician"]}
        members["origin"]["traceparent"] = f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"
        members["producer"] = {"id": f"records-{random.randrange(8)}", "seq": random.randrange(10**5, 10**6)}
        members["attributes"] |= {
            "purpose": random.choice(_PURPOSES),
            "region": "eu-central-1",
            "fields": random.sample(("address", "birthdate", "email", "insurance", "notes", "phone"), 3),
            "consent": f"{random.getrandbits(64):016x}",
        }
        if actors:
            actor = actors[len(events) % len(actors)]
            members["actor"] = {"type": "user", "id": actor["id"]}
            members |= {"actor_token": actor["token"]} if "token" in actor else {}
        events.append(event_from_dict(members))
    return Kind("500 bytes", make_templates(events))


def cloudtrail_events(folder: Path) -> Kind:
    """Return the events of the CloudTrail files in `folder`; like ones of our own making where there are none."""
    if folder.is_dir():
        return Kind("CloudTrail", make_templates(_real_events(folder)))
    events = map(event_from_dict, generate_cloudtrail(_SEED, _TEMPLATES))
    return Kind("CloudTrail-sized", make_templates(events))


def _real_events(folder: Path) -> Iterator[Event]:
    cloudtrail = importer("cloudtrail")
    for file in find_files(cloudtrail, [str(folder)]):
        for placed in cloudtrail.read_file(Path(file)):
            yield placed.event
