import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.notes import Checkpoint, NoteError, Signer, VerifierKey, join_notes, split_notes
from tests.gateway.audit.builders import signer

CHECKPOINT = Checkpoint("querygate.audit/gw-1/1", 48113, hashlib.sha256(b"root").digest())


def test_a_note_has_the_form_that_c2sp_asks_for() -> None:
    note = signer().sign(CHECKPOINT)
    origin, size, root, empty, signature, end = note.split("\n")
    assert (origin, size, empty, end) == ("querygate.audit/gw-1/1", "48113", "", "")
    assert base64.b64decode(root) == CHECKPOINT.root
    dash, name, data = signature.split(" ")
    assert (dash, name) == ("\N{EM DASH}", "querygate.audit/gw-1/1")
    public = signer().key.public
    key_id = hashlib.sha256(b"querygate.audit/gw-1/1\n\x01" + public).digest()[:4]
    decoded = base64.b64decode(data)
    assert (decoded[:4], len(decoded)) == (key_id, 68)
    assert signer().key.open(note) == CHECKPOINT


def test_a_key_known_from_the_specification_of_signed_notes() -> None:
    """The example of Go's package note, whose format C2SP has written down."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert str(key) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6"
        "RyyBwJnAM=\n"
    )
    with pytest.raises(NoteError, match="not a checkpoint"):
        key.open(text)  # signed well, and says something else
    with pytest.raises(NoteError, match="the signature is not"):
        key.open(text.replace("think", "thank"))


def test_a_cosignature_of_a_witness_does_not_disturb() -> None:
    note = signer().sign(CHECKPOINT)
    cosigned = note + "\N{EM DASH} witness.example " + base64.b64encode(b"x" * 76).decode() + "\n"
    assert signer().key.open(cosigned) == CHECKPOINT


@given(st.data())
def test_no_changed_note_is_believed(data: st.DataObject) -> None:
    note = signer().sign(CHECKPOINT)
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.sampled_from("0A=+/ \n\u2014x").filter(lambda char: char != note[at]))
    changed = note[:at] + other + note[at + 1 :]
    try:
        opened = signer().key.open(changed)
    except NoteError:
        return
    assert opened == CHECKPOINT, "only bits that base64 ignores may differ"


def test_another_key_and_another_name_are_not_believed() -> None:
    other = Signer("querygate.audit/gw-1/1", b"k" * 32)
    with pytest.raises(NoteError, match="not signed by"):
        signer().key.open(other.sign(CHECKPOINT))
    with pytest.raises(NoteError, match="signed as"):
        signer("somebody").key.open(signer("somebody").sign(CHECKPOINT))


@pytest.mark.parametrize(
    "text", ["", "a", "a+b", "a+00000000+AAAA", "a b+00000000+AAAA", "a+00000000+!", "a+0+" + "A" * 44]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    "text", ["", "o\n1\n", "o\n01\nAA==\n", "o\n-1\nAA==\n", "o\n1\nAA==\n", "o\n1\n!\n", "o\n\n1\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_a_name_that_no_note_can_have_is_refused() -> None:
    for name in ("", "a b", "a+b", "a\nb"):
        with pytest.raises(ValueError, match="not usable"):
            Signer(name, bytes(32))


def test_notes_of_a_file_are_told_apart_and_a_torn_one_is_left_out() -> None:
    notes = [signer().sign(Checkpoint("querygate.audit/gw-1/1", size, CHECKPOINT.root)) for size in (1, 2, 3)]
    whole = join_notes(notes)
    assert split_notes(whole) == notes
    assert split_notes(notes[0]) == notes[:1], "a file with a single note"
    assert split_notes("") == []
    kept = len(join_notes(notes[:2]))
    for cut in range(kept, len(whole) - 2):
        assert split_notes(whole[:cut]) == notes[:2], cut
