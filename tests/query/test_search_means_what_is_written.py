"""A search finds what the reference of filters says, however it is narrowed: held against a reading of its own."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings

from auditd.filter import bind, compile_predicate, parse
from auditd.query import Index, Order, Search, Tiles
from tests.filter_cases import NOW_NS, OF_THE_ENTRY, OF_THE_EVENT, SPELLINGS, event, of_kinds, trees
from tests.filter_meaning import plain, selects, spelled

SMALL, LARGE, KINDS = 120, 4_400, 60
RARE = range(40, KINDS)
EVERY_KIND = OF_THE_EVENT | OF_THE_ENTRY


class Searched:
    """A log, its search, and the entries or kinds of entries that it holds, read plainly."""

    def __init__(self, log, folder, entries, kinds=()):
        self.entries, self.kinds, self._size = entries, kinds, log.size
        self._index, self._tiles = Index(folder / "index.db", log), Tiles(folder / "tiles.db", log)
        assert self._index.wait_covered(log.size, 60)
        assert self._tiles.wait_text_covered(log.size // 4096 * 4096, 60)
        self._search = Search(log, self._index, self._tiles)

    def find(self, text, *, use_index):
        page = self._search.page(
            bind(parse(text), NOW_NS),
            order=Order.OLDEST_FIRST,
            page_size=self._size,
            tree_size=self._size,
            max_bytes=2**40,
            use_index=use_index,
        )
        assert page.next_cursor is None
        return [index for index, _ in page.entries]

    def close(self):
        self._index.close()
        self._tiles.close()


def filled(log, events):
    for number, sent in enumerate(events):
        time = f"2026-11-25T{number // 150:02}:{number // 60 % 60:02}:{number % 60:02}.000{number % 7:03}Z"
        log.append(sent, recorded_at=time)
    return log


@pytest.fixture(scope="module")
def small(new_log, tmp_path_factory):
    choose = random.Random(7).choice
    log = filled(new_log(), (event(choose, number) for number in range(SMALL)))
    searched = Searched(log, tmp_path_factory.mktemp("small"), [plain(leaf) for leaf in log.leaves(0, SMALL)])
    yield searched
    searched.close()


@pytest.fixture(scope="module")
def large(new_log, tmp_path_factory):
    """A log with an index of text, whose entries are of few kinds, some of them rare."""
    source = random.Random(8)
    events = [event(source.choice, number) for number in range(KINDS)]
    kinds = [source.choice(RARE) if source.random() < 0.01 else source.randrange(RARE.start) for _ in range(LARGE)]
    log = filled(new_log(), (events[kind] for kind in kinds))
    plainly = [plain(json.dumps({"event": sent}).encode()) for sent in events]
    searched = Searched(log, tmp_path_factory.mktemp("large"), plainly, kinds)
    yield searched
    searched.close()


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_term_selects_what_it_means(small, kind):
    source, terms = random.Random(kind), EVERY_KIND[kind]
    for term in source.sample(terms, min(len(terms), 80)):
        text = spelled(term, source)
        predicate = compile_predicate(bind(parse(text), NOW_NS))
        for entry in small.entries:
            assert predicate(entry) == selects(term, entry, NOW_NS), (text, entry)


@settings(max_examples=50)
@given(trees(of_kinds(EVERY_KIND)), SPELLINGS)
def test_every_filter_finds_what_it_means(small, tree, spelling):
    text = spelled(tree, spelling)
    expected = [index for index, entry in enumerate(small.entries) if selects(tree, entry, NOW_NS)]
    assert small.find(text, use_index=True) == expected, text
    assert small.find(text, use_index=False) == expected, text


@settings(max_examples=60)
@given(trees(of_kinds(OF_THE_EVENT)), SPELLINGS)
def test_every_filter_finds_what_it_means_where_text_is_narrowed(large, tree, spelling):
    text = spelled(tree, spelling)
    selected = {kind for kind, entry in enumerate(large.entries) if selects(tree, entry)}
    expected = [index for index, kind in enumerate(large.kinds) if kind in selected]
    assert large.find(text, use_index=True) == expected, text
