"""JSON-RPC messages, read so that no server can read them differently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.understand.jsonrpc import MOST_MESSAGES, Malformed, message, messages, resembles

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "search"}}


def without(key: str, **more: object) -> dict[str, object]:
    return {name: value for name, value in CALL.items() if name != key} | more


@pytest.mark.parametrize("ident", [0, 7, -1, "7", "", "x" * 256, 2**53])
def test_an_id_keeps_its_value_and_its_type(ident):
    read = message(CALL | {"id": ident})
    assert read.id == ident
    assert type(read.id) is type(ident)
    assert read.is_request


def test_a_message_without_an_id_is_a_notification_and_no_request():
    assert not message(without("id")).is_request


def test_a_clients_answer_has_no_method():
    read = message({"jsonrpc": "2.0", "id": 3, "result": {"action": "accept"}})
    assert (read.method, read.id, read.result, read.is_request) == ("", 3, {"action": "accept"}, False)


def test_an_error_may_answer_a_request_whose_id_could_not_be_read():
    assert message({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "?"}}).id is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("tools/call", r"^\$ is not an object"),
        (without("jsonrpc"), r'\$\.jsonrpc is not "2\.0"'),
        (CALL | {"jsonrpc": 2.0}, r'\$\.jsonrpc is not "2\.0"'),
        (CALL | {"method": None}, r"\$\.method"),
        (CALL | {"method": ["tools/call"]}, r"\$\.method"),
        (CALL | {"method": ""}, r"\$\.method"),
        (CALL | {"method": "tools/call "}, r"\$\.method"),
        (CALL | {"method": "tools/call\n"}, r"\$\.method"),
        (CALL | {"method": "tools\u2215call"}, r"\$\.method"),
        (CALL | {"method": "m" * 129}, r"\$\.method"),
        (CALL | {"params": ["search"]}, r"\$\.params is not an object"),
        (CALL | {"id": None}, r"\$\.id"),
        (CALL | {"id": True}, r"\$\.id"),
        (CALL | {"id": 1.5}, r"\$\.id"),
        (CALL | {"id": {"a": 1}}, r"\$\.id"),
        (CALL | {"id": "x" * 257}, r"\$\.id"),
        (CALL | {"result": {}}, "a request and a response at once"),
        ({"jsonrpc": "2.0", "id": 1}, "either a result or an error"),
        ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}, "either a result or an error"),
        ({"jsonrpc": "2.0", "result": {}}, r"\$\.id"),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(value, told):
    with pytest.raises(Malformed, match=told):
        message(value)


@pytest.mark.parametrize("key", ["Method", "METHOD", "Params", "ID", "reſult", "JsonRPC"])
def test_a_member_that_decoders_without_case_take_for_another_is_refused(key):
    with pytest.raises(Malformed, match="some servers take for"):
        message(CALL | {key: "tools/list"})


@pytest.mark.parametrize("key", ["Name", "ARGUMENTS", "Uri", "argumentſ"])
def test_so_is_a_member_of_params(key):
    with pytest.raises(Malformed, match=r"\$\.params has a member .* some servers take for"):
        message(CALL | {"params": {"name": "search", key: "delete"}})


def test_other_members_may_be_there_for_whom_they_concern():
    params = {"name": "search", "task": {"ttl": 1}, "inputResponses": {}, "requestState": "x"}
    assert message(CALL | {"params": params, "traceparent": "00-1"}).params == params


def test_a_batch_has_its_messages_in_order():
    batch = [CALL, without("id", method="notifications/cancelled"), CALL | {"id": "7"}]
    assert [read.id for read in messages(batch)] == [7, None, "7"]


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        ([], "1 to 64"),
        ([CALL] * (MOST_MESSAGES + 1), "1 to 64"),
        ([CALL, CALL], "the same id"),
        ([CALL, 3], r"\$\[1\] is not an object"),
        ([CALL, [CALL]], r"\$\[1\] is not an object"),
    ],
)
def test_a_batch_is_bounded_and_each_of_its_answers_belongs_to_one_request(batch, told):
    with pytest.raises(Malformed, match=told):
        messages(batch)


@pytest.mark.parametrize(
    ("value", "does"),
    [
        (CALL, True),
        ([], True),
        ({"Method": "tools/call"}, True),
        ({"method": "x"}, True),
        ({"JSONRPC": "2.0"}, True),
        ({"redirect_uris": ["http://localhost/cb"]}, False),
        ({}, False),
        ("tools/call", False),
    ],
)
def test_whatever_a_lax_server_could_take_for_a_message_resembles_one(value, does):
    assert resembles(value) is does


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["2.0", "tools/call"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "Method"]) | st.text(max_size=4),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_messages_or_malformed(value):
    try:
        read = messages(value)
    except Malformed as error:
        assert str(error)
    else:
        assert all(one.method or not one.is_request for one in read)
