"""What a ``memory:`` section says of calls and answers."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.coherence.memory_map import ToolMemory
from gateway.coherence.values import LONGEST_TEXT, MOST_KEYS, key_of, keys_of
from gateway.errors import Refused
from gateway.model import Answered, Call, Change, Glance, How, Learnt, Outcome, Seen, Standing, Touch
from gateway.policy.engine import CelEngine
from gateway.policy.engines import ENGINES, load_engine
from tests.coherence.maps import answered, body, event, http_call, mcp_call, memory, result

READ = {"operations": ["GET /notes/{id}"], "key": "args.id", "value": "result.text"}
WRITE = {"operations": ["PUT /notes/{id}", "DELETE /notes/{id}"], "key": "args.id", "value": "args.text"}
NOTES = {"reads": [READ], "writes": [WRITE]}
GET, PUT = http_call("GET", "/notes/7"), http_call("PUT", "/notes/7", text="new")
SEVEN = ("notes", "7")
DIGEST = "digest of notes.reads[0]"
OVER = Outcome(200)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def reads(**more: Any) -> ToolMemory:
    return memory({"reads": [{**READ, **more}], "writes": [WRITE]})


def writes(**more: Any) -> ToolMemory:
    return memory({"reads": [READ], "writes": [{**WRITE, **more}]})


def finds(call: Call, newest: Change | None, seen: str | None = None, *, whole: bool = True, map_: Any = None) -> Call:
    """The call with what it finds at its key."""
    (touch,) = (map_ or memory(NOTES)).touches(call)
    glance = Glance(
        touch,
        None if newest is None else Standing((newest,)),
        None if seen is None else Seen(seen, 1.0, whole),
    )
    return structs.replace(call, glances=(glance,))


# -- keys ---------------------------------------------------------------------------------------------------------


def test_a_call_touches_the_key_in_its_path() -> None:
    assert memory(NOTES).touches(GET) == (Touch("notes", "7"),)
    assert memory(NOTES).touches(PUT) == (Touch("notes", "7", writes=True),)
    assert memory(NOTES).touches(http_call("DELETE", "/notes/7")) == (Touch("notes", "7", writes=True, deletes=True),)


def test_other_calls_touch_nothing() -> None:
    for call in (http_call("GET", "/tags/7"), http_call("POST", "/notes/7"), http_call("GET", "/notes/7/text")):
        assert memory(NOTES).touches(call) == ()
        assert not memory(NOTES).hears(call)
        assert memory(NOTES).learnt(call, answered(), body({"text": "x"})) == ()


@pytest.mark.parametrize("target", ["/notes/%37", "/notes/7/", "/n%6Ftes/7", "/notes/7?x=1"])
def test_spellings_that_servers_take_for_the_same_path_are_the_same_key(target: str) -> None:
    assert memory(NOTES).touches(http_call("PUT", target)) == (Touch("notes", "7", writes=True),)


def test_requests_that_agents_make_up_fill_no_memory() -> None:
    made = memory(NOTES)
    for number in range(3000):
        assert made.touches(http_call("GET", f"/notes/{number}"))[0].key == str(number)
    made.touches(http_call("GET", "/notes/" + "x" * 5000))
    assert len(made._known) <= 1024
    assert max(len(target) for _, _, target in made._known) < 512


def test_a_name_in_the_path_wins_over_an_argument_of_that_name() -> None:
    assert memory(NOTES).touches(http_call("PUT", "/notes/7", id="8"))[0].key == "7"


def test_keys_may_be_named_by_arguments_and_several_at_once() -> None:
    made = memory({"writes": [{"operations": ["POST /move"], "key": "[args.from, args.to]"}]})
    call = http_call("POST", "/move", **{"from": "a", "to": 7})
    assert [touch.key for touch in made.touches(call)] == ["a", "7"]


def test_a_write_whose_key_cannot_be_told_is_refused() -> None:
    made = memory({"name": "shared", "writes": [{"operations": ["POST *"], "key": "args.id"}]})
    for args in ({}, {"id": None}, {"id": True}, {"id": ""}, {"id": {"x": 1}}, {"id": []}, {"id": ["a", None]}):
        with pytest.raises(Refused) as refused:
            made.touches(http_call("POST", "/x", **args))
        assert (refused.value.status, refused.value.rule) == (400, "memory/shared")
    with pytest.raises(Refused):
        made.touches(http_call("POST", "/x", id=[str(number) for number in range(MOST_KEYS + 1)]))


def test_a_read_whose_key_cannot_be_told_teaches_nothing() -> None:
    made = memory({"reads": [{"operations": ["GET *"], "key": "args.id"}], "writes": [WRITE]})
    call = http_call("GET", "/find")
    assert made.touches(call) == ()
    assert made.learnt(call, answered(), body({"text": "x"})) == ()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_keys_are_texts_and_each_stands_once(value: Any) -> None:
    keys = keys_of(value)
    assert all(isinstance(key, str) and key for key in keys)
    assert len(set(keys)) == len(keys)


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_one_key_however_it_is_written(number: int) -> None:
    assert key_of(number) == key_of(float(number)) == key_of(str(number))


def test_which_expressions_read_arguments_is_known() -> None:
    assert not memory(
        {"reads": [READ], "writes": [{"operations": ["PUT /n/{id}"], "key": "args.id"}]}
    ).declared.needs_args
    assert memory(NOTES).declared.needs_args  # value: args.text
    for section in (
        {"operations": ["PUT *"], "key": "args.id"},
        {"operations": ["PUT /n/{id}", "POST *"], "key": "args.id"},
    ):
        assert memory({"writes": [section]}).declared.needs_args
    partial = {"operations": ["GET /n/{id}"], "key": "path.id", "partial": "has(args.head)"}
    assert memory(
        {"reads": [partial], "writes": [{"operations": ["PUT /n/{id}"], "key": "path.id"}]}
    ).declared.needs_args


@pytest.mark.parametrize("name", ENGINES)
def test_both_engines_say_the_same(name: str) -> None:
    engine: CelEngine = load_engine(name, sql=False)
    section = {
        "reads": [{"operations": ["GET /n"], "entries": "result.items.filter(i, i.kind == 'note')",
                   "key": "'k/' + entry.id",
                   "version": {"expression": "string(entry.rev) + response.headers['x-epoch']"}}],
        "writes": [{"operations": ["PUT /n/{a}/{b}"], "key": "path.a + '/' + path.b"}],
    }  # fmt: skip
    made = memory(section, engine=engine)
    items = [{"id": "a", "rev": 3, "kind": "note"}, {"id": "b", "rev": 4, "kind": "tag"}]
    (learnt,) = made.learnt(http_call("GET", "/n"), answered(200, ("X-Epoch", "e")), body({"items": items}))
    assert (learnt.place, learnt.versions) == (("notes", "k/a"), {"version": "3e"})
    assert made.touches(http_call("PUT", "/n/x/y"))[0].key == "x/y"


# -- what reads tell ----------------------------------------------------------------------------------------------


def test_a_read_tells_the_value_and_its_digest() -> None:
    told = memory(NOTES).learnt(GET, answered(), body({"text": "hello", "served": 1}))
    assert told == (Learnt(SEVEN, {DIGEST: sha("hello")}, "hello"),)
    assert told == memory(NOTES).learnt(GET, answered(), body({"text": "hello", "served": 2}))


def test_an_etag_is_taken_where_there_is_one() -> None:
    (told,) = memory(NOTES).learnt(GET, answered(200, ("ETag", '"a1"')), body({"text": "hello"}))
    assert told.versions == {"etag": '"a1"', "strong": '"a1"'}
    (weak,) = memory(NOTES).learnt(GET, answered(200, ("etag", 'W/"a1"')), body({"text": "hello"}))
    assert weak.versions == {"etag": '"a1"'}


def test_an_etag_that_is_none_is_none() -> None:
    for tag in ("a1", '"a', '"' + "a" * 300 + '"'):
        (told,) = memory(NOTES).learnt(GET, answered(200, ("ETag", tag)), body({"text": "hello"}))
        assert told.versions == {DIGEST: sha("hello")}
    (twice,) = memory(NOTES).learnt(GET, answered(200, ("ETag", '"a"'), ("ETag", '"b"')), body({"text": "hello"}))
    assert twice.versions == {DIGEST: sha("hello")}


def test_seconds_alone_tell_no_state_from_another() -> None:
    when = ("Last-Modified", "Tue, 01 Dec 2026 04:00:00 GMT")
    (told,) = reads(version="last-modified").learnt(GET, answered(200, when), body({"text": "x"}))
    assert told.versions == {"last-modified": when[1], DIGEST: sha("x")}


def test_a_version_may_stand_in_the_answer() -> None:
    made = reads(version=["etag", {"expression": "result.rev"}])
    (told,) = made.learnt(GET, answered(200, ("ETag", '"e"')), body({"text": "x", "rev": 7}))
    assert told.versions == {"etag": '"e"', "strong": '"e"', "version": "7"}
    (without,) = made.learnt(GET, answered(), body({"text": "x"}))
    assert without.versions == {}


def test_without_a_value_the_result_is_what_stands_there() -> None:
    made = memory({"reads": [{"operations": ["GET *"], "key": "'all'"}], "writes": [WRITE]})
    for content, text in ((body({"b": 1, "a": [2]}), '{"a":[2],"b":1}'), (body("x"), "x")):
        assert made.learnt(http_call("GET", "/x"), answered(), content)[0].text == text
    plain = made.learnt(http_call("GET", "/x"), answered(kind="text/plain"), "grüße".encode())[0]
    assert (plain.text, plain.versions) == ("grüße", {DIGEST: sha("grüße")})
    binary = made.learnt(http_call("GET", "/x"), answered(kind="image/png"), b"\xff\xfe")[0]
    assert (binary.text, binary.versions) == (None, {DIGEST: hashlib.sha256(b"\xff\xfe").hexdigest()})


def test_long_texts_are_not_kept() -> None:
    (told,) = memory(NOTES).learnt(GET, answered(), body({"text": "x" * (LONGEST_TEXT + 1)}))
    assert told.text is None
    assert told.versions == {DIGEST: sha("x" * (LONGEST_TEXT + 1))}


def test_what_lies_too_deep_is_no_text() -> None:
    deep = b'{"text": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert [one.place for one in memory(NOTES).learnt(GET, answered(), deep)] == [SEVEN]


def test_what_was_too_long_to_be_heard_is_seen_without_evidence() -> None:
    assert memory(NOTES).learnt(GET, answered(), None) == (Learnt(SEVEN),)


def test_a_compressed_answer_is_seen_without_evidence() -> None:
    coded = structs.replace(answered(), content_encoding="gzip")
    assert memory(NOTES).learnt(GET, coded, b"\x1f\x8b") == (Learnt(SEVEN),)


@pytest.mark.parametrize("status", [202, 301, 400, 401, 403, 409, 429, 500, 503])
def test_an_answer_that_shows_nothing_teaches_nothing(status: int) -> None:
    assert memory(NOTES).learnt(GET, answered(status), body({"text": "x"})) == ()


@pytest.mark.parametrize("status", [404, 410])
def test_that_nothing_stands_there_is_seen_too(status: int) -> None:
    assert memory(NOTES).learnt(GET, answered(status), b"") == (Learnt(SEVEN, gone=True),)


def test_what_says_that_nothing_stands_there_may_be_declared() -> None:
    made = reads(gone="size(result) == 0")
    assert made.learnt(GET, answered(), body([])) == (Learnt(SEVEN, gone=True),)
    assert made.learnt(GET, answered(404), body({"error": "no such route"})) == ()


def test_a_part_is_no_ground_for_a_write() -> None:
    head = http_call("HEAD", "/notes/7")
    assert memory(NOTES).touches(head) == (Touch("notes", "7"),)
    assert memory(NOTES).learnt(head, answered(200, ("ETag", '"a"')), b"") == (
        Learnt(SEVEN, {"etag": '"a"', "strong": '"a"'}, whole=False),
    )
    for part in (answered(206), answered(200, ("Content-Range", "bytes 0-1/9"))):
        assert memory(NOTES).learnt(GET, part, body({"text": "x"})) == (Learnt(SEVEN, whole=False),)
    assert reads(partial=True).learnt(GET, answered(), body({"text": "x"})) == (
        Learnt(SEVEN, {DIGEST: sha("x")}, whole=False),
    )


def test_whether_it_is_a_part_may_depend_on_the_call() -> None:
    made = reads(partial="has(args.head)")
    assert made.learnt(http_call("GET", "/notes/7", head=1), answered(), body({"text": "x"})) == (
        Learnt(SEVEN, whole=False),
    )
    assert made.learnt(GET, answered(), body({"text": "x"}))[0].whole
    unclear = reads(partial="args.head > 1")
    assert not unclear.learnt(GET, answered(), body({"text": "x"}))[0].whole


def test_who_hears_that_nothing_has_changed_has_it() -> None:
    call = http_call("GET", "/notes/7", fields=(("If-None-Match", '"a"'),))
    assert memory(NOTES).learnt(call, answered(304), b"") == (Learnt(SEVEN, {"etag": '"a"', "strong": '"a"'}),)
    several = http_call("GET", "/notes/7", fields=(("If-None-Match", '"a", "b"'),))
    assert memory(NOTES).learnt(several, answered(304), b"") == ()


def test_a_list_tells_of_each_of_its_entries() -> None:
    section = {"operations": ["GET /notes"], "entries": "result.items", "key": "entry.id"}
    made = memory({"reads": [section], "writes": [WRITE]})
    call = http_call("GET", "/notes")
    assert (made.touches(call), made.hears(call)) == ((), True)
    told = made.learnt(call, answered(200, ("ETag", '"list"')), body({"items": [{"id": 1}, {"x": 2}, {"id": "b"}]}))
    assert [(one.place[1], one.text) for one in told] == [("1", None), ("b", None)]
    assert told[0].versions == {DIGEST: sha('{"id":1}')}
    assert made.learnt(call, answered(), body({"items": "none"})) == ()
    assert made.learnt(call, answered(404), b"") == ()
    valued = memory({"reads": [{**section, "value": "entry.text", "partial": True}], "writes": [WRITE]})
    (one,) = valued.learnt(call, answered(), body({"items": [{"id": 1, "text": "x"}]}))
    assert one == Learnt(("notes", "1"), {DIGEST: sha("x")}, whole=False)


def test_a_read_of_several_keys_at_once_has_seen_them_without_evidence() -> None:
    made = memory({"reads": [{"operations": ["GET *"], "key": "args.ids"}], "writes": [WRITE]})
    told = made.learnt(http_call("GET", "/many", ids=["a", "b"]), answered(200, ("ETag", '"x"')), body({}))
    assert told == (Learnt(("notes", "a")), Learnt(("notes", "b")))


# -- what becomes of writes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "how"),
    [
        (200, How.WRITTEN), (201, How.WRITTEN), (204, How.WRITTEN), (205, How.WRITTEN),
        (202, How.UNKNOWN), (207, How.UNKNOWN), (302, How.UNKNOWN), (303, How.UNKNOWN), (307, How.UNKNOWN),
        (400, None), (401, None), (404, None), (409, None), (412, None), (425, None), (429, None),
        (408, How.UNKNOWN), (499, How.UNKNOWN), (500, How.UNKNOWN), (502, How.UNKNOWN), (504, How.UNKNOWN),
    ],
)  # fmt: skip
def test_the_status_tells_what_became_of_a_write(status: int, how: How | None) -> None:
    assert memory(NOTES).wrote(PUT, answered(status), OVER, None) == how


def test_without_an_answer_nobody_knows() -> None:
    assert memory(NOTES).wrote(PUT, None, OVER, None) is How.UNKNOWN


def test_a_redirect_to_what_was_written_says_that_it_is() -> None:
    for place in ("/notes/7", "http://tool.test/notes/7?done", "/api/notes/7/"):
        assert memory(NOTES).wrote(PUT, answered(303, ("Location", place)), OVER, None) is How.WRITTEN
    assert memory(NOTES).wrote(PUT, answered(303, ("Location", "/login")), OVER, None) is How.UNKNOWN


def test_which_writes_delete_may_be_declared() -> None:
    delete = http_call("DELETE", "/notes/7")
    assert memory(NOTES).wrote(delete, answered(204), OVER, None) is How.DELETED
    assert writes(deletes=False).wrote(delete, answered(204), OVER, None) is How.WRITTEN
    assert writes(deletes=True).wrote(PUT, answered(200), OVER, None) is How.DELETED


def test_a_write_tells_the_version_that_it_has_made() -> None:
    made = memory(NOTES).made(PUT, answered(200, ("ETag", '"b"')), None)
    assert made == (Learnt(SEVEN, {"etag": '"b"', "strong": '"b"'}, "new"),)
    by_result = writes(version={"expression": "result.rev"})
    assert by_result.hears(PUT)
    assert by_result.made(PUT, answered(), body({"rev": 3}))[0].versions == {"version": "3"}
    assert by_result.made(PUT, answered(), None)[0].versions == {}
    deleted = memory(NOTES).made(http_call("DELETE", "/notes/7"), answered(204, ("ETag", '"b"')), None)
    assert deleted == (Learnt(SEVEN),)


def test_only_the_answer_tells_the_key_of_what_is_created() -> None:
    made = memory({"writes": [{"operations": ["POST /notes"], "key": "result.id", "value": "args.text"}]})
    call = http_call("POST", "/notes", text="x")
    assert (made.touches(call), made.creates(call), made.hears(call)) == ((), True, True)
    assert made.made(call, answered(201), body({"id": 9})) == (Learnt(("notes", "9"), {}, "x"),)
    assert made.made(call, answered(201), body({})) == ()
    assert not memory(NOTES).creates(PUT)


def test_a_text_is_put_in_the_place_of_the_one_that_would_be_written() -> None:
    assert memory(NOTES).ours(PUT) == "new"
    assert memory(NOTES).rewritten(PUT, "merged") == {"text": "merged"}
    assert memory(NOTES).rewritten(http_call("PUT", "/notes/7"), "merged") is None
    deep = writes(value="args.note.text")
    call = http_call("PUT", "/notes/7", note={"text": "a", "by": "me"}, keep=1)
    assert deep.rewritten(call, "b") == {"note": {"text": "b", "by": "me"}, "keep": 1}
    values = http_call("PUT", "/notes/7", text={"a": 1})
    assert memory(NOTES).ours(values) == '{"a":1}'
    assert memory(NOTES).rewritten(values, '{"a":2}') == {"text": {"a": 2}}
    assert memory(NOTES).rewritten(values, "no JSON") is None
    assert writes(value="args.text + '!'").rewritten(PUT, "merged") is None
    assert memory({"writes": [{"operations": ["PUT *"], "key": "'k'"}]}).ours(PUT) is None


# -- conditions ---------------------------------------------------------------------------------------------------

TAGGED = Change("c1", How.FOUND, versions={"etag": '"a"', "strong": '"a"'})
HEEDS = writes(condition="if-match")


def test_the_store_is_told_what_a_write_is_based_on() -> None:
    assert HEEDS.conditions(finds(PUT, TAGGED, "c1")) == ((b"If-Match", b'"a"'),)
    weak = structs.replace(TAGGED, versions={"etag": '"a"'})
    assert HEEDS.conditions(finds(PUT, weak, "c1")) == ()
    assert memory(NOTES).conditions(finds(PUT, TAGGED, "c1")) == ()


@pytest.mark.parametrize(
    ("newest", "seen", "whole"),
    [(None, None, True), (TAGGED, None, True), (TAGGED, "c1", False),
     (structs.replace(TAGGED, how=How.DELETED), "c1", True)],
)  # fmt: skip
def test_what_its_run_has_not_read_is_only_created(newest: Change | None, seen: str | None, whole: bool) -> None:
    assert HEEDS.conditions(finds(PUT, newest, seen, whole=whole)) == ((b"If-None-Match", b"*"),)
    delete = http_call("DELETE", "/notes/7")
    assert HEEDS.conditions(finds(delete, newest, seen, whole=whole)) == ()


def test_conditions_of_the_agent_are_not_touched() -> None:
    own = http_call("PUT", "/notes/7", fields=(("If-Match", '"z"'),), text="x")
    assert HEEDS.conditions(finds(own, TAGGED, "c1")) == ()


def test_who_guards_its_write_may_be_blind() -> None:
    def guarded(map_: ToolMemory, method: str, *fields: tuple[str, str]) -> bool:
        (touch,) = map_.touches(http_call(method, "/notes/7", fields=fields, text="x"))
        return touch.guarded

    assert guarded(HEEDS, "PUT")
    assert guarded(HEEDS, "PUT", ("If-Match", '"a"'))
    assert guarded(HEEDS, "DELETE", ("If-Match", '"a"'))
    assert guarded(HEEDS, "PUT", ("If-None-Match", "*"))
    assert not guarded(HEEDS, "DELETE")
    for tag in ("*", 'W/"a"', '"a", "b"', "a"):
        assert not guarded(HEEDS, "PUT", ("If-Match", tag))
    # what says nothing of a version does not take the place of the gateway's own condition (RFC 9110, 13.2.2)
    assert guarded(HEEDS, "PUT", ("If-Unmodified-Since", "Tue, 01 Dec 2026 04:00:00 GMT"))
    assert not guarded(memory(NOTES), "PUT", ("If-Match", '"a"'))


def test_a_condition_that_has_failed_says_that_something_else_stands_there() -> None:
    assert HEEDS.wrote(finds(PUT, TAGGED, "c1"), answered(412), OVER, None) is How.FOUND
    same = http_call("PUT", "/notes/7", fields=(("If-Match", '"a"'),), text="x")
    assert HEEDS.wrote(finds(same, TAGGED, "c1"), answered(412), OVER, None) is How.FOUND


def test_a_condition_that_the_agent_made_up_says_nothing() -> None:
    """Else it could have all others read again, as often as it likes."""
    other = http_call("PUT", "/notes/7", fields=(("If-Match", '"made-up"'),), text="x")
    assert HEEDS.wrote(finds(other, TAGGED, "c1"), answered(412), OVER, None) is None
    assert memory(NOTES).wrote(finds(PUT, TAGGED, "c1"), answered(412), OVER, None) is None


# -- MCP ----------------------------------------------------------------------------------------------------------

MCP = {
    "reads": [{"operations": ["read"], "key": "args.name"}],
    "writes": [{"operations": ["write"], "key": "args.name", "value": "args.text"}],
}
READS, WRITES = mcp_call("read", name="a"), mcp_call("write", name="a", text="x")
TEXT = {"type": "text", "text": "hello"}
EVENTS = answered(kind="text/event-stream")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"content": [TEXT]}, "hello"),
        ({"content": [{"type": "text", "text": ' {"b":1,"a":2}'}]}, '{"a":2,"b":1}'),
        ({"content": [{"type": "text", "text": "[not JSON"}]}, "[not JSON"),
        ({"content": [TEXT], "structuredContent": {"text": "x"}}, '{"text":"x"}'),
        ({"content": [TEXT, TEXT]}, '["hello","hello"]'),
        ({"contents": [{"uri": "note://a", "text": "hello"}]}, "hello"),
        ({"messages": []}, '{"messages":[]}'),
        ({"content": [TEXT, {"type": "image"}]}, '{"content":[{"text":"hello","type":"text"},{"type":"image"}]}'),
    ],
)  # fmt: skip
def test_the_result_of_a_tool_is_what_stands_there(said: dict[str, Any], text: str) -> None:
    made = memory(MCP, "mcp")
    for head, content in ((answered(), result(said)), (EVENTS, event(b'{"method": "notify"}') + event(result(said)))):
        assert made.learnt(READS, head, content) == (Learnt(("notes", "a"), {DIGEST: sha(text)}, text),)


def test_an_answer_without_a_result_teaches_nothing() -> None:
    made = memory(MCP, "mcp")
    error = body({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "no"}})
    failed = result({"content": [TEXT], "isError": True})
    for content in (b"", b"{", error, failed, result({"task": {"taskId": "t"}}), None):
        assert made.learnt(READS, answered(), content) == ()
    waits = result({"resultType": "input_required", "content": [TEXT]})
    assert made.learnt(READS, answered(), waits) == ()
    assert made.learnt(READS, answered(404), b"") == ()  # the session is gone, not the key


def test_an_error_may_be_declared_to_say_that_nothing_stands_there() -> None:
    gone = {"gone": 'response.isError && string(result).contains("ENOENT")'}
    made = memory({**MCP, "reads": [{**MCP["reads"][0], **gone}]}, "mcp")
    missing = result({"content": [{"type": "text", "text": "ENOENT: no such file"}], "isError": True})
    assert made.learnt(READS, answered(), missing) == (Learnt(("notes", "a"), gone=True),)
    assert made.learnt(READS, answered(), result({"content": [TEXT], "isError": True})) == ()


def test_a_stream_of_events_is_heard_as_soon_as_the_result_is_there() -> None:
    made = memory(MCP, "mcp")
    before = event(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"result"}}')
    whole = before + event(result({"content": [TEXT]}))
    assert not made.ends(READS, EVENTS, before)
    assert not made.ends(READS, EVENTS, whole[:-20])
    assert made.ends(READS, EVENTS, whole)


@pytest.mark.parametrize("errors", ["unknown", "unwritten"])
def test_the_result_tells_what_became_of_a_write(errors: str) -> None:
    made = memory({**MCP, "writes": [{**MCP["writes"][0], "errors": errors}]}, "mcp")
    failed = None if errors == "unwritten" else How.UNKNOWN
    assert made.hears(WRITES)
    assert made.wrote(WRITES, answered(), OVER, result({"content": [TEXT]})) is How.WRITTEN
    assert made.wrote(WRITES, answered(), OVER, result({"content": [TEXT], "isError": True})) is failed
    assert made.wrote(WRITES, answered(), OVER, body({"id": 1, "error": {"code": 1, "message": "x"}})) is failed
    for content in (None, b"", result({"task": {}})):
        assert made.wrote(WRITES, answered(), OVER, content) is How.UNKNOWN
    assert made.wrote(WRITES, answered(400), OVER, None) is None
    assert made.made(WRITES, answered(), result({"content": [TEXT]})) == (Learnt(("notes", "a"), {}, "x"),)


def test_a_batch_is_not_looked_into() -> None:
    made = memory(MCP, "mcp")
    batch = structs.replace(mcp_call("batch"), parts=(READS, WRITES))
    assert not made.hears(batch)
    assert made.learnt(batch, answered(), body([{"id": 1, "result": {"content": [TEXT]}}])) == ()
    assert made.wrote(batch, answered(), OVER, b"[]") is How.UNKNOWN
    assert made.wrote(batch, answered(400), OVER, b"") is None
    assert (made.made(batch, answered(), b"[]"), made.conditions(batch), made.creates(batch)) == ((), (), False)


def test_what_only_keeps_a_session_going_touches_nothing() -> None:
    made = memory(
        {"reads": [{"operations": ["*"], "key": "'all'"}], "writes": [{"operations": ["*"], "key": "'all'"}]}, "mcp"
    )
    assert made.touches(structs.replace(mcp_call("tools/list"), implied=True)) == ()
    assert not made.hears(structs.replace(mcp_call("tools/list"), implied=True))


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/event-stream", "text/plain", ""]))
def test_whatever_an_answer_holds_reading_it_does_not_break(content: bytes, kind: str) -> None:
    head = Answered(200, 0.0, kind)
    for made, read, write in ((HEEDS, GET, PUT), (memory(MCP, "mcp"), READS, WRITES)):
        made.learnt(read, head, content)
        made.wrote(write, head, OVER, content)
        made.made(write, head, content)
        made.ends(read, head, content)
