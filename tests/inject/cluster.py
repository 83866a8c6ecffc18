"""An API server, as far as an injector asks one: objects by path, resourceVersions, JSON Patches, over TLS."""

from __future__ import annotations

import asyncio
import copy
import itertools
import ssl
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonpatch
from aiohttp import web

from gateway.inject.kube import NotAsThoughtError
from tests.e2e.harness.authority import Authority

Json = dict[str, Any]
NAMESPACE, SERVICE, WEBHOOK, SECRET = "toolgate", "toolgate-injector", "toolgate-toolgate", "toolgate-injector-tls"
HOST = f"{SERVICE}.{NAMESPACE}.svc"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
SECRET_PATH = f"{SECRETS}/{SECRET}"
WEBHOOK_PATH = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{WEBHOOK}"


def _configuration() -> Json:
    def webhook(name: str, service: str) -> Json:
        client = {"service": {"name": service, "namespace": NAMESPACE, "path": "/mutate", "port": 443}}
        return {"name": name, "clientConfig": client, "sideEffects": "None"}

    return {
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": WEBHOOK},
        "webhooks": [webhook("other.example.org", "other"), webhook("inject.toolgate.dev", SERVICE)],
    }


class Objects:
    """Objects as an API server keeps them; it can be asked as ``Kube`` can, each time after ``pause``."""

    def __init__(self, pause: Callable[[], int] = lambda: 1) -> None:
        self._pause, self._versions = pause, itertools.count(1)
        self.kept: dict[str, Json] = {WEBHOOK_PATH: _configuration()}
        self.written: list[str] = []

    async def namespace(self) -> str:
        return NAMESPACE

    async def close(self) -> None:
        """Nothing is open."""

    async def get(self, path: str) -> Json:
        await self._later()
        if path not in self.kept:
            raise NotAsThoughtError("not found")
        return copy.deepcopy(self.kept[path])

    async def create(self, path: str, thing: Json) -> Json:
        await self._later()
        at = f"{path}/{thing['metadata']['name']}"
        if at in self.kept:
            raise NotAsThoughtError("already exists")
        return self._write("create", at, thing)

    async def replace(self, path: str, thing: Json) -> Json:
        await self._later()
        if thing["metadata"].get("resourceVersion") != self.kept[path]["metadata"].get("resourceVersion"):
            raise NotAsThoughtError("the object has been modified")
        return self._write("replace", path, thing)

    async def patch(self, path: str, operations: list[Json]) -> Json:
        await self._later()
        try:
            return self._write("patch", path, jsonpatch.apply_patch(self.kept[path], operations))
        except jsonpatch.JsonPatchException as error:
            raise NotAsThoughtError(str(error)) from None

    async def _later(self) -> None:
        for _ in range(self._pause()):
            await asyncio.sleep(0)

    def _write(self, how: str, path: str, thing: Json) -> Json:
        made = copy.deepcopy(thing)
        made["metadata"]["resourceVersion"] = str(next(self._versions))
        self.kept[path] = made
        self.written.append(f"{how} {path}")
        return copy.deepcopy(made)

    @property
    def bundle(self) -> bytes:
        """The authorities that the API server believes; nothing where it has not been told of any."""
        other, ours = self.kept[WEBHOOK_PATH]["webhooks"]
        assert "caBundle" not in other["clientConfig"], "that webhook is somebody else's"
        return b64decode(ours["clientConfig"].get("caBundle", ""))


class Server:
    """The same, asked over TLS with the token in the folder ``account``."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self.objects, self.account = objects, folder / "account"
        self.account.mkdir()
        authority = Authority(folder, "cluster")
        (self.account / "ca.crt").write_bytes(authority.file.read_bytes())
        (self.account / "namespace").write_text(NAMESPACE)
        (self.account / "token").write_text("token-of-the-injector\n")
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(*authority.sign("api", address="127.0.0.1"))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> dict[str, str]:
        """Serve; what Kubernetes would tell a container in its environment."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        host, port = self._runner.addresses[0][:2]
        return {"KUBERNETES_SERVICE_HOST": str(host), "KUBERNETES_SERVICE_PORT": str(port)}

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer token-of-the-injector":
            return web.json_response({"kind": "Status", "message": "Unauthorized"}, status=401)
        patch = request.method == "PATCH"
        kind = "application/json-patch+json" if patch else "application/json"
        try:
            if request.method == "GET":
                return web.json_response(await self.objects.get(request.path))
            assert request.content_type == kind
            way = {"POST": self.objects.create, "PUT": self.objects.replace, "PATCH": self.objects.patch}
            made = await way[request.method](request.path, await request.json())  # type: ignore[operator]
            return web.json_response(made, status=201 if request.method == "POST" else 200)
        except NotAsThoughtError as error:
            status = {"GET": 404, "PATCH": 422}.get(request.method, 409)
            return web.json_response({"kind": "Status", "message": str(error)}, status=status)
