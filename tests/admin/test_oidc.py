"""Login at an identity provider: with one that is not ours, and with one that says what it should not."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp import web

from gateway.admin.gate import PROOF
from gateway.admin.throttle import PEER_BURST
from tests.admin.people import KEYS, admin_of, serving, users
from tests.e2e.harness.net import free_port
from tests.tokens import Issuer

CALLBACK = "http://127.0.0.1:9090/login/callback"


def settings(issuer: str, **more) -> dict:
    roles = {"approver": ["finance"], "viewer": ["*"]}
    return {"issuer": issuer, "client_id": "toolgate", "client_secret": "s e/c+ret", "redirect_uri": CALLBACK,
            "roles": roles, "algorithms": ["RS256", "ES256"], **more}  # fmt: skip


USERINFO = {"userinfo_endpoint": "/userinfo"}


class Visit:
    """A browser at the console, as far as logging in goes."""

    def __init__(self, side) -> None:
        self.client, self.cookie = side.client, ""

    async def begin(self) -> dict[str, str]:
        """What the console asks the provider for; ``""`` is where."""
        async with self.client.get("/login/oidc", allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            cookie = response.headers["Set-Cookie"]
            assert all(flag in cookie for flag in ("HttpOnly", "SameSite=Lax", "Max-Age=600"))
            self.cookie = cookie.partition(";")[0]
            address, _, query = response.headers["Location"].partition("?")
            return {"": address, **dict(parse_qsl(query))}

    async def back(self, query: dict[str, str], cookie: str | None = None) -> tuple[int, str, dict[str, str]]:
        """Status, page and new cookies of the way back from the provider."""
        fields = {"Cookie": self.cookie if cookie is None else cookie}
        async with self.client.get("/login/callback", params=query, headers=fields) as response:
            found = {name: morsel.value for name, morsel in response.cookies.items() if morsel.value}
            return response.status, await response.text(), found


class Provider:
    """A provider that issues what a test wants it to: ``claims`` change its ID tokens, ``userinfo`` what it tells."""

    def __init__(self) -> None:
        self.issuer, self.claims, self.userinfo, self.sub = Issuer(), {}, {"sub": "ada@x.test"}, "ada@x.test"
        self.asked: dict[str, str] = {}
        self.authorization = ""
        self.form: dict[str, str] = {}
        self.known: dict[str, object] = {}

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._known)
        app.router.add_get("/keys", self._keys)
        app.router.add_post("/token", self._token)
        app.router.add_get("/userinfo", self._userinfo)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.issuer.name = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _known(self, _: web.Request) -> web.Response:
        name = self.issuer.name
        ends = {"authorization_endpoint": f"{name}/authorize?tenant=1", "token_endpoint": f"{name}/token"}
        return web.json_response({"issuer": name, "jwks_uri": f"{name}/keys", **ends, **self._whole()})

    def _whole(self) -> dict[str, object]:
        return {key: f"{self.issuer.name}{one}" if key in USERINFO else one for key, one in self.known.items()}

    async def _keys(self, _: web.Request) -> web.Response:
        return web.Response(body=self.issuer.keys())

    async def _token(self, request: web.Request) -> web.Response:
        self.form = dict(await request.post())
        self.authorization = request.headers.get("Authorization", "")
        verified = base64.urlsafe_b64encode(sha256(self.form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if self.form["code"] != "good" or verified != self.asked["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        said = {"sub": self.sub, "aud": "toolgate", "nonce": self.asked["nonce"], **self.claims}
        return web.json_response({"id_token": self.issuer.token(time.time(), **said), "access_token": "at"})

    async def _userinfo(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer at"
        return web.json_response(self.userinfo)


@asynccontextmanager
async def with_provider(known=None, **more):
    """A console whose people log in at a provider of ours, which also tells what is ``known`` of it."""
    provider = Provider()
    provider.known = known or {}
    runner = await provider.start()
    try:
        async with serving(admin_of(users=users("eve"), oidc=settings(provider.issuer.name, **more))) as side:
            visit = Visit(side)
            provider.asked = await visit.begin()
            yield side, provider, visit
    finally:
        await runner.cleanup()


async def test_a_login_begins_a_session_with_the_roles_of_the_claims() -> None:
    async with with_provider() as (side, provider, visit):
        asked = provider.asked
        assert asked[""] == f"{provider.issuer.name}/authorize"
        assert (asked["tenant"], asked["response_type"], asked["client_id"]) == ("1", "code", "toolgate")
        assert (asked["redirect_uri"], asked["code_challenge_method"]) == (CALLBACK, "S256")
        assert asked["scope"].split()[0] == "openid"
        provider.claims = {"groups": ["finance"]}
        status, text, cookies = await visit.back({"code": "good", "state": asked["state"], "iss": provider.issuer.name})
        assert status == 200
        key = text.partition("#key=")[2].partition('"')[0]
        cookie = f"toolgate_console={cookies['toolgate_console']}"
        assert await side.who(Cookie=cookie) == ["ada@x.test", ["approver", "viewer"], "session (oidc)"]
        assert await side.change("/api/exemptions", **{"Cookie": cookie, PROOF: key}) == 200
        assert side.noted == [("ada@x.test", "login"), ("ada@x.test", "the thing")]
        pair = base64.b64decode(provider.authorization.removeprefix("Basic ")).decode()
        assert pair == "toolgate:s%20e%2Fc%2Bret", "form-urlencoded, as RFC 6749 says"
        assert "client_secret" not in provider.form


async def test_nothing_secret_is_in_the_browser_and_each_login_has_its_own_of_all() -> None:
    async with with_provider() as (_, provider, visit):
        first, kept = dict(provider.asked), visit.cookie
        second = await visit.begin()
        for name in ("state", "nonce", "code_challenge"):
            assert first[name] != second[name]
            assert (first[name] in kept) == (name == "state")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "other"},
        {"nonce": None},
        {"nonce": 7},
        {"aud": "other"},
        {"aud": ["toolgate", "other"]},
        {"azp": "other"},
        {"iss": "https://evil.test"},
        {"exp": 1},
        {"sub": "eve"},
        {"sub": None},
    ],
)
async def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(claims: dict) -> None:
    async with with_provider() as (side, provider, visit):
        provider.claims = claims
        status, _, cookies = await visit.back({"code": "good", "state": provider.asked["state"]})
        assert (status, "toolgate_console" in cookies) == (403, False)
        assert side.noted == [("unknown", "failed login")]


async def test_an_id_token_by_another_key_lets_nobody_in() -> None:
    async with with_provider() as (_, provider, visit):
        real = provider.issuer.keys()
        await visit.back({"code": "bad", "state": provider.asked["state"]})
        provider.issuer = Issuer(provider.issuer.name)
        provider.issuer.keys = lambda: real  # type: ignore[method-assign]
        status, text, _ = await visit.back({"code": "good", "state": provider.asked["state"]})
        assert status == 403
        assert "signature" in text


async def test_only_the_browser_that_began_a_login_ends_it() -> None:
    """Login CSRF: somebody else's code and state, and cookies that are forged or of another login."""
    async with with_provider() as (_, provider, visit):
        state, kept = provider.asked["state"], visit.cookie
        good = {"code": "good", "state": state}
        until, _, rest = kept.partition("=")[2].partition(".")
        forged = f"toolgate_login={int(until) + 1}.{rest}"
        await visit.begin()
        attempts = [
            (good, ""),
            (good, visit.cookie),
            (good, forged),
            (good, "toolgate_login=x"),
            ({"code": "good"}, kept),
        ]
        for query, cookie in attempts:
            status, text, cookies = await visit.back(query, cookie)
            assert (status, cookies) == (403, {})
            assert "did not begin" in text
        assert (await visit.back(good, kept))[0] == 200, "with its own cookie it is"


