"""Every way in which a filter or a token of a page can be wrong, at every door: one answer, and a clear sentence."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2

from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.hostile_text import HOSTILE_TEXTS, is_harmless
from tests.system.conftest import Server, detail_of

FILTERS = {
    "more than 10 kB": ("a" * 10_001, "at most 10000 are allowed"),
    "exactly 10 kB of parentheses": ("(" * 10_000, "parentheses within each other"),
    "parentheses 1,000 deep": ("(" * 1_000 + "a" + ")" * 1_000, "more than 32 parentheses"),
    "NOT 1,000 deep": ("NOT (" * 1_000 + "a" + ")" * 1_000, "more than 32 parentheses"),
    "10,000 terms": (" ".join("a" * 10_000), "at most 10000 are allowed"),
    "4,000 terms": (" ".join("a" * 4_000), "more than 200 terms"),
    "a field that is not there": ("actor.idd = x", "did you mean actor.id"),
    "a field of two groups": ("name = x", "did you mean actor.name or resources.name"),
    "a text where a time belongs": ("time > yesterday", "is no time such as"),
    "a day that is none": ("time = 2026-02-30", "is no time that exists"),
    "a text where a number belongs": ("index = first", "is a whole number"),
    "a fraction where a whole number belongs": ("producer.seq > 1.5", "is a whole number"),
    "a word that is none of an enum": ("outcome = success", "use SUCCESS, FAILURE, DENIED"),
    "an order of an enum": ("outcome > FAILURE", "has no order"),
    "an order of addresses": ('origin.ip < "10.0.0.1"', "has no order"),
    "a pattern of addresses": ('origin.ip = "10.0.*"', "write a CIDR block"),
    "an address that is none": ('origin.ip = "300.1.1.1"', "is no IP address"),
    "a block with bits after its prefix": ('origin.ip = "10.0.0.1/8"', "write '10.0.0.0/8'"),
    "a pattern of times": ('time = "2026*"', "takes no *"),
    "a group compared": ("actor = alice", "is a group of fields"),
    "an order of constants": ("attributes.x > true", "has no order"),
    "a star in the middle": ('actor.id = "a*b"', "first or last"),
    "text without its end": ('actor.id = "alice', "never closed"),
    "nothing compared": ("actor.id =", "end"),
    "AND and OR mixed": ("a AND b OR c", "a AND (b OR c) or (a AND b) OR c"),
    "operators of other languages": ("a && b", "&"),
    "words of other languages": ("actor.id = x and outcome = DENIED", "write AND"),
}
SHOWN = (
    "a field that is not there",
    "a day that is none",
    "text without its end",
    "AND and OR mixed",
    "nothing compared",
)
DOORS = {
    "Query": lambda text: pb.QueryRequest(filter=text),
    "Tail": lambda text: pb.TailRequest(filter=text),
    "Export": lambda text: pb.ExportRequest(filter=text),
    "Aggregate": lambda text: pb.AggregateRequest(filter=text),
}
TOKENS = {
    "made up": "x" * 88,
    "empty but for blanks": " " * 88,
    "too short": "AAAA",
    "too long": "A" * 60_000,
    "of letters beyond ASCII": "é" * 88,
    "hostile": "\x1b[2J\u202e",
}


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    shared_server.bearer = [("authorization", f"Bearer {shared_server.token('admin')}")]  # type: ignore[attr-defined]
    return shared_server


def refusal(server, method, request):
    """Return code, reason, violations and message of a call that must be refused."""
    answer_of = getattr(server.stub(), method)
    with pytest.raises(grpc.RpcError) as caught:
        # What is no stream raises at once.
        list(answer_of(request, metadata=server.bearer, timeout=30))
    reason = detail_of(caught.value, error_details_pb2.ErrorInfo).reason
    fields = [one.field for one in detail_of(caught.value, error_details_pb2.BadRequest).field_violations]
    return caught.value.code().name, reason, fields, caught.value.details()


@pytest.mark.parametrize("case", FILTERS)
def test_every_method_refuses_a_bad_filter_with_the_same_words(server, case):
    text, words = FILTERS[case]
    answers = [refusal(server, method, request(text)) for method, request in DOORS.items()]
    assert answers == [answers[0]] * len(DOORS)
    code, reason, fields, message = answers[0]
    assert (code, reason, fields) == ("INVALID_ARGUMENT", "INVALID_FILTER", ["filter"])
    assert words in message
    assert len(message) < 2_000


@pytest.mark.parametrize("case", SHOWN)
def test_the_command_line_says_it_in_a_line_and_shows_the_place(server, case):
    text, words = FILTERS[case]
    done = server.cli("query", "--", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("auditlog: filter: ")
    said, shown, caret = done.stderr.splitlines()
    assert said.endswith(" (INVALID_FILTER)")
    assert words in said
    assert shown == f"auditlog:   {text}"
    column = int(said.partition("(at column ")[2].partition(")")[0])
    assert caret == "auditlog: " + " " * (column + 1) + "^"


@pytest.mark.parametrize("command", ["tail", "export", "stats"])
def test_every_command_refuses_a_bad_filter(server, command):
    for text, words in (FILTERS["parentheses 1,000 deep"], FILTERS["a field that is not there"]):
        done = server.cli(command, "--", text)
        assert (done.returncode, done.stdout, words in done.stderr) == (2, "", True), done.stderr


def test_a_refusal_shows_no_hostile_text_of_the_filter(server):
    texts = [hostile.text for hostile in HOSTILE_TEXTS if hostile.recordable]
    for text in texts:
        for spelled in (text + " = = x", f"action > > {text}", f"attributes.{text} > > 1"):
            code, _, _, message = refusal(server, "Query", pb.QueryRequest(filter=spelled))
            assert code == "INVALID_ARGUMENT"
            assert is_harmless(message.replace("\n", "")), ascii(message)


@pytest.mark.parametrize("case", TOKENS)
def test_every_method_refuses_a_token_that_it_never_gave(server, case):
    token = TOKENS[case]
    for method, request, field in (
        ("Query", pb.QueryRequest(page_token=token), "page_token"),
        ("Aggregate", pb.AggregateRequest(page_token=token), "page_token"),
        ("Export", pb.ExportRequest(resume_token=token), "resume_token"),
    ):
        code, reason, fields, message = refusal(server, method, request)
        assert (code, reason, fields) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", [field])
        assert is_harmless(message)
        assert len(message) < 300


def test_a_token_of_one_method_is_no_use_for_another(server):
    stub = server.stub()
    request = pb.AppendRequest()
    for number in range(3):
        made = request.events.add(id=f"e{number}", action="a")
        made.time.GetCurrentTime()
    stub.Append(request, metadata=server.bearer)
    page = stub.Query(pb.QueryRequest(page_size=1), metadata=server.bearer).next_page_token
    exported = next(iter(stub.Export(pb.ExportRequest(), metadata=server.bearer))).resume_token
    for method, other in (
        ("Export", pb.ExportRequest(resume_token=page)),
        ("Query", pb.QueryRequest(page_token=exported)),
        ("Aggregate", pb.AggregateRequest(page_token=page)),
    ):
        assert refusal(server, method, other)[:2] == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
