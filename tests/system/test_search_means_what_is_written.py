"""Filters of every kind, asked of a real server, find what the reference of filters says."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings

from auditd_client import Client
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.filter_cases import OF_THE_ENTRY, OF_THE_EVENT, SEALED, SPELLINGS, event, of_kinds, trees
from tests.filter_meaning import plain, selects, spelled

COUNT = 150
ADDED_BY_THE_SERVER = {"identity", "verified"}


class Asked:
    """A server's Query, and all that it holds, read plainly."""

    def __init__(self, server):
        self._query, self._metadata = server.stub().Query, [("authorization", f"Bearer {server.token('admin')}")]
        self.entries = [plain(entry.leaf) for entry in self.ask("").entries]

    def ask(self, text, **options):
        request = pb.QueryRequest(filter=text, order=pb.ORDER_OLDEST_FIRST, page_size=1_000, **options)
        return self._query(request, metadata=self._metadata, timeout=60)

    def find(self, text, **options):
        return [entry.index for entry in self.ask(text, **options).entries]


@pytest.fixture(scope="module")
def asked(shared_server):
    choose = random.Random(6).choice
    with Client(shared_server.address, token=shared_server.token("admin", subject="svc")) as client:
        client.append([sent(event(choose, number)) for number in range(COUNT)])
    return Asked(shared_server)


def sent(members):
    """Return an event as a caller may send it: of now, and without what only the server says."""
    sent = {name: unsealed(member) for name, member in members.items() if name != "time" and member != SEALED}
    if "actor" in sent:
        sent["actor"] = {name: said for name, said in sent["actor"].items() if name not in ADDED_BY_THE_SERVER}
    return sent


def unsealed(value):
    if isinstance(value, list):
        return [unsealed(element) for element in value if element != SEALED]
    if isinstance(value, dict):
        return {name: unsealed(member) for name, member in value.items() if member != SEALED}
    return value


@settings(max_examples=40)
@given(trees(of_kinds(OF_THE_EVENT | OF_THE_ENTRY)), SPELLINGS)
def test_every_filter_finds_what_it_means(asked, tree, spelling):
    text = spelled(tree, spelling)
    expected = [entry["index"] for entry in asked.entries if selects(tree, entry, time.time_ns())]
    assert asked.find(text) == expected, text
    assert asked.find(text, no_index=True) == expected, text
