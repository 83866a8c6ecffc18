"""The head that a tool gets, as whole golden texts: what is dropped, added, kept, and in which order."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.execute.forward import Forwarder
from gateway.model import Agent, Lent, Permit, Tool
from gateway.model.hops import connection_options
from tests.builders import ANYBODY, call, request, tool

TAIL = [
    "Via: 1.1 toolgate",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: 127.0.0.1:8080",
    "X-Forwarded-Proto: http",
]


def head(
    *fields: tuple[str, str],
    to: Tool | None = None,
    method: str = "GET",
    target: str = "/user",
    agent: Agent = ANYBODY,
    host: str = "127.0.0.1:8080",
    peer: str = "127.0.0.1",
    chunked: bool = False,
    upgrade: bytes = b"",
    expect: bool = False,
) -> list[str]:
    """The lines of the head that goes to the tool, without the empty one at its end."""
    asked = to or tool()
    understood = call(
        to=asked,
        agent=agent,
        target=target,
        host=host,
        of=request(method, "/github" + target, fields, host=host, peer=peer),
    )
    raw = Forwarder(asked).head(Permit(understood), chunked=chunked, upgrade=upgrade, expect=expect)
    text = raw.decode("latin-1")
    assert text.endswith("\r\n\r\n")
    assert text.count("\r\n\r\n") == 1
    return text[:-4].split("\r\n")


def names(lines: list[str]) -> list[str]:
    return [line.partition(":")[0].lower() for line in lines[1:]]


def test_a_plain_request():
    assert head(("Accept", "*/*"), ("User-Agent", "agent/1.0")) == [
        "GET /user HTTP/1.1",
        "Host: api.github.com",
        "Accept: */*",
        "User-Agent: agent/1.0",
        *TAIL,
    ]


def test_case_order_and_repeats_are_kept():
    fields = [("x-B", "1"), ("Cookie", "a=1"), ("X-b", "2"), ("cookie", "b=2"), ("ACCEPT", ""), ("X-B", "1")]
    assert head(*fields)[2:-4] == [f"{name}: {value}" for name, value in fields]


def test_bytes_beyond_ascii_are_kept():
    assert "X-Name: caf\xe9\xff" in head(("X-Name", "caf\xe9\xff"))


def test_hop_by_hop_fields_end_here():
    hops = ["Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Transfer-Encoding", "Upgrade"]
    assert head(*[(name, "x") for name in hops], ("X-Kept", "y"))[2:-4] == ["X-Kept: y"]


def test_so_do_those_that_connection_names():
    lines = head(("Connection", "close, X-Mine ,x-other"), ("X-Mine", "1"), ("x-OTHER", "2"), ("X-Third", "3"))
    assert lines[2:-4] == ["X-Third: 3"]


def test_and_those_that_a_second_connection_field_names():
    lines = head(("Connection", "keep-alive"), ("X-Mine", "1"), ("connection", "x-mine"))
    assert lines[2:-4] == []


@pytest.mark.parametrize("name", ["Content-Length", "Content-Type", "Host", "Cache-Control"])
def test_connection_cannot_take_away_a_field_that_every_recipient_needs(name):
    lines = head(
        ("Connection", f"close, {name}"), ("Content-Length", "5"), ("Content-Type", "a/b"), ("Cache-Control", "c")
    )
    assert {"host", "content-length", "content-type", "cache-control"} <= set(names(lines))


def test_connection_cannot_take_away_what_the_gateway_adds():
    keeper = tool(inject=((b"Authorization", b"Bearer ours"),))
    lines = head(("Connection", "authorization, via, x-forwarded-for"), to=keeper)
    assert lines[2:] == ["Authorization: Bearer ours", *TAIL]


def test_the_tools_credential_replaces_the_agents():
    keeper = tool(inject=((b"Authorization", b"Bearer ours"),), strip=frozenset({b"authorization", b"x-api-key"}))
    lines = head(("authorization", "Bearer theirs"), ("Accept", "a"), ("X-API-Key", "theirs"), to=keeper)
    assert lines[2:] == ["Accept: a", "Authorization: Bearer ours", *TAIL]


def test_several_credentials_may_be_put_in():
    keeper = tool(inject=((b"X-Key", b"k"), (b"X-Secret", b"s")))
    assert head(to=keeper)[2:4] == ["X-Key: k", "X-Secret: s"]


def test_a_tool_without_a_credential_gets_the_agents_own():
    assert "Authorization: Bearer theirs" in head(("Authorization", "Bearer theirs"))


def test_the_key_that_identified_the_agent_here_is_never_forwarded():
    agent = Agent("report-1", (), "api_key", b"x-gate-key")
    lines = head(("X-Gate-Key", "s3cret"), ("x-gate-key", "again"), ("Accept", "a"), agent=agent)
    assert lines[2:-4] == ["Accept: a"]


def test_the_agents_word_on_forwarding_is_not_believed():
    claims = [
        (name, "6.6.6.6")
        for name in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"]
    ]
    assert head(*claims)[2:] == TAIL


def test_a_via_on_the_way_here_is_kept_and_ours_comes_last():
    lines = head(("Via", "1.1 other"))
    assert [line for line in lines if line.startswith("Via")] == ["Via: 1.1 other", "Via: 1.1 toolgate"]


def test_forwarded_as_rfc_7239():
    lines = head(to=tool(forwarded="rfc7239"), peer="10.0.0.7")
    assert lines[2:] == ["Via: 1.1 toolgate", 'Forwarded: for=10.0.0.7;host="127.0.0.1:8080";proto=http']
    lines = head(to=tool(forwarded="rfc7239"), peer="2001:db8::1")
    assert lines[-1] == 'Forwarded: for="[2001:db8::1]";host="127.0.0.1:8080";proto=http'


def test_forwarded_off_tells_nothing_of_the_agent_and_believes_nothing_either():
    assert head(("X-Forwarded-For", "6.6.6.6"), to=tool(forwarded="off"), peer="10.0.0.7")[2:] == ["Via: 1.1 toolgate"]


def test_each_peer_and_host_is_told_apart():
    """The end of the head is remembered per peer and host; one agent's must not be another's."""
    forwarder = Forwarder(tool())

    def tail(peer: str, host: str) -> str:
        understood = call(of=request(peer=peer, host=host), host=host)
        return forwarder.head(Permit(understood), chunked=False).decode().partition("Via: 1.1 toolgate\r\n")[2]

    for peer in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        for host in ("a", "b"):
            assert tail(peer, host).startswith(f"X-Forwarded-For: {peer}\r\nX-Forwarded-Host: {host}\r\n")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (("https", "api.github.com", 443), "api.github.com"),
        (("http", "api.github.com", 80), "api.github.com"),
        (("http", "api.github.com", 443), "api.github.com:443"),
        (("https", "vault", 8200), "vault:8200"),
        (("http", "::1", 7000), "[::1]:7000"),
        (("https", "::1", 443), "[::1]"),
    ],
)
def test_host_is_the_tools(origin, host):
    assert head(to=tool(url=origin))[1] == f"Host: {host}"


def test_preserve_host_gives_the_tool_the_name_the_agent_used():
    assert head(to=tool(preserve_host=True), host="github.local:8080")[1] == "Host: github.local:8080"


def test_preserve_host_believes_the_target_before_the_host_field():
    """RFC 9112, 3.2.2: with absolute-form, the Host field received is ignored."""
    asked = tool(preserve_host=True)
    understood = call(
        to=asked, of=request(target="http://api.github.com/user", host="evil.example"), host="api.github.com"
    )
    assert b"\r\nHost: api.github.com\r\n" in Forwarder(asked).head(Permit(understood), chunked=False)


@pytest.mark.parametrize("preserve", [True, False])
def test_there_is_one_host_and_it_comes_first(preserve):
    lines = head(("Accept", "a"), to=tool(preserve_host=preserve))
    assert names(lines).count("host") == 1
    assert names(lines)[0] == "host"


@pytest.mark.parametrize(
    ("base", "target", "sent"),
    [
        ("", "/a/b?c=d", "/a/b?c=d"),
        ("", "", "/"),
        ("", "?q", "/?q"),
        ("", "*", "*"),
        ("", "/a%2Fb/%C3%A9?x=%20&&y;=/?", "/a%2Fb/%C3%A9?x=%20&&y;=/?"),
        ("/api/v1", "/a", "/api/v1/a"),
        ("/api/v1", "", "/api/v1"),
        ("/api/v1", "?q=1", "/api/v1?q=1"),
        ("/api/v1", "/", "/api/v1/"),
        ("/api/v1", "*", "*"),
    ],
)
def test_the_target_is_the_base_path_and_what_the_agent_sent_byte_for_byte(base, target, sent):
    assert head(target=target, to=tool(base_path=base))[0] == f"GET {sent} HTTP/1.1"


def test_framing_is_ours_in_chunks_and_theirs_with_a_length():
    lines = head(("Transfer-Encoding", "chunked"), ("Trailer", "x"), method="POST", chunked=True)
    assert lines[2:-4] == ["Trailer: x", "Transfer-Encoding: chunked"]
    assert head(("Content-Length", "5"), method="POST")[2:-4] == ["Content-Length: 5"]


def test_an_upgrade_that_was_allowed_is_asked_for():
    lines = head(("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "k"), upgrade=b"websocket")
    assert lines[2:-4] == ["Sec-WebSocket-Key: k", "Connection: Upgrade", "Upgrade: websocket"]


def test_an_upgrade_that_was_not_is_not():
    assert head(("Connection", "Upgrade"), ("Upgrade", "h2c"), ("HTTP2-Settings", "x"))[2:-4] == ["HTTP2-Settings: x"]


def test_expect_is_passed_on_only_when_asked_for():
    assert "Expect: 100-continue" in head(("Expect", "100-continue"), expect=True)
    assert "expect" not in names(head(("Expect", "100-continue")))


def test_trailers_are_welcome_where_the_agent_takes_them():
    assert head(("TE", "gzip, trailers"))[2:-4] == ["TE: trailers", "Connection: TE"]
    assert head(("TE", "gzip"))[2:-4] == []


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (b"", set()),
        (b"close", set()),
        (b"keep-alive", {b"keep-alive"}),
        (b" X-A ,, x-b,close", {b"x-a", b"x-b"}),
        (b"Content-Length, HOST", set()),
        (b"close, If-Match, if-none-match, If-Unmodified-Since, IF-RANGE", set()),
    ],
)
def test_connection_options(value, options):
    assert connection_options(value) == options


TOKEN = st.text("abcXYZ-", min_size=1, max_size=8).map(lambda text: "X-" + text)
VALUE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=10)


@given(st.lists(st.tuples(TOKEN, VALUE), max_size=10))
def test_end_to_end_fields_pass_untouched_whatever_they_are(fields):
    assert head(*fields)[2:-4] == [f"{name}: {value}" for name, value in fields]


def test_what_is_remembered_of_hosts_cannot_fill_the_memory():
    forwarder = Forwarder(tool())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(500):
            host = f"{number:020000}"
            forwarder.head(Permit(call(of=request(host=host), host=host)), chunked=False)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


# -- an answer that will be read, and a body that was changed ----------------------------------------------------


def changed(*fields: tuple[str, str], body: bytes | None = None, plain: bool = False, **settings) -> list[str]:
    """The head for a call whose body a reader has changed, or whose answer will be read."""
    asked = tool(**settings)
    came = request("POST", "/github/user", fields, length=7)
    understood = structs.replace(call(to=asked, of=came), body=body)
    raw = Forwarder(asked).head(Permit(understood), chunked=False, plain=plain)
    return raw[:-4].decode("latin-1").split("\r\n")


def test_where_the_answer_is_read_the_tool_is_asked_for_plain_bytes():
    coding = [("Accept-Encoding", "gzip"), ("accept-ENCODING", "br")]
    assert changed(*coding)[2:-4] == ["Accept-Encoding: gzip", "accept-ENCODING: br"]
    assert changed(*coding, plain=True)[2:-4] == ["Accept-Encoding: identity"]
    assert changed(("X-Kept", "1"), plain=True)[2:-4] == ["X-Kept: 1", "Accept-Encoding: identity"]


def test_a_field_that_folds_to_the_same_name_is_dropped_where_names_are_folded():
    lines = changed(("Accept_Encoding", "gzip"), plain=True, strip=frozenset({b"x-secret"}))
    assert lines[2:-4] == ["Accept-Encoding: identity"]


@pytest.mark.parametrize("body", [b"", b"changed"])
def test_a_changed_body_has_its_own_length_and_nothing_that_speaks_of_the_old_one(body):
    stale = ["Content-Length", "content-MD5", "Digest", "Content-Digest", "Repr-Digest"]
    lines = changed(*[(name, "7") for name in stale], ("Content-Type", "application/json"), body=body)
    assert lines[2:-4] == ["Content-Type: application/json", f"Content-Length: {len(body)}"]


def test_an_unchanged_body_keeps_what_is_said_of_it():
    lines = changed(("Content-Length", "7"), ("Content-MD5", "x"))
    assert lines[2:-4] == ["Content-Length: 7", "Content-MD5: x"]


# -- redirects ---------------------------------------------------------------------------------------------------


def leads(location: str, asked: str = "/github/user", target: str = "/user", **settings) -> str:
    """Where the agent that asked for this is sent."""
    to = tool(**settings)
    understood = call(to=to, target=target, of=request(target=asked))
    return Forwarder(to).location(understood, location.encode("latin-1")).decode("latin-1")


@pytest.mark.parametrize(
    ("location", "asked", "target", "expected"),
    [
        ("/x", "/github/user", "/user", "/github/x"),
        ("/x", "/github", "", "/github/x"),
        ("/x", "/github?q=1", "?q=1", "/github/x"),
        ("/x", "/github/user?pin=1", "/user?pin=%5Bredacted%5D", "/github/x"),
        ("/x", "/user", "/user", "/x"),
        ("https://api.github.com/x", "/github/user", "/user", "/github/x"),
        ("https://api.github.com", "/user", "/user", "/"),
        ("https://API.GitHub.com#a", "/github/user", "/user", "/github/#a"),
        ("http://api.github.com/x", "/github/user", "/user", "http://api.github.com/x"),
        ("https://api.github.com.evil.test/x", "/github/user", "/user", "https://api.github.com.evil.test/x"),
        ("https://api.github.com@evil.test/x", "/github/user", "/user", "https://api.github.com@evil.test/x"),
        ("https://api.github.com//evil.test", "/user", "/user", "https://api.github.com//evil.test"),
        ("//evil.test", "/github/user", "/user", "//evil.test"),
        ("/x", "https://api.github.com/user", "/user", "/x"),
        ("/x", "*", "*", "/x"),
        ("", "/github/user", "/user", ""),
    ],
)
def test_a_redirect_leads_through_the_gateway(location, asked, target, expected):
    assert leads(location, asked, target) == expected


@pytest.mark.parametrize(
    ("location", "asked", "expected"),
    [
        ("/v1/x", "/github/user", "/github/x"),
        ("/v1", "/github/user", "/github"),
        ("/v1?x", "/user", "/?x"),
        ("/v1", "/user", "/"),
        ("/v1//evil.test/x", "/user", "/v1//evil.test/x"),
        ("/v1//x", "/github/user", "/github//x"),
        ("/v12/x", "/github/user", "/v12/x"),
        ("/x", "/github/user", "/x"),
    ],
)
def test_a_redirect_below_the_base_path(location, asked, expected):
    """Without a prefix (a Host of its own) what is left must neither be empty nor name another host."""
    assert leads(location, asked, base_path="/v1") == expected


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40), st.sampled_from(["", "/v1"]))
def test_no_location_becomes_one_that_names_another_host(location, base):
    for asked in ("/github/user", "/user"):
        told = leads(location, asked, base_path=base)
        assert told == location or (told[:2] != "//" and told[:1] == "/")


@pytest.mark.parametrize(
    ("location", "away"),
    [
        ("/mcp/", False),
        ("next?x=http://a", False),
        ("?a=1", False),
        ("http://127.0.0.1:7000/x", False),
        ("HTTP://127.0.0.1:7000", False),
        ("http://127.0.0.1:70001/x", True),
        ("http://127.0.0.1:7000.evil/x", True),
        ("http://evil/", True),
        ("//evil/x", True),
        ("\\\\evil/x", True),
        ("/\\evil", True),
        ("javascript:x", True),
        (" https://evil", True),
    ],
)
def test_which_redirects_lead_to_another_host(location, away):
    forwarder = Forwarder(tool("bank", ("http", "127.0.0.1", 7000)))
    assert forwarder.leads_away(location.encode()) is away


def test_the_trace_context_of_the_call_goes_in_the_place_of_the_agents():
    of = request("GET", "/github/user", [("TraceParent", "old"), ("tracestate", "a=b"), ("Baggage", "x=1"), ("A", "b")])
    onward = ((b"traceparent", b"new"), (b"baggage", b"us=1,x=1"), (b"tracestate", b""))
    made = structs.replace(call(to=tool(), of=of), onward=onward)
    lines = Forwarder(tool()).head(Permit(made), chunked=False).decode().split("\r\n")
    assert [line for line in lines if line.lower().startswith(("trace", "bagg", "a:"))] == [
        "A: b",
        "traceparent: new",
        "baggage: us=1,x=1",
    ]


def test_what_is_stripped_for_a_tool_is_not_put_in_either():
    to = tool(strip=frozenset({b"baggage"}))
    made = structs.replace(call(to=to), onward=((b"traceparent", b"new"), (b"baggage", b"us=1")))
    text = Forwarder(to).head(Permit(made), chunked=False)
    assert b"traceparent: new\r\n" in text
    assert b"baggage" not in text


def test_what_is_lent_takes_the_place_of_the_agents_fields_in_any_spelling() -> None:
    fields = [("X-Key", "agents"), ("x_key", "agents"), ("X-Other", "1")]
    made = call(of=request(fields=fields))
    lent = Lent(((b"X-Key", b"ours"), (b"X-More", b"2")), (("key", "a&b"),))
    raw = Forwarder(tool()).head(Permit(made), chunked=False, lent=lent)
    assert raw.startswith(b"GET /user?key=a%26b HTTP/1.1\r\n")
    assert b"agents" not in raw
    assert b"X-Key: ours\r\nX-More: 2\r\n" in raw
    assert b"X-Other: 1\r\n" in raw


def test_a_tool_whose_echo_is_masked_is_asked_for_plain_answers() -> None:
    made = call(of=request(fields=[("Accept-Encoding", "gzip"), ("Range", "bytes=0-9")]))
    for plain in (False, True):
        raw = Forwarder(tool(masks_echo=True)).head(Permit(made), chunked=False, plain=plain)
        assert raw.count(b"Accept-Encoding: identity\r\n") == 1
        assert b"gzip" not in raw
        assert (b"Range" in raw) is not plain


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X_Forwarded_Host", "x-forwarded_for", "X_Real_IP", "Forwarded"])
def test_the_agents_word_on_hops_before_is_not_passed_on_however_it_is_spelt(name):
    told = Forwarder(tool()).kept(call(of=request(fields=[(name, "evil.example"), ("X-Own", "1")])))
    assert told == [(b"X-Own", b"1")]


@pytest.mark.parametrize("name", ["Agent-Why", "X-Toolgate-Prompt", "x-toolgate-task-signature"])
def test_what_is_for_the_gateway_reaches_no_tool(name):
    assert Forwarder(tool()).kept(call(of=request(fields=[(name, "cGF5IGJvYg")]))) == []