async def test_another_providers_answer_and_a_no_are_told() -> None:
    async with with_provider() as (_, provider, visit):
        state = provider.asked["state"]
        assert "Another provider" in (await visit.back({"code": "good", "state": state, "iss": "https://evil.test"}))[1]
        said = (await visit.back({"error": "<script>", "state": state}))[1]
        assert "&lt;script&gt;" in said
        assert "<script>" not in said
        assert "invalid_grant" in (await visit.back({"code": "stolen", "state": state}))[1]


async def test_a_code_that_was_taken_from_somebody_is_of_no_use_without_their_verifier() -> None:
    async with with_provider() as (_, provider, visit):
        theirs = await visit.begin()
        provider.asked["nonce"] = theirs["nonce"]  # the provider still wants the first login's verifier
        status, text, _ = await visit.back({"code": "good", "state": theirs["state"]})
        assert status == 403
        assert "invalid_grant" in text


async def test_failed_logins_at_a_provider_are_throttled_before_it_is_asked() -> None:
    async with with_provider() as (_, provider, visit):
        statuses = []
        for _number in range(int(PEER_BURST) + 3):
            provider.form = {}
            statuses.append((await visit.back({"code": "bad", "state": provider.asked["state"]}))[0])
        assert statuses == [403] * int(PEER_BURST) + [429] * 3
        assert not provider.form


