"""What makes two calls the same call: tool, operation and arguments, however they were written down."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import UNREAD, Call
from gateway.pipeline import ReadBody, Send
from gateway.understand.intents import canonical, with_intent
from tests.builders import call, request, tool
from tests.drive import Drive

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def intent(of: Call, body: bytes | None = b"") -> str:
    return with_intent(of, body).intent


def shuffled(value):
    """The same value with the members of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(inner) for key, inner in reversed(value.items())}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_order_of_members_does_not_show(args):
    assert intent(call(args=args)) == intent(call(args=shuffled(args)))
    assert canonical(args) == canonical(shuffled(args))


@given(st.dictionaries(st.text(), JSON, max_size=3), st.dictionaries(st.text(), JSON, max_size=3))
def test_other_arguments_are_another_call(one, other):
    if canonical(one) != canonical(other):
        assert intent(call(args=one)) != intent(call(args=other))


def test_order_in_a_list_is_another_call():
    assert intent(call(args={"a": [1, 2]})) != intent(call(args={"a": [2, 1]}))


def test_tool_and_operation_belong_to_it_and_the_agent_does_not():
    one = call("a", args={"x": 1})
    assert intent(one) != intent(call("b", args={"x": 1}))
    assert intent(one) != intent(call("a", args={"x": 1}, to=tool("other")))
    assert intent(one) == intent(structs.replace(one, agent=structs.replace(one.agent, id="another"), id="call-2"))


def test_parameters_of_the_path_belong_to_it():
    one, other = (structs.replace(call("GET /users/{id}"), params={"id": name}) for name in ("7", "8"))
    assert intent(one) != intent(other)


@pytest.mark.parametrize("value", ["\ud800", 2**80])
def test_values_beyond_json_are_told_apart_too(value):
    assert intent(call(args={"a": value})) == intent(call(args={"a": value}))
    assert intent(call(args={"a": value})) != intent(call(args={"a": "other"}))


def test_arguments_that_were_not_read_count_by_query_and_body():
    unread = structs.replace(call(target="/user?page=1"), args=UNREAD)
    assert intent(unread, b"a") == intent(unread, b"a")
    assert intent(unread, b"a") != intent(unread, b"b")
    assert intent(unread) != intent(structs.replace(unread, target="/user?page=2"))


def test_nor_does_it_help_to_write_down_in_another_way_what_is_not_read():
    unread = structs.replace(call("POST /u", target="/u?a=1&b=2&a=3"), args=UNREAD)
    first = intent(unread, b'{"a": 1, "b": [2]}')
    assert intent(unread, b' {"b":[2],"a":1}\n') == first
    assert intent(structs.replace(unread, target="/u?&b=2&a=1&a=3&"), b'{"a":1,"b":[2]}') == first
    assert intent(structs.replace(unread, target="/u?a=3&a=1&b=2"), b'{"a":1,"b":[2]}') != first, "a list has an order"
    assert intent(unread, b'{"a": 1, "b": [3]}') != first
    assert intent(unread, b"{a: 1}") != intent(unread, b"{a:1}"), "no JSON"


def test_a_body_too_large_to_be_read_is_like_no_other():
    large = call(of=request("POST", "/github/user", length=10_000_000))
    assert with_intent(large, None) is large
    assert large.intent == ""


def test_a_call_without_a_body_has_an_intent_all_the_same():
    assert intent(call(), None) == intent(call(), b"") != ""


def test_each_call_of_a_batch_has_its_own_and_the_batch_none():
    batch = structs.replace(
        call("batch"), parts=(call("a", args={"x": 1}), call("a", args={"x": 2}), call("a", args={"x": 1}))
    )
    whole = with_intent(batch, b"[...]")
    first, second, third = (part.intent for part in whole.parts)
    assert whole.intent == ""
    assert first == third != second
    assert first == intent(call("a", args={"x": 1}))


# -- in the pipeline ---------------------------------------------------------------------------------------------


def test_where_calls_are_compared_a_body_that_no_rule_reads_is_read_up_to_its_limit():
    drive = Drive(compares=True)
    assert drive.go(request("POST", "/bank/t", length=8)) == ReadBody(1000, optional=True)
    send = drive.answer(orjson.dumps({"a": 1}))
    assert isinstance(send, Send)
    assert send.permit.call.intent
    drive.way.close()


def test_one_that_is_over_the_limit_goes_on_without_an_intent():
    drive = Drive(compares=True)
    drive.go(request("POST", "/bank/t", length=5000))
    send = drive.answer(None)
    assert isinstance(send, Send)
    assert send.permit.call.intent == ""
    drive.way.close()


def test_where_calls_are_not_compared_nothing_is_read_for_it():
    send = Drive().go(request("POST", "/bank/t", length=8))
    assert isinstance(send, Send)
    assert send.permit.call.intent == ""
