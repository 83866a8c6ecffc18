"""Who vouches for agents: asked within bounds, and not asked anew by every reload."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.config.schema_identify import Identify
from gateway.errors import Refused
from gateway.identify.bearer import BearerIdentity
from gateway.model import Agent, Reason
from gateway.trust import agents
from gateway.trust.agents import Vouchers
from tests.builders import request
from tests.tokens import Issuer

POD = {
    "sub": "system:serviceaccount:finance:payer",
    "kubernetes.io": {"namespace": "finance", "pod": {"name": "payer-0", "uid": "u-1"}},
}


class Server:
    """An issuer, and the API server of a cluster whose issuer that is."""

    def __init__(self, folder: Path) -> None:
        self.own = folder / "own-token"
        self.own.write_text("gateway's own\n")
        self.asked: list[str] = []
        self.shown: list[str] = []
        self.away = False
        self.slow = asyncio.Event()
        self.slow.set()
        self.knows = True
        self.issuer = Issuer()
        self.data = b""
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/openid/v1/jwks", self._keys)
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self._review)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.issuer.name = self.url
        self.data = self.issuer.keys()
        return runner

    async def _answer(self, request: web.Request, body: bytes) -> web.Response:
        self.asked.append(request.path)
        self.shown.append(request.headers.get("Authorization", ""))
        await self.slow.wait()
        return web.Response(status=503) if self.away else web.Response(body=body, content_type="application/json")

    async def _discovery(self, request: web.Request) -> web.Response:
        told = {"issuer": self.url, "jwks_uri": f"{self.url}/openid/v1/jwks"}
        return await self._answer(request, json.dumps(told).encode())

    async def _keys(self, request: web.Request) -> web.Response:
        return await self._answer(request, self.data)

    async def _review(self, request: web.Request) -> web.Response:
        review = await request.json()
        extra = {"authentication.kubernetes.io/pod-name": ["payer-0"], "authentication.kubernetes.io/pod-uid": ["u-1"]}
        user = {"username": POD["sub"], "groups": [], "extra": extra}
        status: dict[str, Any] = {"authenticated": self.knows, "user": user, "audiences": review["spec"]["audiences"]}
        return await self._answer(request, json.dumps({"status": status}).encode())

    def jwt(self, **more: Any) -> Identify:
        return Identify.model_validate({"jwt": {"issuer": self.url, "audience": ["toolgate"], **more}})

    def kubernetes(self, **more: Any) -> Identify:
        given = {"url": self.url, "token_file": str(self.own), **more}
        return Identify.model_validate({"kubernetes": given})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path)
    runner = await made.start()
    yield made
    made.slow.set()
    await runner.cleanup()


@pytest.fixture
async def vouchers() -> AsyncIterator[Vouchers]:
    made = Vouchers()
    yield made
    await made.close()


async def who(source: BearerIdentity, token: str) -> Agent:
    found = source.identify(request(fields=[("Authorization", f"Bearer {token}")]))
    assert found is not None
    return found if isinstance(found, Agent) else await found


async def test_an_issuers_keys_are_discovered(server: Server, vouchers: Vouchers) -> None:
    more = {"agent": "client_id", "roles": "scope", "prefix": "ci:", "require": {"env": ["prod", "eu"], "v": 2}}
    source = vouchers.sources([Identify(header="x-agent-id"), server.jwt(**more)])[1]
    token = server.issuer.token(time.time(), client_id="bot", scope="a b", env="eu", v=2)
    found = await who(source, token)
    assert (found.id, found.roles, found.source, found.claims["env"]) == ("ci:bot", ("a", "b"), "jwt", "eu")
    with pytest.raises(Refused, match="required"):
        await who(source, server.issuer.token(time.time(), client_id="bot", env="dev", v=2))
    with pytest.raises(Refused, match="aud"):
        await who(source, server.issuer.token(time.time(), aud="somebody-else"))
    assert server.asked == ["/.well-known/openid-configuration", "/openid/v1/jwks"]


async def test_a_reload_keeps_keys_and_forgets_tokens(server: Server, vouchers: Vouchers) -> None:
    token = server.issuer.token(time.time())
    await who(vouchers.sources([server.jwt()])[0], token)
    server.away = True
    later = vouchers.sources([server.jwt(agent="iss")])[0]
    assert (await who(later, token)).id == server.url, "by other rules, and although the issuer is away"


async def test_keys_in_a_file_are_those_of_the_file_now(server: Server, vouchers: Vouchers, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(server.issuer.keys())
    config, token = server.jwt(jwks_file=str(file)), server.issuer.token(time.time())
    await who(vouchers.sources([config])[0], token)
    other = Issuer(server.url, "k2")
    file.write_bytes(other.keys())
    later = vouchers.sources([config])[0]
    with pytest.raises(Refused):
        await who(later, token)
    assert (await who(later, other.token(time.time()))).id == "ada"
    assert server.asked == []


async def test_who_cannot_be_asked_is_waited_for_and_no_longer_than_that(
    server: Server, vouchers: Vouchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "PATIENCE", 0.05)
    for config in (server.jwt(), server.kubernetes()):
        source = vouchers.sources([config])[0]
        server.slow.clear()
        with pytest.raises(Refused) as refused:
            await who(source, server.issuer.token(time.time(), **POD))
        assert (refused.value.status, refused.value.reason) == (503, Reason.IDENTITY_UNAVAILABLE)
        assert refused.value.retry_after > 0
        server.slow.set()


async def test_an_api_server_is_asked_once_for_all_calls_with_a_token(server: Server, vouchers: Vouchers) -> None:
    source, token = vouchers.sources([server.kubernetes(roles=["pod"])])[0], server.issuer.token(time.time(), **POD)
    found = await asyncio.gather(*[who(source, token) for _ in range(20)])
    assert {agent.id for agent in found} == {POD["sub"]}
    assert (found[0].roles, found[0].claims["pod"], found[0].credential) == (("pod",), "payer-0", b"authorization")
    assert server.shown == ["Bearer gateway's own"]
    server.knows, another = False, server.issuer.token(time.time(), **POD)
    for _ in range(3):
        with pytest.raises(Refused, match="does not know it"):
            await who(source, another)
    assert len(server.asked) == 2


async def test_an_api_server_that_is_away_is_told_in_the_log_now_and_then(
    server: Server, vouchers: Vouchers, caplog: pytest.LogCaptureFixture
) -> None:
    server.away = True
    source = vouchers.sources([server.kubernetes()])[0]
    for _ in range(3):
        with pytest.raises(Refused):
            await who(source, server.issuer.token(time.time(), **POD))
    assert len([record for record in caplog.records if "cannot be reviewed" in record.message]) == 1


async def test_reviews_at_once_are_bounded(server: Server, vouchers: Vouchers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MOST_ASKED", 3)
    monkeypatch.setattr(agents, "PATIENCE", 0.2)
    source = vouchers.sources([server.kubernetes()])[0]
    server.slow.clear()
    now = time.time()
    tried = [who(source, server.issuer.token(now, jti=str(number), **POD)) for number in range(10)]
    answers = await asyncio.gather(*tried, return_exceptions=True)
    assert all(isinstance(answer, Refused) and answer.status == 503 for answer in answers)
    assert len(server.asked) == 3


async def test_with_the_clusters_issuer_its_keys_decide(server: Server, vouchers: Vouchers) -> None:
    """They are shown to whoever has a token of the cluster."""
    source = vouchers.sources([server.kubernetes(issuer=server.url, agent="{namespace}/{serviceaccount}/{pod}")])[0]
    found = await who(source, server.issuer.token(time.time(), **POD))
    assert (found.id, found.claims["pod_uid"]) == ("finance/payer/payer-0", "u-1")
    assert (server.asked, server.shown) == (["/openid/v1/jwks"], ["Bearer gateway's own"])
    with pytest.raises(Refused, match="signature"):
        await who(source, Issuer(server.url).token(time.time(), **POD))
    with pytest.raises(Refused, match="service account"):
        await who(source, server.issuer.token(time.time(), sub="ada"))


async def test_tokens_of_others_are_for_other_ways(server: Server, vouchers: Vouchers) -> None:
    sources = vouchers.sources([server.jwt(), server.kubernetes(), server.kubernetes(issuer=server.url)])
    foreign = request(fields=[("Authorization", f"Bearer {Issuer().token(time.time())}")])
    assert [source.identify(foreign) for source in sources.values()] == [None] * 3
    assert server.asked == []


async def test_whoever_is_not_asked_any_more_is_left(
    server: Server, vouchers: Vouchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "LATER", 0.0)
    await who(vouchers.sources([server.jwt()])[0], server.issuer.token(time.time()))
    ((asker, _),) = vouchers._asked.values()
    assert vouchers.sources([Identify(header="x-agent-id")]) == {}
    for _ in range(100):
        await asyncio.sleep(0.01)
        if asker._session is None and not vouchers._closing:
            break
    assert asker._session is None
    assert not vouchers._closing