@pytest.mark.parametrize(("userinfo", "roles"), [({"groups": ["finance"]}, ["approver", "viewer"]), ({}, ["viewer"])])
async def test_groups_may_come_from_the_userinfo_endpoint(userinfo: dict, roles: list[str]) -> None:
    async with with_provider(USERINFO) as (side, provider, visit):
        provider.userinfo |= userinfo
        _, _, cookies = await visit.back({"code": "good", "state": provider.asked["state"]})
        assert (await side.who(Cookie=f"toolgate_console={cookies['toolgate_console']}"))[1] == roles


async def test_userinfo_of_somebody_else_is_not_believed() -> None:
    async with with_provider(USERINFO) as (_, provider, visit):
        provider.userinfo = {"sub": "mallory", "groups": ["finance"]}
        assert (await visit.back({"code": "good", "state": provider.asked["state"]}))[0] == 403


async def test_a_public_client_and_one_that_posts_its_secret() -> None:
    async with with_provider(client_secret=None) as (_, provider, visit):
        assert (await visit.back({"code": "good", "state": provider.asked["state"]}))[0] == 200
        assert (provider.authorization, provider.form["client_id"]) == ("", "toolgate")
    async with with_provider({"token_endpoint_auth_methods_supported": ["client_secret_post"]}) as (_, provider, visit):
        assert (await visit.back({"code": "good", "state": provider.asked["state"]}))[0] == 200
        assert (provider.authorization, provider.form["client_secret"]) == ("", "s e/c+ret")


async def test_where_the_provider_is_away_that_is_said_and_tokens_still_do() -> None:
    async with serving(admin_of(users=users("eve"), oidc=settings("http://127.0.0.1:1"))) as side:
        async with side.client.get("/login/oidc", allow_redirects=False) as response:
            assert response.status == 503
            assert "cannot be asked" in await response.text()
        cookie, _ = await side.log_in(KEYS["eve"])
        assert (await side.who(Cookie=cookie))[0] == "eve"


@asynccontextmanager
async def foreign_provider():
    """A whole provider that we have not written: its address."""
    port = free_port()
    claims = json.dumps({"sub": "ada", "groups": ["finance"]})
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(port), "--user-claims", claims],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:

            async def up() -> bool:
                try:
                    async with session.get(f"http://127.0.0.1:{port}/jwks") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            ends = time.monotonic() + 30
            while not await up():
                assert time.monotonic() < ends
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}", session
    finally:
        process.terminate()
        process.wait(10)


async def test_a_login_at_a_provider_that_is_not_ours() -> None:
    async with foreign_provider() as (issuer, session):
        async with serving(admin_of(oidc=settings(issuer))) as side:
            visit = Visit(side)
            asked = await visit.begin()
            where = asked.pop("")
            form = {"sub": "ada"}
            async with session.post(where, params=asked, data=form, allow_redirects=False) as response:
                query = parse_qs(urlsplit(response.headers["Location"]).query)
            back = {name: values[0] for name, values in query.items()}
            status, text, cookies = await visit.back(back)
            assert status == 200, text
            found = await side.who(Cookie=f"toolgate_console={cookies['toolgate_console']}")
            assert found == ["ada", ["approver", "viewer"], "session (oidc)"]
            assert (await visit.back(back))[0] == 403, "a code is good once"
