"""Access tokens of a strict token endpoint, in each way that a client can prove who it is, and each way it can fail."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from msgspec import structs

from gateway.lend.endpoint import OAuth2Source
from gateway.lend.oauth2 import granted_of, request_of
from gateway.lend.sources import Unavailable
from gateway.model import Agent, Lent
from gateway.model.credentials import Exchange, OAuth2
from tests.builders import call
from tests.lend.idp import Idp

SECRET = "canary:secret/with %&+ signs"
CLIENT = "gate way"
SUBJECT = "eyJ.canary-subject.sig"
AGENT = Agent("a", token=SUBJECT.encode())


@pytest.fixture
def idp() -> Iterator[Idp]:
    with Idp({CLIENT: SECRET}) as server:
        server.subjects.add(SUBJECT)
        yield server


class Asking:
    def __init__(self) -> None:
        self.learnt: list[str] = []
        self.sources: list[OAuth2Source] = []

    async def __call__(self, settings: OAuth2, agent: Agent | None = None) -> Lent:
        return await self.of(self.source(settings), agent)

    def source(self, settings: OAuth2) -> OAuth2Source:
        self.sources.append(OAuth2Source(settings, monotonic, random.random, self.learnt.append))
        return self.sources[-1]

    async def of(self, source: OAuth2Source, agent: Agent | None = None) -> Lent:
        lent = source.lend(call(agent=agent or Agent("a")), None, Lent())
        return lent if isinstance(lent, Lent) else await lent


@pytest.fixture
async def ask() -> AsyncIterator[Asking]:
    asking = Asking()
    yield asking
    for source in asking.sources:
        await source.close()


def bearer(token: str) -> Lent:
    return Lent(((b"Authorization", b"Bearer " + token.encode()),), (), (token,))


@pytest.mark.parametrize("in_body", [False, True])
async def test_a_client_with_a_secret(idp: Idp, ask: Asking, in_body: bool) -> None:
    settings = OAuth2(idp.url, CLIENT, SECRET, scopes=("read", "write"), audience=("api",), in_body=in_body)
    assert await ask(settings) == bearer(idp.given[0])
    told = dict(idp.asked[0])
    assert told["scope"] == "read write"
    assert told["audience"] == "api"
    assert ("client_secret" in told) is in_body
    assert ask.learnt == idp.given


async def test_a_client_with_an_assertion_which_is_read_each_time(idp: Idp, ask: Asking, tmp_path: Path) -> None:
    file = tmp_path / "jwt"
    idp.expires_in = 0
    for assertion in ("eyJ.first.x", "eyJ.second.x"):
        file.write_text(assertion + "\n")
        idp.assertions = {assertion}
        await ask(OAuth2(idp.url, CLIENT, assertion_file=str(file)))
        assert dict(idp.asked[-1])["client_assertion"] == assertion
        assert assertion in ask.learnt


async def test_an_agents_token_is_exchanged_once_for_as_long_as_it_serves(idp: Idp, ask: Asking) -> None:
    source = ask.source(OAuth2(idp.url, CLIENT, SECRET, exchange=Exchange(requested_type="urn:x"), resource=("u", "v")))
    assert await ask.of(source, AGENT) == bearer(idp.given[0])
    assert await ask.of(source, AGENT) == bearer(idp.given[0])
    assert len(idp.asked) == 1
    told = dict(idp.asked[0])
    assert told["subject_token"] == SUBJECT
    assert told["requested_token_type"] == "urn:x"
    assert [value for name, value in idp.asked[0] if name == "resource"] == ["u", "v"]


async def test_each_agent_gets_what_its_own_token_is_good_for(idp: Idp, ask: Asking) -> None:
    source = ask.source(OAuth2(idp.url, CLIENT, SECRET, exchange=Exchange()))
    other = structs.replace(AGENT, id="b", token=b"eyJ.other.sig")
    idp.subjects.add("eyJ.other.sig")
    assert await ask.of(source, AGENT) != await ask.of(source, other)
    bad = structs.replace(AGENT, token=b"eyJ.nobody.sig")
    with pytest.raises(Unavailable, match=r"status 400 \(invalid_grant\)$"):
        await ask.of(source, bad)
    assert await ask.of(source, AGENT) == bearer(idp.given[0]), "one bad token is no reason to refuse good ones"


async def test_an_agent_without_a_token_is_refused_and_nobody_asked(idp: Idp, ask: Asking) -> None:
    with pytest.raises(Unavailable, match="no token that could be exchanged") as raised:
        await ask(OAuth2(idp.url, CLIENT, SECRET, exchange=Exchange()), Agent("a"))
    assert raised.value.status == 403
    assert not idp.asked


async def test_a_token_from_a_file_is_exchanged_with_an_actor(idp: Idp, ask: Asking, tmp_path: Path) -> None:
    (tmp_path / "subject").write_text(SUBJECT)
    (tmp_path / "actor").write_text("eyJ.actor.x")
    await ask(
        OAuth2(
            idp.url, CLIENT, SECRET, exchange=Exchange(str(tmp_path / "subject"), actor_file=str(tmp_path / "actor"))
        )
    )
    assert dict(idp.asked[0])["actor_token"] == "eyJ.actor.x"
    (tmp_path / "subject").unlink()
    with pytest.raises(Unavailable, match=r"cannot be read \(FileNotFoundError\)"):
        await ask(OAuth2(idp.url, CLIENT, SECRET, exchange=Exchange(str(tmp_path / "subject"))))


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("down", "status 500"),
        ("malformed", "without a usable access_token"),
        ("no json", "no JSON object"),
        ("other type", "no bearer token"),
        ("huge", "more than"),
        ("redirect", "status 302"),
        ("cut", "does not answer"),
    ],
)
async def test_whatever_an_endpoint_does_its_words_are_not_repeated(
    idp: Idp, ask: Asking, mode: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    idp.mode = mode
    with pytest.raises(Unavailable, match=says) as raised:
        await ask(OAuth2(idp.url, CLIENT, SECRET, in_body=True, exchange=Exchange()), AGENT)
    for told in (str(raised.value), caplog.text):
        assert "canary" not in told
        assert "127.0.0.1" not in told


async def test_a_wrong_secret_is_told_by_its_code_alone(idp: Idp, ask: Asking) -> None:
    with pytest.raises(Unavailable) as raised:
        await ask(OAuth2(idp.url, CLIENT, "canary-wrong", in_body=True))
    assert str(raised.value) == "the token endpoint answers with status 401 (invalid_client)"


async def test_an_endpoint_that_is_not_there(ask: Asking) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await ask(OAuth2("http://127.0.0.1:1/token", CLIENT, SECRET))


async def test_who_is_not_used_any_more_closes_what_it_has_open(idp: Idp, ask: Asking) -> None:
    source = ask.source(OAuth2(idp.url, CLIENT, SECRET))
    await ask.of(source)
    source.retire()
    await source.close()
    assert await ask.of(source) == bearer(idp.given[0]), "calls under way still have what was fetched"


@pytest.mark.parametrize(
    ("told", "life"),
    [(60, 60.0), ("60", 60.0), (1.5, 1.5), (0, 0.0), (-1, 0.0), (True, 0.0), ("x", 0.0), (None, 0.0), (1e30, 0.0)],
)
def test_the_life_of_a_token(told: Any, life: float) -> None:
    import orjson

    body = orjson.dumps({"access_token": "t", "token_type": "bearer", "expires_in": told})
    assert granted_of(200, body).life == life


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"access_token": 1}', b'{"access_token": "a b"}'])
def test_what_is_no_token_is_none(body: bytes) -> None:
    with pytest.raises(Unavailable):
        granted_of(200, body)


def test_id_and_secret_are_encoded_before_basic() -> None:
    """RFC 6749, 2.3.1; otherwise a colon in an id would end it."""
    import base64

    _, authorization = request_of(OAuth2("u", "a:b", "c d+e"))
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"a%3Ab:c+d%2Be"
