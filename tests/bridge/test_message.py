"""Messages keep the bytes that a bridge has no business with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.bridge import message as rpc
from gateway.bridge.message import Message, RpcError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
INDENTS = st.sampled_from([None, 0, 2])


@given(VALUES, INDENTS, st.booleans())
def test_any_message_comes_out_on_one_line_as_the_same_message(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    sent = {"jsonrpc": "2.0", "id": 1, "result": value, "more": value}
    line = rpc.render(rpc.parse(json.dumps(sent, indent=indent, ensure_ascii=ascii_only).encode()).members)
    assert b"\n" not in line
    assert json.loads(line) == sent


@given(VALUES)
def test_a_value_planted_deep_down_leaves_its_neighbours_alone(value: Any) -> None:
    sent = {"params": {"_meta": {"progressToken": 1, "x": value}, "y": value}, "z": value}
    members = {name: Raw(json.dumps(given).encode()) for name, given in sent.items()}
    path = ("params", "_meta", "progressToken")
    planted = rpc.planted(members, path, b'"new"')
    sent["params"]["_meta"]["progressToken"] = "new"
    assert json.loads(rpc.render(planted)) == sent
    assert rpc.scalar(rpc.dig(members, *path)) == 1


def test_a_way_that_ends_early_leads_nowhere_and_can_be_built() -> None:
    assert rpc.dig({"params": Raw(b"[1]")}, "params", "_meta", "x") is None
    assert (
        rpc.render(rpc.planted({"params": Raw(b"{}")}, ("params", "_meta", "x"), b"3"))
        == b'{"params":{"_meta":{"x":3}}}'
    )


def test_a_name_given_twice_reaches_the_other_side_once_as_it_was_read() -> None:
    message = rpc.parse(b'{"jsonrpc":"2.0","id":1,"method":"a","method":"b","id":2}')
    assert (message.method, message.ident) == ("b", 2)
    assert rpc.render(message.members) == b'{"jsonrpc":"2.0","id":2,"method":"b"}'


@pytest.mark.parametrize(("text", "ident"), [(b"1", 1), (b'"1"', "1"), (b"-7", -7), (b"9" * 40, int("9" * 40))])
def test_ids_are_told_apart_by_type(text: bytes, ident: int | str) -> None:
    message = rpc.parse(b'{"jsonrpc":"2.0","method":"ping","id":%b}' % text)
    assert message.is_request
    assert (message.ident, type(message.ident), message.raw_ident) == (ident, type(ident), text)


def test_a_batch_is_a_list_of_messages() -> None:
    one = b'{"jsonrpc": "2.0", "method": "m"}'
    batch = rpc.parse_body(b" [%b, %b]" % (one, one))
    assert isinstance(batch, list)
    assert [message.method for message in batch] == ["m", "m"]
    assert isinstance(rpc.parse_body(one), Message)


@given(st.binary(max_size=40))
def test_whatever_comes_is_a_message_or_an_error_of_json_rpc(data: bytes) -> None:
    try:
        rpc.parse_body(data)
    except RpcError as error:
        assert error.code in {rpc.PARSE_ERROR, rpc.INVALID_REQUEST}


def test_an_error_carries_the_id_as_it_was_written() -> None:
    assert rpc.error(b'"\\u0061"', -32603, "no", {"a": 1}) == (
        b'{"jsonrpc":"2.0","id":"\\u0061","error":{"code":-32603,"message":"no","data":{"a":1}}}'
    )
