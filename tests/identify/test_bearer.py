"""Tokens in a header: which are looked at, how often somebody is asked about them, and how they are refused."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.identify import identify
from gateway.identify.api_key import ApiKeyIdentity, Key
from gateway.identify.bearer import AGAIN, KEPT, MOST, BearerIdentity
from gateway.identify.header import Anonymous, HeaderIdentity
from gateway.identify.tokens import LONGEST, BadToken
from gateway.model import Agent, Reason
from tests.builders import request

NOW = 1_800_000_000.0


def part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token(iss: str = "https://issuer.test", **claims: Any) -> str:
    return f"{part({'alg': 'ES256'})}.{part({'iss': iss, **claims})}.c2ln"


class Issuer:
    """Vouches for all of its own tokens, or says ``wrong``; remembers what it was asked."""

    issuer = "https://issuer.test"

    def __init__(self) -> None:
        self.now, self.asked, self.until = NOW, 0, NOW + 3_600
        self.wrong: BadToken | Refused | None = None
        self.source = BearerIdentity("Authorization", self, lambda: self.now)

    def mine(self, claims: Mapping[str, Any]) -> bool:
        return claims.get("iss") == self.issuer

    async def agent(self, token: str) -> tuple[Agent, float]:
        self.asked += 1
        if self.wrong is not None:
            raise self.wrong
        return Agent("bot", ("r",), "jwt", claims={"team": "a"}), self.until

    async def who(self, shown: str, header: str = "Authorization") -> Agent | None:
        found = self.source.identify(request(fields=[(header, shown)]))
        return found if found is None or isinstance(found, Agent) else await found


async def test_a_token_is_verified_once_and_never_forwarded() -> None:
    issuer = Issuer()
    first = await issuer.who(f"Bearer {token()}")
    assert first == Agent("bot", ("r",), "jwt", b"authorization", {"team": "a"}, token().encode())
    again = issuer.source.identify(request(fields=[("authorization", f"Bearer {token()}")]))
    assert again is first, "at once, without waiting for anything"
    assert issuer.asked == 1
    assert (await issuer.who(f"bearer {token(n=2)}")).token == token(n=2).encode()  # type: ignore[union-attr]
    assert issuer.asked == 2


@pytest.mark.parametrize(("ends", "kept"), [(NOW + 20, 20), (NOW + 9_000, KEPT)])
async def test_it_is_verified_again_when_it_ends_and_now_and_then(ends: float, kept: float) -> None:
    issuer = Issuer()
    issuer.until = ends
    await issuer.who(f"Bearer {token()}")
    issuer.now += kept - 0.1
    await issuer.who(f"Bearer {token()}")
    assert issuer.asked == 1
    issuer.now += 0.1
    await issuer.who(f"Bearer {token()}")
    assert issuer.asked == 2


async def test_a_bad_token_is_401_as_rfc_6750_has_it_and_asked_about_once_in_a_while() -> None:
    issuer = Issuer()
    issuer.wrong = BadToken('it has "expired" (exp)\r\n\\é')
    for _ in range(5):
        with pytest.raises(Refused) as refused:
            await issuer.who(f"Bearer {token()}")
        assert (refused.value.status, refused.value.reason) == (401, Reason.UNAUTHENTICATED)
        challenge = dict(refused.value.fields)[b"WWW-Authenticate"]
        assert challenge == (
            b'Bearer realm="toolgate", error="invalid_token", error_description="it has ?expired? (exp)????"'
        )
    assert issuer.asked == 1
    issuer.now += AGAIN
    with pytest.raises(Refused):
        await issuer.who(f"Bearer {token()}")
    assert issuer.asked == 2


async def test_one_with_an_unknown_key_is_asked_about_each_time_since_keys_rotate() -> None:
    issuer = Issuer()
    issuer.wrong = BadToken("unknown", unknown_key=True)
    for _ in range(3):
        with pytest.raises(Refused):
            await issuer.who(f"Bearer {token()}")
    issuer.wrong = None
    assert await issuer.who(f"Bearer {token()}")


async def test_an_issuer_that_is_away_is_no_verdict_on_the_token() -> None:
    issuer = Issuer()
    issuer.wrong = Refused(Reason.IDENTITY_UNAVAILABLE, 503, "away")
    with pytest.raises(Refused) as refused:
        await issuer.who(f"Bearer {token()}")
    assert refused.value.status == 503
    issuer.wrong = None
    assert await issuer.who(f"Bearer {token()}")


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer opaque-key",
        f"Bearer {token('https://other.test')}",
        f"Basic {token()}",
        token(),
        f"Bearer {token()}.a.b",
        "Bearer eyJub3RoaW5n",
        "Bearer ",
        f"Bearer key, Bearer {token()}",
    ],
)
async def test_what_is_not_of_the_issuer_is_for_another_way(shown: str) -> None:
    assert await Issuer().who(shown) is None


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (f"Bearer {token(pad='x' * LONGEST)}", "longer"),
        (f"Bearer {part({'alg': 'none'})}.{part([1])}.", "cannot be read"),
        (f"Bearer {part({'alg': 'ES256'})}.eyJpc3MiOiJhIiwiaXNzIjoiYiJ9.c2ln", "cannot be read"),
    ],
)
async def test_what_cannot_be_told_is_refused(shown: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        await Issuer().who(shown)


async def test_two_tokens_in_one_request_are_none() -> None:
    issuer = Issuer()
    twice = request(fields=[("Authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token(n=2)}")])
    with pytest.raises(Refused, match="several"):
        issuer.source.identify(twice)
    assert issuer.source.carried(twice)


async def test_in_a_header_of_its_own_a_token_may_stand_bare() -> None:
    issuer = Issuer()
    issuer.source = BearerIdentity("X-Agent-Token", issuer, lambda: NOW)
    for shown in (token(), f"Bearer {token()}"):
        found = await issuer.who(shown, "X-Agent-Token")
        assert found is not None
        assert found.credential == b"x-agent-token"


async def test_tables_are_bounded_whatever_agents_send() -> None:
    issuer = Issuer()
    for number in range(MOST + 10):
        await issuer.who(f"Bearer {token(n=number)}")
    issuer.wrong = BadToken("no")
    for number in range(MOST + 10):
        with pytest.raises(Refused):
            await issuer.who(f"Bearer {token(m=number)}")
    assert (len(issuer.source._good), len(issuer.source._bad)) == (MOST, MOST)


@given(st.binary(max_size=200))
def test_no_bytes_break_it(shown: bytes) -> None:
    source, value = Issuer().source, shown.decode("latin-1")
    given_ = request(fields=[("Authorization", value)])
    assert source.identify(given_) is None
    assert not source.carried(given_)


KEYS = ApiKeyIdentity("x-api-key", [Key("2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "keyed")])
"""The key is ``secret``."""


async def test_a_key_beside_a_token_is_refused_and_a_token_beside_a_name_is_kept_from_tools() -> None:
    issuer = Issuer()
    both = request(fields=[("Authorization", f"Bearer {token()}"), ("X-Api-Key", "secret")])
    for sources in ((issuer.source, KEYS), (KEYS, issuer.source)):
        with pytest.raises(Refused) as refused:
            identify(both, sources)
        assert refused.value.status == 400
    named = request(fields=[("Authorization", f"Bearer {token()}"), ("X-Agent-Id", "ann")])
    agent = identify(named, (HeaderIdentity("x-agent-id"), issuer.source))
    assert isinstance(agent, Agent)
    assert (agent.id, agent.credential) == ("ann", b"authorization")
    assert issuer.asked == 0


async def test_a_bad_token_falls_through_to_no_other_way() -> None:
    issuer = Issuer()
    issuer.wrong = BadToken("expired")
    found = identify(request(fields=[("Authorization", f"Bearer {token()}")]), (issuer.source, Anonymous("anybody")))
    assert not isinstance(found, Agent)
    with pytest.raises(Refused):
        await found
