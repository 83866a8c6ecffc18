"""What a plain HTTP request means: operation, parameters, arguments."""

from __future__ import annotations

import pytest

from gateway.errors import Refused
from gateway.model import Agent, Call, Reason, Route, Run
from gateway.understand.http import MOST_PARAMETERS, HttpReader
from tests.builders import request, tool

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
OPERATIONS = ("GET /repos/{owner}/{repo}", "POST /transfers")


def read(
    method: str = "POST",
    target: str = "/transfers",
    body: bytes | None = None,
    *fields: tuple[str, str],
    reads_args: bool = True,
    looks_at_path: bool = True,
    **settings,
) -> Call:
    """Understand one request to a tool with these settings. ``target`` is what the tool sees."""
    settings.setdefault("operations", OPERATIONS)
    asked = tool("bank", **settings)
    path, _, query = target.partition("?")
    reader = HttpReader(asked, reads_args=reads_args, looks_at_path=looks_at_path)
    came = request(method, "/bank" + target, fields, length=len(body or b""))
    return reader.read("id-1", came, Route(asked, target, path, query, "h"), Agent("a"), Run("r"), body)


def refused(*given, **settings) -> Refused:
    with pytest.raises(Refused) as caught:
        read(*given, **settings)
    return caught.value


# -- operation ---------------------------------------------------------------------------------------------------


def test_a_template_names_the_operation_and_its_parameters():
    call = read("GET", "/repos/o/r%20x?page=2")
    assert call.operation == "GET /repos/{owner}/{repo}"
    assert call.params == {"owner": "o", "repo": "r x"}
    assert (call.target, call.path, call.query) == ("/repos/o/r%20x?page=2", "/repos/o/r x", "page=2")


@pytest.mark.parametrize("settings", [{}, {"operations": ()}])
def test_without_a_template_the_operation_is_method_and_decoded_path(settings):
    assert read("DELETE", "/caf%C3%A9/x", **settings).operation == "DELETE /café/x"


def test_a_method_of_ones_own_is_a_method():
    assert read("FROBNICATE", "/x").operation == "FROBNICATE /x"


def test_everything_else_is_carried_along():
    call = read("GET", "/x")
    assert (call.id, call.agent.id, call.run.id, call.tool.name, call.host) == ("id-1", "a", "r", "bank", "h")


# -- ambiguous paths ---------------------------------------------------------------------------------------------

AMBIGUOUS = ["/a//b", "/a/../b", "/a%2fb", "/a;x", "/a%5cb", "/%zz", "/a/%2e%2e/b", "/a\\b", "/%00"]


@pytest.mark.parametrize("path", AMBIGUOUS)
@pytest.mark.parametrize(("mode", "looks"), [("auto", True), ("refuse", True), ("refuse", False)])
def test_a_path_that_reads_in_two_ways_is_refused_where_somebody_looks(path, mode, looks):
    error = refused("GET", path, ambiguous_paths=mode, looks_at_path=looks)
    assert (error.status, error.reason) == (400, Reason.AMBIGUOUS_PATH)


@pytest.mark.parametrize("path", AMBIGUOUS)
@pytest.mark.parametrize(("mode", "looks"), [("auto", False), ("forward", True), ("forward", False)])
def test_it_is_forwarded_as_it_is_where_nobody_looks(path, mode, looks):
    assert read("GET", path, ambiguous_paths=mode, looks_at_path=looks).target == path


@pytest.mark.parametrize("path", ["/../x", "/a/../../x", "/%2e%2e/x", "/a/..;/x", "/a%2f..%2f..%2fx", "/a\\..\\..\\x"])
def test_nothing_climbs_out_of_a_base_path_whatever_the_settings(path):
    error = refused("GET", path, base_path="/api", ambiguous_paths="forward", looks_at_path=False)
    assert (error.status, error.reason) == (400, Reason.AMBIGUOUS_PATH)


def test_the_query_may_hold_dots_and_slashes():
    assert read("GET", "/x?next=/../y//z;%2e", base_path="/api").query == "next=/../y//z;%2e"


# -- reading ahead -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "length", "wanted"), [(True, 5, True), (True, -1, True), (True, 0, False), (False, 5, False)]
)
def test_the_body_is_read_ahead_only_where_a_rule_reads_it_and_there_is_one(reads, length, wanted):
    reader = HttpReader(tool(), reads_args=reads, looks_at_path=False)
    assert reader.wants_body(request("POST", length=length)) is wanted


def test_where_no_rule_reads_arguments_nothing_is_read_or_refused():
    assert read("POST", "/transfers?a=1&a=2", b'{"a": 1, "a": 2}', JSON, reads_args=False).args == {}


# -- arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/vnd.api+json",
        "application/problem+json; v=1",
        "",
    ],
)
def test_arguments_come_from_a_json_body(kind):
    fields = [("Content-Type", kind)] if kind else []
    assert read("POST", "/transfers", b'{"amount": 5, "to": {"iban": "DE1"}}', *fields).args == {
        "amount": 5,
        "to": {"iban": "DE1"},
    }


def test_arguments_come_from_a_form():
    assert read("POST", "/transfers", b"amount=5&to=DE+1%26&memo=", FORM).args == {
        "amount": "5",
        "to": "DE 1&",
        "memo": "",
    }


def test_arguments_come_from_the_query():
    assert read("GET", "/x?q=a%20b&page=2&empty=").args == {"q": "a b", "page": "2", "empty": ""}


