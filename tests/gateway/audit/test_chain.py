import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.chain import Sealer, read_link


def sealed(count: int) -> list[bytes]:
    sealer = Sealer("c-1")
    return [sealer.seal((b'{"metadata":{"sequence":%d,"uid":"x"},' % number, b'"time":1')) for number in range(count)]


def test_a_line_covers_its_bytes_and_the_line_before() -> None:
    previous = None
    for number, line in enumerate(sealed(3)):
        body, fingerprint = re.fullmatch(
            rb'(.*),"fingerprint":\{"algorithm_id":3,"value":"([0-9a-f]{64})"\}\}\]\}\n', line, re.DOTALL
        ).groups()  # type: ignore[union-attr]
        assert hashlib.sha256(body).hexdigest() == fingerprint.decode()
        event = json.loads(line)
        [attestation] = event["attestation_list"]
        assert attestation["chain_uid"] == "c-1"
        assert attestation["fingerprint"]["value"] == fingerprint.decode()
        if previous is None:
            assert "prev_event" not in attestation
        else:
            assert attestation["prev_event"]["fingerprint"]["value"] == previous
        previous = fingerprint.decode()
        link = read_link(line)
        assert link is not None
        assert link.intact
        assert link.sequence == number


def test_a_chain_is_continued_where_it_ended() -> None:
    lines = sealed(3)
    link = read_link(lines[1])
    assert link is not None
    sealer = Sealer("c-1", 2, link.fingerprint)
    assert sealer.seal((b'{"metadata":{"sequence":2,"uid":"x"},', b'"time":1')) == lines[2]


def test_every_flipped_bit_is_noticed() -> None:
    line = sealed(2)[1]
    for position in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[position] ^= 1 << bit
            link = read_link(bytes(changed))
            assert link is None or not link.intact, (position, bit)


@given(st.binary(max_size=300))
def test_garbage_is_no_line(garbage: bytes) -> None:
    assert read_link(garbage) is None


def test_statement_text_cannot_pretend_to_be_the_end_of_a_line() -> None:
    fake = json.dumps('"}],"attestation_list":[{"chain_uid":"z","fingerprint":{"algorithm_id":3,"value":"' + "0" * 64)
    line = Sealer("c").seal((b'{"metadata":{"sequence":0,"uid":"x"},"q":' + fake.encode(),))
    link = read_link(line)
    assert link is not None
    assert (link.chain_uid, link.intact) == ("c", True)


@pytest.mark.parametrize("uid", ["", "a b", 'a"', "é", "x" * 65])
def test_a_chain_id_is_plain(uid: str) -> None:
    with pytest.raises(ValueError, match="chain id"):
        Sealer(uid)
