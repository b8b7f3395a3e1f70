"""C2SP checkpoints, and that one extends another."""

import re

import pytest

from auditd_client.verify import (
    EMPTY_ROOT,
    BadSignatureError,
    Checkpoint,
    InconsistentError,
    MalformedError,
    ProofError,
    VerifierKey,
    WrongLogError,
    open_checkpoint,
    verify_extends,
)

ORIGIN = "example.com/log"
ROOT = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
PUBLISHED = (
    f"{ORIGIN}\n8\n{ROOT}\n\n— example.com/log "
    "Hd5FMb8RwD+WkDi6kXpFFCFLvujLuDk6+JXJQafpLIiEjS0GtFgPgoiKqGQ/bkfXv372nrlMMnk9abJUWYM3qoItcQA=\n"
)


@pytest.fixture(scope="module")
def signer(make):
    return make.signer(ORIGIN)


def test_opens_the_published_checkpoint(signer):
    root = bytes.fromhex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
    for note, key in ((PUBLISHED, signer.vkey), (PUBLISHED.encode(), VerifierKey.parse(signer.vkey))):
        checkpoint = open_checkpoint(note, key)
        assert checkpoint == Checkpoint(ORIGIN, 8, root)
        assert checkpoint.note == PUBLISHED


def test_opens_a_checkpoint_with_a_cosignature(signer):
    cosigned = PUBLISHED + (
        "— witness.example/w1 CtfTXgAAAABlU/EAEhn6P48qhqbAwccVlkO8orwVd/vmQjW2h+AFO9qOY7gA"
        "+fnWVz7cYK9FyBHWz6aNjtSEej/LkCbbm/z5anL7Bw==\n"
    )
    assert open_checkpoint(cosigned, signer.vkey).size == 8


def test_opens_the_checkpoint_of_an_empty_tree(signer):
    note = signer.note(f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
    assert open_checkpoint(note, signer.vkey) == Checkpoint(ORIGIN, 0, EMPTY_ROOT)


def test_ignores_extension_lines(signer):
    note = signer.note(f"{ORIGIN}\n8\n{ROOT}\nanything\u2028at all\n")
    assert open_checkpoint(note, signer.vkey).size == 8


def test_refuses_another_origin_though_the_signature_holds(signer):
    with pytest.raises(WrongLogError, match=r"expected 'example\.com/log~2', found 'example.com/log'") as caught:
        open_checkpoint(PUBLISHED, signer.vkey, "example.com/log~2")
    assert (caught.value.expected, caught.value.actual) == ("example.com/log~2", ORIGIN)


def test_expects_the_name_of_the_key_as_origin_unless_told_otherwise(signer):
    note = signer.note(f"example.com/other\n8\n{ROOT}\n")
    with pytest.raises(WrongLogError, match=r"expected 'example\.com/log', found 'example.com/other'"):
        open_checkpoint(note, signer.vkey)
    assert open_checkpoint(note, signer.vkey, "example.com/other").origin == "example.com/other"


def test_verifies_the_signature_before_reading_the_text(signer):
    with pytest.raises(BadSignatureError):
        open_checkpoint(PUBLISHED.replace("\n8\n", "\nnonsense\n"), signer.vkey)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param(f"{ORIGIN}\n", None, "1 lines, at least 3 (origin, size, root)", id="origin alone"),
        pytest.param(f"{ORIGIN}\n8\n", None, "2 lines, at least 3", id="no root"),
        pytest.param("\n", 1, "blank line", id="nothing"),
        pytest.param(f"\n8\n{ROOT}\n", 1, "blank line", id="empty origin"),
        pytest.param(f"{ORIGIN}\n8\n{ROOT}\n\n", 4, "blank line", id="blank line at the end"),
        pytest.param(f"{ORIGIN}\n8\n{ROOT}\n\nx\n", 4, "blank line", id="blank line before an extension"),
        pytest.param(f"{ORIGIN}\n08\n{ROOT}\n", 2, "size is not a decimal number", id="leading zero"),
        pytest.param(f"{ORIGIN}\n+8\n{ROOT}\n", 2, "size is not", id="sign"),
        pytest.param(f"{ORIGIN}\n-0\n{ROOT}\n", 2, "size is not", id="minus zero"),
        pytest.param(f"{ORIGIN}\n1_0\n{ROOT}\n", 2, "size is not", id="underscore"),
        pytest.param(f"{ORIGIN}\n 8\n{ROOT}\n", 2, "size is not", id="space"),
        pytest.param(f"{ORIGIN}\n٨\n{ROOT}\n", 2, "size is not", id="Arabic digit"),
        pytest.param(f"{ORIGIN}\n9223372036854775808\n{ROOT}\n", 2, "size is not", id="size of 2^63"),
        pytest.param(f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n", 2, "size is not", id="size of 5,000 digits"),
        pytest.param(f"{ORIGIN}\n8\n{ROOT[:-4]}\n", 3, "root: a hash is 32 bytes, found 30", id="short root"),
        pytest.param(f"{ORIGIN}\n8\n{ROOT[:-2]}h=\n", 3, "root: not strict base64", id="loose last bits"),
        pytest.param(f"{ORIGIN}\n8\n{ROOT} \n", 3, "root: not strict base64", id="space after the root"),
        pytest.param(
            f"{ORIGIN}\n0\n{ROOT}\n",
            3,
            f"root of the empty tree is {EMPTY_ROOT.hex()}, found 5dc9da79",
            id="empty tree with a root",
        ),
    ],
)
def test_refuses_signed_checkpoint_with(signer, text, line, message):
    with pytest.raises(MalformedError, match=re.escape(message)) as caught:
        open_checkpoint(signer.note(text), signer.vkey)
    assert (caught.value.what, caught.value.line) == ("checkpoint", line)


