"""The index of one log, and searching it."""

from auditd.query._index import Index
from auditd.query._page_tokens import PageTokens, Position, QueryIdentity
from auditd.query._search import Page, Search
from auditd.query._source import Source
from auditd.query._spans import Order

__all__ = ["Index", "Order", "Page", "PageTokens", "Position", "QueryIdentity", "Search", "Source"]
