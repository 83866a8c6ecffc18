"""An admin side with ways in, over real sockets: who one is there, what one may do, and what was noted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import aiohttp
from msgspec import Struct, field

from gateway.admin.api import answer, changed, make_api
from gateway.admin.gate import Gate
from gateway.admin.principals import principal_of
from gateway.admin.server import start
from gateway.config.schema_admin import Admin
from gateway.console import login
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics

KEYS = {"ada": "key-of-ada-0123456789", "bob": "key-of-bob-0123456789", "eve": "key-of-eve-0123456789"}
ROLES = {"ada": ["admin"], "bob": ["approver", "payments"], "eve": ["viewer"]}


def users(*names: str) -> list[dict[str, Any]]:
    """As they stand in the configuration."""
    return [{"name": name, "sha256": sha256(KEYS[name].encode()).hexdigest(), "roles": ROLES[name]} for name in names]


def admin_of(**settings: Any) -> Admin:
    return Admin.model_validate(settings)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Side(Struct):
    """What is served: its gate, a client at it that keeps no cookies, and what was noted (who, what)."""

    gate: Gate
    client: aiohttp.ClientSession
    noted: list[tuple[str, str]] = field(default_factory=list)

    async def who(self, **fields: Any) -> Any:
        """Who one is with these headers, or the status that one gets."""
        async with self.client.get("/api/who", headers=fields) as response:
            return (await response.json())["who"] if response.status == 200 else response.status

    async def change(self, path: str = "/api/thing", **fields: Any) -> int:
        """The status of a change in somebody else's name."""
        async with self.client.post(path, json={}, headers=fields) as response:
            return response.status

    async def log_in(self, token: str, **fields: str) -> tuple[str, str]:
        """The cookie, as a header, and the key of a new session."""
        async with self.client.post("/login", data={"token": token}, headers=fields, allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            ((name, morsel),) = response.cookies.items()
            return f"{name}={morsel.value}", response.headers["Location"].partition("#key=")[2]


@asynccontextmanager
async def serving(admin: Admin, **options: Any) -> AsyncIterator[Side]:
    """An admin side with these settings."""
    noted: list[tuple[str, str]] = []

    def note(by: str, peer: str, what: str, why: str) -> None:
        assert peer == "127.0.0.1"
        noted.append((by, what))

    gate = Gate(admin.listen, admin=admin, noted=note)
    api = make_api(gate, note)

    async def who(request: aiohttp.web.Request) -> aiohttp.web.Response:
        principal = principal_of(request)
        return answer({"who": [principal.id, sorted(principal.roles), principal.source]})

    async def change(request: aiohttp.web.Request) -> aiohttp.web.Response:
        changed(request, "somebody else", "the thing", "")
        return answer({})

    api.router.add_get("/who", who)
    for path in ("/thing", "/approvals/{id}/decide", "/exemptions", "/approvalsmore"):
        api.router.add_post(path, change)
    runner = await start(
        ("127.0.0.1", 0),
        lambda: {"ready": True, "draining": False, "policy_version": "abc"},
        registry_of(Metrics(), Gauges()),
        api,
        pages=lambda app: login.add(app, gate),
        **options,
    )
    scheme = "https" if "tls" in options else "http"
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(
            f"{scheme}://{host}:{port}",
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(ssl=scheme == "http"),
        ) as client:
            yield Side(gate, client, noted)
    finally:
        await gate.close()
        await runner.cleanup()
