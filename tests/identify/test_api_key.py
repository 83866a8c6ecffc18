"""API keys: known by digest, wrong ones refused on the spot."""

from __future__ import annotations

import hashlib

import pytest

from gateway.errors import Refused
from gateway.identify import identify
from gateway.identify.api_key import ApiKeyIdentity, Key
from gateway.identify.header import Anonymous
from gateway.model import Reason
from tests.builders import request


def keyed(header: str = "authorization") -> ApiKeyIdentity:
    return ApiKeyIdentity(
        header,
        [
            Key(hashlib.sha256(b"s3cret").hexdigest(), "report-1", ("analyst",)),
            Key(hashlib.sha256(b"other").hexdigest(), "writer-1"),
        ],
    )


@pytest.mark.parametrize("value", ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret ", "s3cret", " s3cret"])
def test_a_known_key_is_an_agent_bearer_or_bare(value):
    agent = keyed().identify(request(fields=[("Authorization", value)]))
    assert agent is not None
    assert (agent.id, agent.roles, agent.source) == ("report-1", ("analyst",), "api_key")


def test_each_key_is_its_own_agent_and_the_peer_does_not_matter():
    agent = keyed("X-Key").identify(request(fields=[("x-key", "other")], peer="10.0.0.9"))
    assert agent is not None
    assert agent.id == "writer-1"


def test_the_agent_says_which_field_must_not_be_forwarded():
    agent = keyed("X-Key").identify(request(fields=[("X-KEY", "other")]))
    assert agent is not None
    assert agent.credential == b"x-key"


def test_no_key_is_not_this_sources_business():
    assert keyed().identify(request()) is None


@pytest.mark.parametrize(
    "value", ["wrong", "Bearer wrong", "", "Bearer ", "Basic czNjcmV0", "S3CRET", "Bearer s3cret x"]
)
def test_a_wrong_key_is_401_and_never_falls_through(value):
    with pytest.raises(Refused) as refused:
        identify(request(fields=[("Authorization", value)]), (keyed(), Anonymous("guest")))
    assert (refused.value.status, refused.value.reason) == (401, Reason.UNAUTHENTICATED)
    assert dict(refused.value.fields)[b"WWW-Authenticate"].startswith(b"Bearer")


def test_two_keys_are_not_one_of_them():
    with pytest.raises(Refused):
        keyed().identify(request(fields=[("Authorization", "Bearer s3cret"), ("Authorization", "Bearer other")]))


def test_the_refusal_does_not_repeat_the_key():
    with pytest.raises(Refused) as refused:
        keyed().identify(request(fields=[("Authorization", "Bearer almost-s3cret")]))
    assert "almost" not in refused.value.detail + refused.value.advice