def test_arguments_come_from_both_where_they_do_not_meet():
    assert read("POST", "/transfers?dry=1", b'{"amount": 5}', JSON).args == {"dry": "1", "amount": 5}


@pytest.mark.parametrize("body", [None, b""])
def test_no_body_is_no_arguments(body):
    assert read("POST", "/transfers", body, JSON).args == {}


@pytest.mark.parametrize(
    ("status", "words", "given"),
    [
        (400, "'amount' is given both", ("POST", "/t?amount=1", b'{"amount": 5}', JSON)),
        (400, "'a' is given both", ("POST", "/t?a=1", b"a=2", FORM)),
        (400, "'a' is given twice in the query", ("GET", "/t?a=1&a=2")),
        (400, "'a' is given twice in the query", ("GET", "/t?a=1&%61=2")),
        (400, "'a' is given twice in the form", ("POST", "/t", b"a=1&a=2", FORM)),
        (400, "the query cannot be read", ("GET", "/t?a=%ff")),
        (400, "the query cannot be read", ("GET", "/t?" + "&".join(f"p{n}=1" for n in range(MOST_PARAMETERS + 1)))),
        (400, "the form cannot be read", ("POST", "/t", b"a=%ff", FORM)),
        (400, "not ASCII", ("POST", "/t", b"a=\xc3\xa9", FORM)),
        (400, "looks like JSON", ("POST", "/t", b'  {"a": 1}', FORM)),
        (400, "duplicate key", ("POST", "/t", b'{"a": 1, "a": 2}', JSON)),
        (400, "$.a[1]", ("POST", "/t", b'{"a": [1, 9007199254740993]}', JSON)),
        (400, "an array", ("POST", "/t", b"[1]", JSON)),
        (400, "a string", ("POST", "/t", b'"x"', JSON)),
        (400, "null", ("POST", "/t", b"null", JSON)),
        (400, "a boolean", ("POST", "/t", b"true", JSON)),
        (400, "a number", ("POST", "/t", b"5", JSON)),
        (400, "cannot be read", ("POST", "/t", b"\x1f\x8b\x08", JSON)),
        (400, "cannot be read", ("POST", "/t", b"<x/>")),
        (415, "text/plain", ("POST", "/t", b'{"a": 1}', ("Content-Type", "text/plain"))),
        (415, "multipart/form-data", ("POST", "/t", b"--x", ("Content-Type", "multipart/form-data; boundary=x"))),
        (415, "compressed (gzip)", ("POST", "/t", b'{"a": 1}', JSON, ("Content-Encoding", "gzip"))),
        (415, "(identity, br)", ("POST", "/t", b"{}", ("Content-Encoding", "identity"), ("Content-Encoding", "br"))),
        (415, "application/json, text/plain", ("POST", "/t", b"{}", JSON, ("Content-Type", "text/plain"))),
        # In UTF-7 and UTF-16 the same bytes are another JSON text.
        (415, "charset", ("POST", "/t", b'{"a": "+ACI-,+ACI-b"}', ("Content-Type", "application/json; charset=utf-7"))),
        (415, "charset", ("POST", "/t", b'{"a": 1}', ("Content-Type", "application/json; v=1; CharSet = UTF-16"))),
        (415, "charset", ("POST", "/t", b"a=%e9", (FORM[0], f"{FORM[1]}; charset=latin1"))),
        (415, "charset", ("POST", "/t", b"{}", ("Content-Type", "application/json; charset=utf-8; charset=utf-7"))),
    ],
)  # fmt: skip
def test_arguments_that_read_in_two_ways_are_refused(status, words, given):
    error = refused(*given)
    assert (error.status, error.reason) == (status, Reason.UNREADABLE_BODY)
    assert words in error.detail
    assert error.advice


def test_a_repeated_parameter_is_a_list_where_the_tool_says_so():
    call = read("POST", "/t?a=1&a=2&a=3&b=x", b"c=1&c=2", FORM, repeated_parameters=True)
    assert call.args == {"a": ["1", "2", "3"], "b": "x", "c": ["1", "2"]}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"a": 1, "a": 2}', (JSON,)),
        (b"\x89PNG", (("Content-Type", "image/png"),)),
        (b"{}", (JSON, ("Content-Encoding", "gzip"))),
        (None, (JSON,)),
    ],
)
def test_a_head_only_tool_is_decided_on_the_query_where_the_body_says_nothing(body, fields):
    assert read("POST", "/t?a=1", body, *fields, head_only=True).args == {"a": "1"}


def test_a_head_only_tool_still_reads_a_body_that_can_be_read():
    assert read("POST", "/t?a=1", b'{"b": 2}', JSON, head_only=True).args == {"a": "1", "b": 2}


def test_a_head_only_tool_still_refuses_a_query_that_reads_in_two_ways():
    assert refused("POST", "/t?a=1&a=2", b"{}", JSON, head_only=True).status == 400


@pytest.mark.parametrize(
    "name",
    ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_Method_Override", "X-Method_Override"],
)
def test_a_field_that_asks_for_another_method_is_refused_where_methods_are_told_apart(name):
    def operation(asked: str, *, looks: bool) -> str:
        reader = HttpReader(tool("bank"), reads_args=False, looks_at_path=looks)
        of = request("POST", "/bank/a", [(name, asked)])
        return reader.read("i", of, Route(reader.tool, "/a", "/a", "", "h"), Agent("a"), Run(), None).operation

    with pytest.raises(Refused, match="DELETE"):
        operation("DELETE", looks=True)
    assert operation("post", looks=True) == operation("DELETE", looks=False) == "POST /a"
