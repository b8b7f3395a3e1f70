"""The index of one log, and searching it."""

from auditd.query._aggregate import Counted, Group, aggregate
from auditd.query._chain import ChainSearch
from auditd.query._derived_file import UnfitError, UnreadableError
from auditd.query._dimension import Dimension
from auditd.query._grams import BLOCK_ENTRIES, TILE_ENTRIES
from auditd.query._index import Entry, Index
from auditd.query._live import Matcher, match
from auditd.query._narrow import By
from auditd.query._page import Page
from auditd.query._page_tokens import AGGREGATE_PURPOSE, EXPORT_PURPOSE, PageTokens, Position, QueryIdentity
from auditd.query._search import Search
from auditd.query._source import Source
from auditd.query._spans import Order
from auditd.query._terms import caller_terms, member_terms
from auditd.query._tiles import Tiles
from auditd.query._verify import FalseEntries, covered_by, verify_index, verify_tiles

__all__ = [
    "AGGREGATE_PURPOSE",
    "BLOCK_ENTRIES",
    "EXPORT_PURPOSE",
    "TILE_ENTRIES",
    "By",
    "ChainSearch",
    "Counted",
    "Dimension",
    "Entry",
    "FalseEntries",
    "Group",
    "Index",
    "Matcher",
    "Order",
    "Page",
    "PageTokens",
    "Position",
    "QueryIdentity",
    "Search",
    "Source",
    "Tiles",
    "UnfitError",
    "UnreadableError",
    "aggregate",
    "caller_terms",
    "covered_by",
    "match",
    "member_terms",
    "verify_index",
    "verify_tiles",
]
