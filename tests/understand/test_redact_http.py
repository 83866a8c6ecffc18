"""Masks in plain HTTP: in the query, the form, the JSON body and the result; or a refusal."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.model import Answered, Call, Reason, Route, Run
from gateway.policy.redaction import MASK
from gateway.understand.http import HttpReader
from gateway.understand.http_answers import JsonAnswer
from gateway.understand.masking import masked_result, with_values
from tests.builders import ANYBODY, request, tool
from tests.understand.test_http import FORM, JSON
from tests.understand.test_http_answers import Judge

QUOTED = "%5Bredacted%5D"


def redacted(
    target: str,
    body: bytes | None,
    *fields: tuple[str, str],
    mask: list[str],
    length: int | None = None,
    **settings: Any,
) -> Call:
    """The call that the tool gets. ``body`` None: it was not read ahead."""
    to = tool("bank", **settings)
    reader = HttpReader(to, reads_args=True, looks_at_path=False)
    path, _, query = target.partition("?")
    came = request("POST", "/bank" + target, fields, length=len(body or b"") if length is None else length)
    call = reader.read("id-1", came, Route(to, target, path, query, "h"), ANYBODY, Run(), body)
    return reader.redact(call, mask, body)


def test_a_json_body_is_written_anew_with_masks():
    body = b'{ "user": {"password": "hunter2", "name": "Ann"}, "n": 1.50, "big": 9007199254740991 }'
    call = redacted("/x", body, JSON, mask=["args.user.password"])
    assert call.body == b'{"user":{"password":"[redacted]","name":"Ann"},"n":1.5,"big":9007199254740991}'
    assert call.args == json.loads(call.body)
    assert call.amendments == ("redacted args.user.password",)
    assert (call.target, call.query) == ("/x", "")


def test_a_form_keeps_the_bytes_of_all_other_pairs():
    call = redacted("/x", b"a=%7e+1&password=hunter2&&b=~%201&c", FORM, mask=["args.password"])
    assert call.body == f"a=%7e+1&password={QUOTED}&&b=~%201&c".encode()


def test_a_query_is_masked_in_target_and_query_alike():
    call = redacted("/a%2Fb?q=%7e&pass%77ord=hunter2", None, mask=["args.password"])
    assert call.target == f"/a%2Fb?q=%7e&pass%77ord={QUOTED}"
    assert (call.query, call.path, call.body) == (f"q=%7e&pass%77ord={QUOTED}", "/a/b", None)
    assert call.args == {"q": "~", "password": MASK}


def test_query_and_body_are_both_masked():
    call = redacted("/x?token=t&a=1", b'{"pin":1}', JSON, mask=["args.token", "args.pin"])
    assert (call.query, call.body) == (f"token={QUOTED}&a=1", b'{"pin":"[redacted]"}')
    assert call.amendments == ("redacted args.token", "redacted args.pin")


def test_of_repeated_parameters_each_is_masked():
    settings = {"repeated_parameters": True}
    assert redacted("/x?a=1&b=2&a=3", None, mask=["args.a"], **settings).query == f"a={QUOTED}&b=2&a={QUOTED}"
    assert redacted("/x?a=1&b=2&a=3", None, mask=["args.a.*"], **settings).query == f"a={QUOTED}&b=2&a={QUOTED}"


@pytest.mark.parametrize("body", [b'{ "n" : 1 }', b""])
def test_a_call_without_any_of_the_fields_stays_as_it_came(body):
    call = redacted("/x?q=%7e", body, JSON, mask=["args.password", "args.n.x"])
    assert (call.body, call.query, call.amendments) == (None, "q=%7e", ())


@pytest.mark.parametrize(
    ("body", "fields", "length"),
    [
        (None, (JSON,), 5_000_000),
        (b"\x1f\x8b", (JSON, ("Content-Encoding", "gzip")), None),
        (b"<password/>", (("Content-Type", "text/xml"),), None),
        (b"[1]", (JSON,), None),
        (b'{"a": 1, "a": 2}', (JSON,), None),
    ],
)
def test_a_body_that_no_rule_could_read_could_hold_the_field(body, fields, length):
    """The tool is one that is decided on the head alone where the body cannot be read."""
    with pytest.raises(Refused) as caught:
        redacted("/x", body, *fields, mask=["args.password"], length=length, head_only=True)
    assert (caught.value.reason, caught.value.status) == (Reason.REDACTION_FAILED, 403)


def test_where_nobody_has_read_the_body_nothing_can_be_masked_in_it():
    reader = HttpReader(tool("bank"), reads_args=False, looks_at_path=False)
    came = request("POST", "/bank/x", [JSON], length=9)
    call = reader.read("id-1", came, Route(tool("bank"), "/x", "/x", "", "h"), ANYBODY, Run(), None)
    with pytest.raises(Refused, match="was not read"):
        reader.redact(call, ["args.a"], None)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "ü=", "c&"]), TEXTS), max_size=6), st.sampled_from(["a", "ü=", "zz"])
)
def test_any_pairs_read_the_same_but_for_the_masked_ones(pairs, name):
    text = urlencode(pairs)
    values: dict[str, Any] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(MASK if key == name else value)
    written = with_values(text, values)
    assert parse_qsl(written, keep_blank_values=True) == [(key, MASK if key == name else value) for key, value in pairs]
    kept = [pair for pair, (key, _) in zip(text.split("&"), pairs, strict=False) if key != name]
    assert [pair for pair in written.split("&") if pair in kept] == kept or not pairs


# -- results -----------------------------------------------------------------------------------------------------


def answer(body: bytes, *mask: str) -> tuple[bytes, JsonAnswer]:
    answer = JsonAnswer(Answered(200, 0.1, "application/json"), Judge(fields=mask), 1000)
    return answer.feed(body[:5]) + answer.feed(body[5:]) + answer.end(), answer


def test_a_result_reaches_the_agent_with_masks_and_the_record_names_them():
    got, read = answer(b'{"items": [{"ssn": 1, "n": 2}, {"n": 3}]}', "result.items.*.ssn", "result.none")
    assert got == b'{"items":[{"ssn":"[redacted]","n":2},{"n":3}]}'
    assert read.refusal() is None
    assert read.found().notes == ("redacted result.items.*.ssn",)


def test_a_result_without_any_of_the_fields_keeps_its_bytes():
    body = b'{ "items" : [ 1.0 ] }'
    got, read = answer(body, "result.items.*.ssn")
    assert (got, read.found().notes) == (body, ())


# -- MCP's repetition of structured content ----------------------------------------------------------------------


def test_a_text_that_repeats_structured_content_is_masked_with_it():
    structured = {"ssn": "123", "n": 1.0}
    texts = ['{"n": 1.0,\n "ssn": "123"}', "ssn 123", '{"ssn": "456"}', "{broken"]
    content = [{"type": "text", "text": text, "annotations": {"x": 1}} for text in texts]
    result = {"content": [*content, {"type": "image"}, "odd"], "structuredContent": structured, "isError": False}
    masked, led = masked_result(result, ["result.structuredContent.ssn"])
    assert led == ("result.structuredContent.ssn",)
    assert masked["structuredContent"] == {"ssn": MASK, "n": 1.0}
    assert json.loads(masked["content"][0]["text"]) == {"ssn": MASK, "n": 1.0}
    assert masked["content"][0]["annotations"] == {"x": 1}
    assert masked["content"][1:] == result["content"][1:]
    assert masked["isError"] is False


def test_a_text_is_left_alone_where_the_structured_content_is():
    result = {"content": [{"type": "text", "text": '{"a": 1}'}], "structuredContent": {"a": 1}, "meta": 1}
    masked, led = masked_result(result, ["result.meta"])
    assert (masked, led) == ({**result, "meta": MASK}, ("result.meta",))
