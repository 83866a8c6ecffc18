"""An issuer's keys: renewed, rotated, and fetched no more often than need be."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.identify.tokens import BadToken, Expected
from gateway.trust.ask import Unavailable
from gateway.trust.keys import AGAIN, FRESH, OLDEST, Discovery, Keys, keys_of
from tests.tokens import Issuer

NOW = 1_800_000_000.0
EXPECTED = Expected("https://issuer.test", frozenset({"toolgate"}), frozenset({"ES256"}))
FIRST, SECOND = Issuer(ident="k1"), Issuer(ident="k2")


class World:
    """An issuer whose keys can be exchanged, or that is away; and a clock."""

    def __init__(self) -> None:
        self.now, self.fetched, self.data = 1_000.0, 0, FIRST.keys()
        self.away = False
        self.keys = Keys(self.fetch, lambda: self.now)

    async def fetch(self) -> bytes:
        self.fetched += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("the issuer is away")
        return self.data

    async def verified(self, issuer: Issuer) -> str:
        return (await self.keys.verified(issuer.token(NOW), EXPECTED, NOW))["sub"]


async def test_keys_are_fetched_once_for_all_who_wait() -> None:
    world = World()
    assert await asyncio.gather(*[world.verified(FIRST) for _ in range(20)]) == ["ada"] * 20
    assert world.fetched == 1


async def test_a_new_key_is_fetched_for_the_first_token_that_it_signs() -> None:
    world = World()
    await world.verified(FIRST)
    world.data, world.now = SECOND.keys(FIRST), world.now + AGAIN
    assert await asyncio.gather(*[world.verified(SECOND) for _ in range(5)]) == ["ada"] * 5
    assert await world.verified(FIRST) == "ada"
    assert world.fetched == 2


async def test_a_key_that_is_taken_back_signs_nothing_once_keys_are_renewed() -> None:
    world = World()
    await world.verified(FIRST)
    world.data, world.now = SECOND.keys(), world.now + FRESH
    assert await world.verified(FIRST) == "ada", "the old ones serve while new ones are fetched"
    await asyncio.sleep(0.01)
    with pytest.raises(BadToken):
        await world.verified(FIRST)


async def test_tokens_with_invented_keys_do_not_make_many_fetches() -> None:
    world = World()
    for number in range(200):
        world.now += AGAIN / 50
        with pytest.raises(BadToken):
            await world.verified(Issuer(ident=f"invented{number}"))
    assert world.fetched <= 1 + 200 / 50


async def test_where_keys_cannot_be_had_nobody_is_let_in() -> None:
    world = World()
    world.away = True
    for _ in range(5):
        with pytest.raises(Unavailable, match="away"):
            await world.verified(FIRST)
    assert world.fetched == 1
    world.away, world.now = False, world.now + AGAIN
    assert await world.verified(FIRST) == "ada"


@pytest.mark.parametrize("data", [b"<html>", b'{"keys": []}'])
async def test_what_is_no_key_set_does_not_replace_one(data: bytes) -> None:
    world = World()
    await world.verified(FIRST)
    world.data, world.now = data, world.now + FRESH
    for _ in range(3):
        assert await world.verified(FIRST) == "ada"
        await asyncio.sleep(0.01)


async def test_keys_that_cannot_be_renewed_are_not_believed_for_ever() -> None:
    world = World()
    await world.verified(FIRST)
    world.away, world.now = True, world.now + OLDEST - 1
    assert await world.verified(FIRST) == "ada"
    world.now += AGAIN + 1
    with pytest.raises(Unavailable):
        await world.verified(FIRST)


class Told:
    """Answers by address."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers

    async def ask(self, url: str, **_: object) -> bytes:
        return json.dumps(self.answers[url]).encode()


WHERE = "https://issuer.test/.well-known/openid-configuration"


async def test_the_discovery_document_says_where_keys_are() -> None:
    known = {"issuer": "https://issuer.test", "jwks_uri": "https://keys.test/jwks"}
    asker = Told({WHERE: known, "https://keys.test/jwks": json.loads(FIRST.keys())})
    keys = keys_of(asker, lambda: 1_000.0, issuer="https://issuer.test")  # type: ignore[arg-type]
    assert (await keys.verified(FIRST.token(NOW), EXPECTED, NOW))["sub"] == "ada"


@pytest.mark.parametrize(
    "known",
    [
        {"issuer": "https://evil.test", "jwks_uri": "https://keys.test/jwks"},
        {"issuer": "https://issuer.test", "jwks_uri": "http://keys.test/jwks"},
        {"issuer": "https://issuer.test", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "https://issuer.test"},
        [],
    ],
)
async def test_a_document_of_another_issuer_or_with_keys_anybody_could_send_is_refused(known: object) -> None:
    discovery = Discovery("https://issuer.test", Told({WHERE: known}), lambda: 1_000.0)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await discovery.address("jwks_uri")


async def test_whoever_wants_to_log_in_does_not_make_many_questions() -> None:
    """Neither while the document can be had nor while it cannot."""
    now, known = [1_000.0], {"issuer": "https://issuer.test", "jwks_uri": "https://keys.test/jwks"}

    class Counting(Told):
        asked, away = 0, False

        async def ask(self, url: str, **more: object) -> bytes:
            self.asked += 1
            await asyncio.sleep(0)
            if self.away:
                raise Unavailable("the issuer is away")
            return await super().ask(url, **more)

    asker = Counting({WHERE: known})
    discovery = Discovery("https://issuer.test", asker, lambda: now[0])  # type: ignore[arg-type]
    assert len(set(await asyncio.gather(*[discovery.address("jwks_uri") for _ in range(20)]))) == 1
    assert asker.asked == 1
    now[0], asker.away = now[0] + FRESH, True
    assert await discovery.address("jwks_uri") == "https://keys.test/jwks", "the last one serves while it is away"
    now[0] += OLDEST
    for _ in range(20):
        with pytest.raises(Unavailable, match="away"):
            await discovery.address("jwks_uri")
    assert asker.asked == 3


async def test_keys_may_be_in_a_file(tmp_path) -> None:
    file, now = tmp_path / "keys.json", [1_000.0]
    keys = keys_of(Told({}), lambda: now[0], file=str(file))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await keys.verified(FIRST.token(NOW), EXPECTED, NOW)
    file.write_bytes(FIRST.keys())
    now[0] += AGAIN
    assert (await keys.verified(FIRST.token(NOW), EXPECTED, NOW))["sub"] == "ada"
