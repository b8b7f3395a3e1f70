"""The text of checkpoints."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.note import Checkpoint, NoteError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "notes.json").read_text())
TEXT = VECTORS["checkpoint"]["text"]
ROOT = TEXT.split("\n")[2]
CHECKPOINT = Checkpoint("example.com/log", 8, bytes.fromhex(VECTORS["checkpoint"]["root"]))

lines = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)), min_size=1)


def test_the_worked_checkpoint_reads_and_writes():
    assert Checkpoint.parse(TEXT) == CHECKPOINT
    assert CHECKPOINT.text() == TEXT


def test_the_empty_tree_has_a_checkpoint():
    empty = Checkpoint.parse(VECTORS["empty_checkpoint_text"])
    assert (empty.size, empty.text()) == (0, VECTORS["empty_checkpoint_text"])


@given(
    origin=lines,
    size=st.integers(1, 2**63 - 1),
    root=st.binary(min_size=32, max_size=32),
    extensions=st.lists(lines, max_size=2).map(tuple),
)
def test_any_checkpoint_reads_back(origin, size, root, extensions):
    checkpoint = Checkpoint(origin, size, root, extensions)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


def test_unknown_extension_lines_are_kept_as_they_are():
    assert Checkpoint.parse(TEXT + "ext 1\next 2\n").extensions == ("ext 1", "ext 2")


def sized(size: str) -> str:
    return TEXT.replace("\n8\n", f"\n{size}\n")


def rooted(root: str) -> str:
    return TEXT.replace(ROOT, root)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("", "does not end in a newline", id="empty"),
        pytest.param(TEXT[:-1], "does not end in a newline", id="no final newline"),
        pytest.param(TEXT.replace("\n", "\r\n"), r"control character '\\r'", id="carriage returns"),
        pytest.param("\ud800" + TEXT, "not valid UTF-8", id="lone surrogate"),
        pytest.param("\n", "line 1 is empty", id="one blank line"),
        pytest.param("example.com/log\n8\n", "has 2 lines, must have at least 3", id="no root"),
        pytest.param(TEXT[len("example.com/log") :], "line 1 is empty", id="empty origin"),
        pytest.param(sized(""), "line 2 is empty", id="empty size"),
        pytest.param(TEXT + "\n", "line 4 is empty", id="blank line at the end"),
        pytest.param(TEXT + "\next\n", "line 4 is empty", id="blank line before an extension"),
        *(
            pytest.param(sized(size), f"line 2: the size .* is {rule}", id=f"size {size!r}")
            for size, rule in [
                ("08", "not a decimal"),
                ("00", "not a decimal"),
                ("+8", "not a decimal"),
                ("-8", "not a decimal"),
                (" 8", "not a decimal"),
                ("8 ", "not a decimal"),
                ("0x8", "not a decimal"),
                ("1_0", "not a decimal"),
                ("٨", "not a decimal"),
                ("8.0", "not a decimal"),
                ("9223372036854775808", "above 9223372036854775807"),
                ("9" * 5_000, "above 9223372036854775807"),
            ]
        ),
        pytest.param(rooted("?"), r"line 3: the root '\?' is not canonical base64", id="no base64"),
        pytest.param(rooted(ROOT[:-1]), "not canonical base64", id="missing padding"),
        pytest.param(rooted(ROOT.replace("+", "-")), "not canonical base64", id="URL-safe alphabet"),
        pytest.param(rooted(ROOT[:-2] + "h="), "not canonical base64", id="trailing bits"),
        pytest.param(rooted(f"{ROOT} "), "not canonical base64", id="space after the root"),
        pytest.param(rooted("AAAA"), "line 3: the root has 3 bytes, must be 32", id="short root"),
        pytest.param(rooted("A" * 44), "line 3: the root has 33 bytes, must be 32", id="long root"),
        pytest.param(sized("0"), "line 3: the size is 0", id="empty tree with another root"),
    ],
)
def test_rejects_a_malformed_checkpoint_and_says_which_line_breaks_which_rule(text, rule):
    with pytest.raises(NoteError, match=rule) as caught:
        Checkpoint.parse(text)
    assert caught.value.reason == "MALFORMED_CHECKPOINT"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions", "rule"),
    [
        pytest.param("", 8, bytes(32), (), "origin: ''", id="empty origin"),
        pytest.param("a\nb", 8, bytes(32), (), "origin", id="origin of two lines"),
        pytest.param("a\tb", 8, bytes(32), (), "origin", id="tab in the origin"),
        pytest.param("log", -1, bytes(32), (), "size: -1", id="negative size"),
        pytest.param("log", 2**63, bytes(32), (), "size: 9223372036854775808", id="size beyond 63 bits"),
        pytest.param("log", 8, bytes(31), (), "root: 31 bytes", id="short root"),
        pytest.param("log", 0, bytes(32), (), "not that of the empty tree", id="empty tree with another root"),
        pytest.param("log", 8, bytes(32), ("",), "extension: ''", id="empty extension"),
    ],
)
def test_no_checkpoint_is_made_that_would_not_read_back(origin, size, root, extensions, rule):
    with pytest.raises(ValueError, match=rule):
        Checkpoint(origin, size, root, extensions)
