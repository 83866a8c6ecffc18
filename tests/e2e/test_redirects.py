"""Where a tool sends an agent: to its own places the way leads through the gateway, to others as the tool said."""

from __future__ import annotations

import http.client

import pytest

from .harness import http1
from .harness.gateway import Gateway, call
from .harness.net import Peer
from .harness.upstream import Upstream


def located(gateway: Gateway, upstream: Upstream, target: str, location: str, host: str = "gateway.test") -> str:
    """Where the agent is sent when the tool says ``location``."""
    raw = http1.response("302 Found", [("Location", location.replace("ORIGIN", f"127.0.0.1:{upstream.port}"))])
    with upstream.recording(raw):
        (value,) = call(gateway, "GET", target, host=host).all("location")
    return value.decode("latin-1")


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/elsewhere", "/raw/elsewhere"),
        ("/", "/raw/"),
        ("/a?b=/c#d", "/raw/a?b=/c#d"),
        ("http://ORIGIN/elsewhere?x=1", "/raw/elsewhere?x=1"),
        ("HTTP://ORIGIN/elsewhere", "/raw/elsewhere"),
        ("http://ORIGIN", "/raw/"),
        ("http://ORIGIN?x=1", "/raw/?x=1"),
        ("/caf\xe9", "/raw/caf\xe9"),
    ],
)
@pytest.mark.parametrize("asked", ["/raw/here?q=1", "/raw", "/raw/", "/raw?q"])
def test_a_place_of_the_tool_is_reached_through_the_gateway(
    gateway: Gateway, upstream: Upstream, asked: str, location: str, leads_to: str
) -> None:
    assert located(gateway, upstream, asked, location) == leads_to


@pytest.mark.parametrize(
    "location",
    [
        "https://other.test/elsewhere",
        "http://other.test",
        "//other.test/x",
        "http://127.0.0.1:1/x",
        "http://127.0.0.1/x",
        "below",
        "../up",
        "?only=query",
        "#only",
        "",
        "mailto:somebody@other.test",
    ],
)
def test_any_other_place_stays_what_the_tool_said(gateway: Gateway, upstream: Upstream, location: str) -> None:
    assert located(gateway, upstream, "/raw/here", location) == location


@pytest.mark.parametrize("more", ["1", ".evil.test", "@evil.test", "//evil.test/x", "1/x"])
def test_what_only_begins_like_the_tools_origin_is_another_place(
    gateway: Gateway, upstream: Upstream, more: str
) -> None:
    said = f"http://127.0.0.1:{upstream.port}{more}"
    assert located(gateway, upstream, "/raw/here", said) == said


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/api/v1/elsewhere", "/based/elsewhere"),
        ("/api/v1", "/based"),
        ("/api/v1?x", "/based?x"),
        ("http://ORIGIN/api/v1/elsewhere", "/based/elsewhere"),
        ("/api/v10/elsewhere", "/api/v10/elsewhere"),
        ("/login", "/login"),
    ],
)
def test_below_a_base_path_only_what_lies_below_it_can_be_reached(
    gateway: Gateway, upstream: Upstream, location: str, leads_to: str
) -> None:
    assert located(gateway, upstream, "/based/here", location) == leads_to


@pytest.mark.parametrize(("location", "leads_to"), [("/elsewhere", "/elsewhere"), ("http://ORIGIN/x?y", "/x?y")])
def test_an_agent_that_knows_the_tool_by_a_host_of_its_own_needs_no_prefix(
    gateway: Gateway, upstream: Upstream, location: str, leads_to: str
) -> None:
    assert located(gateway, upstream, "/here", location, host="tool.test") == leads_to


@pytest.mark.parametrize("location", ["/elsewhere", "http://ORIGIN/elsewhere"])
def test_an_agent_that_uses_the_gateway_as_its_proxy_gets_what_the_tool_said(
    gateway: Gateway, upstream: Upstream, location: str
) -> None:
    authority = f"127.0.0.1:{upstream.port}"
    said = location.replace("ORIGIN", authority)
    assert located(gateway, upstream, f"http://{authority}/here", location, host=authority) == said


@pytest.mark.parametrize("status", ["201 Created", "301 Moved", "303 See Other", "307 Temporary", "308 Permanent"])
def test_locations_of_all_kinds_of_answers(gateway: Gateway, upstream: Upstream, status: str) -> None:
    raw = http1.response(status, [("X-A", "1"), ("location", "/new/7"), ("X-B", "2")], b"text")
    with upstream.recording(raw):
        answer = call(gateway, "POST", "/raw/new", body=b"x")
    assert answer.fields[:3] == ((b"X-A", b"1"), (b"location", b"/raw/new/7"), (b"X-B", b"2"))


def test_an_agent_that_follows_arrives_where_the_tool_meant(gateway: Gateway, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        message = http1.read_request(peer)
        if message.target == b"/end?x=1":
            peer.send(http1.response("200 OK", body=b"arrived"))
        else:
            peer.send(http1.response("302 Found", [("Location", "/end?x=1")]))

    with upstream.playing(script):
        asked = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        asked.request("GET", "/raw/begin")
        answer = asked.getresponse()
        answer.read()
        asked.request("GET", answer.headers["Location"])
        assert asked.getresponse().read() == b"arrived"
        asked.close()