def test_the_largest_size_is_below_2_to_the_63(signer):
    note = signer.note(f"{ORIGIN}\n9223372036854775807\n{ROOT}\n")
    assert open_checkpoint(note, signer.vkey).size == 2**63 - 1


def test_a_checkpoint_extends_every_earlier_one(log):
    newest = log.checkpoint()
    for size in range(1, newest.size + 1):
        verify_extends(log.checkpoint(size), newest, log.consistency(size))


def test_any_tree_extends_the_empty_one_with_an_empty_proof(log):
    verify_extends(log.checkpoint(0), log.checkpoint(), [])
    verify_extends(log.checkpoint(0), log.checkpoint(0), [])
    with pytest.raises(InconsistentError, match="1 hashes, none expected"):
        verify_extends(log.checkpoint(0), log.checkpoint(), [EMPTY_ROOT])


@pytest.mark.parametrize("new_size", [0, 1])
def test_the_empty_tree_has_one_root(log, new_size):
    wrong = Checkpoint(log.origin, 0, bytes(32))
    with pytest.raises(InconsistentError, match=f"expected root {EMPTY_ROOT.hex()}, found {bytes(32).hex()}"):
        verify_extends(wrong, log.checkpoint(new_size), [])


def test_a_forked_checkpoint_is_refused_with_both_notes_as_evidence(make, log):
    fork = make.log([*log.leaves[:3], b"another", *log.leaves[4:]])
    known, forked = log.checkpoint(4), fork.checkpoint()
    with pytest.raises(InconsistentError, match="from size 4 to size 7: new tree") as caught:
        verify_extends(known, forked, log.consistency(4))
    assert (caught.value.old_note, caught.value.new_note) == (log.note(4), fork.note())
    assert caught.value.expected_root == forked.root
    assert isinstance(caught.value, ProofError)


def test_a_second_root_of_one_size_is_refused(make, log):
    fork = make.log([*log.leaves[:-1], b"another"])
    with pytest.raises(InconsistentError, match="two roots of one size"):
        verify_extends(log.checkpoint(), fork.checkpoint(), [])


def test_a_checkpoint_of_a_smaller_tree_is_refused(log):
    with pytest.raises(InconsistentError, match="from size 7 to size 4: a log never shrinks"):
        verify_extends(log.checkpoint(), log.checkpoint(4), log.consistency(4))


def test_checkpoints_of_two_logs_are_never_compared(make, log):
    other = make.log(log.leaves, origin="audit.example.com/access")
    with pytest.raises(WrongLogError, match="checkpoints are of two logs"):
        verify_extends(log.checkpoint(), other.checkpoint(), [])
