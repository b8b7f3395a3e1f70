"""Values made to confuse the index are found like any other."""

import pytest

from auditd.filter import Comparison, Or, Pattern, Text
from auditd.query import Index, Order, Search

VALUES = {
    "upper and lower case": "Alice alice ALICE",
    "spaces at both ends": "  x  ",
    "empty": "",
    "quotation marks": "\"double\" 'single' `back`",
    "full-text syntax": 'a" OR "b* AND NOT (c) NEAR ^d + {e} : f',
    "only punctuation": "*",
    "line break inside": "first\nsecond",
    "line break first": "\nsecond",
    "only a line break": "\n",
    "NUL inside": "nul\x00nul",
    "NUL first": "\x00nul",
    "delete and escape": "\x7fdel\x1b[31m",
    "a term of another field": "x\naadmin",
    "beyond ASCII": "Zo\xeb \u212a \U0001f600",
    "of 40 characters": "m" * 40,
    "of 41 characters": "m" * 41,
    "long, with a line break at the cut": "m" * 39 + "\n" + "m" * 39,
    "long, beyond ASCII": "\U0001f600" * 200,
    "as long as may be": "w" * 1024,
}
PATHS = [("actor", "id"), ("actor", "session_id"), ("origin", "traceparent"), ("resources", "id"), ("actor", "roles")]


@pytest.fixture(scope="module")
def search(new_log, tmp_path_factory):
    log = new_log()
    for value in VALUES.values():
        actor = {"id": value, "session_id": value, "roles": ["other", value]}
        resources = [{"id": value}, {"id": "other"}]
        log.append({"id": value, "actor": actor, "origin": {"traceparent": value}, "resources": resources})
    index = Index(tmp_path_factory.mktemp("hostile") / "index.db", log)
    assert index.wait_covered(log.size, 30)
    yield Search(log, index)
    index.close()


def find(search, tree, most=1000):
    page = search.page(tree, order=Order.NEWEST_FIRST, page_size=1000, tree_size=len(VALUES))
    assert page.examined <= most
    return {index for index, _ in page.entries}


@pytest.mark.parametrize("path", [*PATHS, ("id",)], ids=".".join)
@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_found_by_itself(search, path, name):
    number = list(VALUES).index(name)
    assert find(search, Comparison(path, "=", Text(VALUES[name])), most=len(VALUES) - 1) == {number}


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_value_is_found_by_each_of_its_beginnings(search, path):
    for number, value in enumerate(VALUES.values()):
        for length in {1, 2, 8, 9, 19, 20, 39, 40, 41, len(value)}:
            tree = Comparison(path, ":", Pattern(value[:length], before=False, after=True))
            assert not value or number in find(search, tree)


def test_all_values_are_found_at_once(search):
    tree = Or(tuple(Comparison(("actor", "id"), "=", Text(value)) for value in VALUES.values()))
    assert find(search, tree) == set(range(len(VALUES)))
