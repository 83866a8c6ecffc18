"""What an attacker tried and got through with, once: each stays tried."""

from hashlib import sha256

import pytest

from gateway.errors import Refused
from gateway.execute.forward import Forwarder
from gateway.identify import identify
from gateway.identify.api_key import ApiKeyIdentity, Key
from gateway.identify.header import HeaderIdentity
from gateway.model import CircuitSettings, Permit, Run
from gateway.policy.guards import LONGEST_PART, short
from gateway.policy.variables import VARIABLES
from gateway.stores.circuit import HALF_OPEN, LEASE, Circuit
from gateway.understand import strict_json
from gateway.understand.http import HttpReader
from gateway.understand.route import Router
from gateway.understand.templates import ambiguous
from gateway.wire.answer import head_of
from gateway.wire.strict import trailer_complaint
from tests.builders import ANYBODY, call, request, tool
from tests.wire.rig import rig_of, status_of

FORM = ("Content-Type", "application/x-www-form-urlencoded")


def _read(*fields):
    one = tool()
    body = b'{"amount":1}'
    asked = request("POST", f"/{one.name}/t", fields, length=len(body))
    reader = HttpReader(one, reads_args=True, looks_at_path=False)
    return reader.read("c", asked, Router([one]).route(asked), ANYBODY, Run(), body)


@pytest.mark.parametrize("path", ["/%252e%252e%252fadmin", "/..%3bx/admin", "/%c0%ae%c0%ae/admin", "/%ff"])
def test_paths_that_are_decoded_twice_or_wrongly_are_ambiguous(path):
    assert ambiguous(path)


@pytest.mark.parametrize("path", ["/50%25", "/caf%c3%a9", "/a%20b"])
def test_plain_encoded_paths_are_not(path):
    assert not ambiguous(path)


def test_a_long_key_is_not_repeated_in_every_place_and_is_cut_in_the_message():
    with pytest.raises(ValueError, match="beyond 2") as raised:
        strict_json.parse(b'{"' + b"k" * 5000 + b'":[1,2,12345678901234567890]}')
    assert len(str(raised.value)) < 200
    assert "[2]" in str(raised.value)


def test_long_parts_of_counter_keys_count_by_their_digest():
    assert short("x" * LONGEST_PART) == "x" * LONGEST_PART
    long, other = short("x" * 1_000_000), short("x" * 999_999)
    assert len(long) < LONGEST_PART
    assert long != other


def test_a_field_named_by_connection_is_not_seen_by_rules_since_the_tool_does_not_get_it():
    seen = VARIABLES["request.headers"].read(
        call(of=request(fields=(("X-Dry-Run", "true"), ("Connection", "x-dry-run"), ("X-Other", "1"))))
    )
    assert "x-dry-run" not in seen
    assert seen["x-other"] == "1"


def _head(one, *fields, method="POST", length=0):
    asked = request(method, "/x", fields, length=length)
    return Forwarder(one).head(Permit(call(of=asked, to=one)), chunked=False)


def test_underscores_do_not_get_a_field_past_the_credential():
    one = tool(inject=((b"X-Api-Key", b"ours"),), strip=frozenset({b"x-api-key", b"x-internal"}))
    head = _head(one, ("X_Api_Key", "theirs"), ("X_Internal-Note", "kept"), ("X_Internal", "1"))
    assert b"theirs" not in head
    assert b"X_Internal: 1" not in head
    assert b"X_Internal-Note: kept" in head


def test_trailers_carry_nothing_that_a_head_would_not():
    one = tool(strip=frozenset({b"x-internal"}))
    trailers = ((b"X-Internal", b"1"), (b"X-Forwarded-For", b"9.9.9.9"), (b"X-Sum", b"abc"))
    assert Forwarder(one).trailers(trailers) == ((b"X-Sum", b"abc"),)


def test_a_body_that_the_tool_may_ignore_does_not_become_its_next_request():
    assert b"Connection: close\r\n" in _head(tool(), ("Content-Length", "5"), method="GET", length=5)
    assert b"Connection: close\r\n" not in _head(tool(), ("Content-Length", "5"), method="POST", length=5)


def test_a_key_of_this_gateway_is_not_for_the_tool_whoever_recognised_the_agent():
    keys = ApiKeyIdentity("x-gw-key", [Key(sha256(b"secret").hexdigest(), "bot")])
    asked = request(fields=(("x-agent-id", "a"), ("x-gw-key", "secret")))
    agent = identify(asked, (HeaderIdentity("x-agent-id"), keys))
    assert (agent.id, agent.credential) == ("a", b"x-gw-key")


def test_probes_that_never_end_do_not_hold_the_circuit_for_ever():
    circuit = Circuit(CircuitSettings(failures=1, open=1.0, probes=1))
    circuit.leave(0, False, False, 0.0)
    assert circuit.admits(2.0)[0]
    assert circuit.enter()
    assert not circuit.admits(2.0 + LEASE - 1)[0]
    assert circuit.admits(2.0 + LEASE + 1)[0]
    assert circuit.state == HALF_OPEN


def test_a_circuit_that_nobody_asks_is_forgotten_in_time():
    circuit = Circuit(CircuitSettings(failures=1, open=1.0, window=10.0))
    circuit.admits(0.0)
    assert not circuit.quiet(5.0)
    assert circuit.quiet(1000.0)


def test_connect_brings_no_body():
    called = rig_of()
    called.agent.says(b"CONNECT 127.0.0.1:7000 HTTP/1.1\r\nHost: 127.0.0.1:7000\r\nContent-Length: 5\r\n\r\nhello")
    assert status_of(called.agent.heard()) == 400


def test_a_client_that_half_closed_hours_ago_does_not_stop_the_clock():
    called = rig_of()
    called.agent.says(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n\r\n")
    assert called.agent.protocol.eof_received()
    for _ in range(2000):
        called.agent.protocol._probe(called.agent.protocol._current)
    assert not called.agent.transport.closing


@pytest.mark.parametrize("kinds", [[FORM, ("content-type", "a/b+json")], [("Content-Type", FORM[1] + ", a/b+json")]])
def test_two_content_types_are_none(kinds):
    with pytest.raises(Refused) as raised:
        _read(*kinds)
    assert raised.value.status == 415


@pytest.mark.parametrize("name", ["X-Toolgate-Call", "x-toolgate-warning", "X-TOOLGATE-BUDGET"])
def test_a_tool_cannot_say_what_only_the_gateway_says(name):
    field = (name.encode(), b"forged")
    head = head_of(200, b"OK", [field, (b"Content-Length", b"0")], lambda location: location, new_body=False)
    assert b"forged" not in b"".join(head.parts)
    assert trailer_complaint([field], 10, 1000)
