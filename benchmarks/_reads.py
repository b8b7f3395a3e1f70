"""Proofs, entries and searches under load."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import orjson

from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._append import Subject, WrongCountError
from benchmarks._load import Load, run_load

_MOST_CALLS_PER_S = 15_000
_CALLERS = 64
_MOST_QUERIES_PER_S = 3_000
SCANS = {
    "text that is nowhere": '"nowhere to be found"',
    "a field that nothing lacks": "NOT actor.id:*",
    "a number that none is above": "attributes.amount > 1000000000",
}
"""Searches that read every entry and find none, by their names."""


def prove(subject: Subject, limit_s: float) -> Load:
    """Have random entries proven, for 64 callers. Raises WrongCountError if an answer is for another entry."""
    size = subject.size()
    requests = [
        pb.ProveRequest(inclusion=pb.InclusionTarget(index=random.randrange(size))).SerializeToString()
        for _ in range(int(_MOST_CALLS_PER_S * limit_s))
    ]
    load = run_load(subject.method("Prove"), requests, _CALLERS, limit_s)
    for answer in load.answers:
        proof = pb.ProveResponse.FromString(answer).inclusion
        if not (proof.leaf and proof.tree_size == size and f'"index":{proof.index},'.encode() in proof.leaf):
            raise WrongCountError(f"no proof of entry {proof.index} in a tree of {size}")
    return load


def get(subject: Subject, limit_s: float) -> Load:
    """Get random entries, for 64 callers."""
    size = subject.size()
    requests = [
        pb.GetRequest(index=random.randrange(size)).SerializeToString() for _ in range(int(_MOST_CALLS_PER_S * limit_s))
    ]
    load = run_load(subject.method("Get"), requests, _CALLERS, limit_s)
    for answer in load.answers:
        entry = pb.GetResponse.FromString(answer).entry
        if f'"index":{entry.index},'.encode() not in entry.leaf:
            raise WrongCountError(f"entry {entry.index} is answered with another leaf")
    return load


@dataclass(frozen=True, slots=True)
class Query:
    """A search, in words and as a filter, and at least how many entries a page of it must hold."""

    name: str
    filter: str
    at_least: int


def queries(subject: Subject) -> list[Query]:
    """Return the searches to measure: values that are frequent in the log, and one that a single entry has."""
    leaf = _leaf(subject, subject.size() // 3)
    event = orjson.loads(leaf)["event"]
    action, actor = f'action = "{event["action"]}"', f'actor.id = "{event["actor"]["id"]}"'
    return [
        Query("one frequent term", action, 1),
        Query("one rare term", f'id = "{event["id"]}"', 1),
        Query("two terms", f"{action} AND {actor}", 1),
        Query("free text, frequent", f'"{event["action"]}"', 1),
    ]


def query(subject: Subject, wanted: Query, limit_s: float) -> Load:
    """Ask for the newest hundred again and again, one at a time."""
    request = pb.QueryRequest(filter=wanted.filter, page_size=100).SerializeToString()
    load = run_load(subject.method("Query"), [request] * int(_MOST_QUERIES_PER_S * limit_s), 1, limit_s)
    for answer in load.answers:
        found = len(pb.QueryResponse.FromString(answer).entries)
        if found < wanted.at_least:
            raise WrongCountError(f"{wanted.filter}: {found} entries, expected {wanted.at_least}")
    return load


def scan_per_s(subject: Subject, text: str) -> float:
    """Return how many entries a second are read, without an index, for a filter that selects none of them."""
    started = time.perf_counter()
    request = pb.QueryRequest(filter=text, no_index=True)
    while True:
        load = run_load(subject.method("Query"), [request.SerializeToString()], 1, 60.0)
        page = pb.QueryResponse.FromString(load.answers[0])
        if page.entries:
            raise WrongCountError(f"{text} finds what is not there")
        if not page.next_page_token:
            return page.tree_size / (time.perf_counter() - started)
        request.page_token = page.next_page_token


def aggregate_per_s(subject: Subject) -> float:
    """Return how many entries a second are counted by action. Raises WrongCountError if not all of them are."""
    started = time.perf_counter()
    request = pb.AggregateRequest(by=[pb.Dimension(field="action")])
    counted = 0
    while True:
        load = run_load(subject.method("Aggregate"), [request.SerializeToString()], 1, 60.0)
        answer = pb.AggregateResponse.FromString(load.answers[0])
        counted += answer.count
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    if counted != answer.tree_size:
        raise WrongCountError(f"{counted} entries counted of {answer.tree_size}")
    return counted / (time.perf_counter() - started)


def _leaf(subject: Subject, index: int) -> bytes:
    load = run_load(subject.method("Get"), [pb.GetRequest(index=index).SerializeToString()], 1, 10.0)
    return pb.GetResponse.FromString(load.answers[0]).entry.leaf
