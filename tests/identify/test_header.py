"""An agent that says who it is."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.identify import identify
from gateway.identify.header import LONGEST, Anonymous, HeaderIdentity
from tests.builders import request

HEADER = HeaderIdentity("X-Agent-Id")


def named(*values: str, peer: str = "127.0.0.1"):
    return request(fields=[("X-Agent-Id", value) for value in values], peer=peer)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1"])
def test_a_loopback_peer_is_believed(peer):
    agent = HEADER.identify(named("report-1", peer=peer))
    assert agent is not None
    assert (agent.id, agent.roles, agent.source, agent.credential) == ("report-1", (), "header", b"")


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.1.1", "2001:db8::1", "unknown"])
def test_nobody_else_is_believed(peer):
    assert HEADER.identify(named("report-1", peer=peer)) is None


def test_a_redirected_connection_is_of_this_machine_whatever_address_its_peer_has():
    redirected = structs.replace(named("report-1", peer="10.0.0.7"), original="203.0.113.5:80")
    agent = HEADER.identify(redirected)
    assert agent is not None
    assert (agent.id, agent.source) == ("report-1", "header")


def test_a_name_that_was_believed_from_loopback_is_not_believed_from_elsewhere_afterwards():
    """Agents are remembered by the header's value; the peer must be looked at each time all the same."""
    source = HeaderIdentity("x-agent-id")
    assert source.identify(named("report-1")) is not None
    assert source.identify(named("report-1", peer="10.0.0.7")) is None


@pytest.mark.parametrize(
    "values", [(), ("",), ("   ",), ("a", "b"), ("a,b",), ("report-1", "report-1"), ("a\x07b",), ("x" * (LONGEST + 1),)]
)
def test_a_missing_repeated_or_unfit_name_is_no_name(values):
    assert HEADER.identify(named(*values)) is None


def test_the_longest_name_allowed_is_taken():
    agent = HEADER.identify(named("x" * LONGEST))
    assert agent is not None
    assert agent.id == "x" * LONGEST


def test_what_is_remembered_is_bounded_and_stays_right():
    source = HeaderIdentity("x-agent-id")
    for number in range(3000):
        agent = source.identify(named(f"agent-{number}"))
        assert agent is not None
        assert agent.id == f"agent-{number}"
    assert len(source._seen) <= 1024


def test_anonymous_is_whoever_is_left():
    assert identify(named(peer="10.0.0.7"), (HEADER, Anonymous("guest"))).id == "guest"
    assert identify(named("report-1"), (HEADER, Anonymous("guest"))).id == "report-1"
