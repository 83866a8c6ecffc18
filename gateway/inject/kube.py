"""The little of the Kubernetes API by which an injector keeps its certificate and tells whom to believe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from gateway.config.authorities import believing
from gateway.errors import ToolgateError

PATIENCE = 10.0
"""Seconds for an answer."""
MOST_BYTES = 4 << 20
"""Of an answer: no object is larger than 1.5 MiB (etcd)."""
_CHANGED = (404, 409, 422)
"""Statuses by which the server says that an object is not, or not any more, as the caller thought."""

Json = dict[str, Any]


class KubeError(ToolgateError):
    """The API server does not answer, or not as it should; the text says why, and holds no secret."""


class NotAsThoughtError(KubeError):
    """The object is not there, or somebody else was faster. Read it, and try again."""


class Kube:
    """Asks the API server by the service account in the folder ``account`` (token, ca.crt, namespace); the token is
    read each time, as it rotates.

    The server is where Kubernetes tells each container (KUBERNETES_SERVICE_HOST and _PORT).
    """

    def __init__(self, account: Path, environment: Mapping[str, str] = os.environ) -> None:
        host = environment.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        self._url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._account = account
        self._session: aiohttp.ClientSession | None = None

    async def namespace(self) -> str:
        """Where this pod is.

        Raises:
            KubeError: the file that says so cannot be read.
        """
        return await self._told("namespace")

    async def get(self, path: str) -> Json:
        """The object at ``path``.

        Raises:
            NotAsThoughtError: there is none.
            KubeError: the API server cannot be asked.
        """
        return await self._ask("GET", path)

    async def create(self, path: str, thing: Json) -> Json:
        """A new object in the collection at ``path``, as it is then. Raises as ``get``."""
        return await self._ask("POST", path, thing)

    async def replace(self, path: str, thing: Json) -> Json:
        """The object at ``path``, which must be as the ``resourceVersion`` in ``thing`` says. Raises as ``get``."""
        return await self._ask("PUT", path, thing)

    async def patch(self, path: str, operations: list[Json]) -> Json:
        """The object at ``path`` by a JSON Patch, whose tests must hold. Raises as ``get``."""
        return await self._ask("PATCH", path, operations)

    async def close(self) -> None:
        """End what is open."""
        if self._session is not None:
            session, self._session = self._session, None
            await asyncio.shield(session.close())

    async def _ask(self, method: str, path: str, body: object = None) -> Json:
        fields = {"Authorization": f"Bearer {await self._told('token')}"}
        if body is not None:
            fields["Content-Type"] = "application/json-patch+json" if method == "PATCH" else "application/json"
        try:
            async with self._opened().request(
                method, self._url + path, data=body and orjson.dumps(body), headers=fields, allow_redirects=False
            ) as response:
                data = await response.content.read(MOST_BYTES)
                while len(data) < MOST_BYTES and (more := await response.content.read(MOST_BYTES - len(data))):
                    data += more
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise KubeError(f"{method} {path}: no answer: {str(error) or type(error).__name__}") from None
        return _read(method, path, status, data)

    async def _told(self, name: str) -> str:
        file = self._account / name
        try:
            return (await asyncio.to_thread(file.read_text)).strip()
        except (OSError, UnicodeDecodeError):
            raise KubeError(f"cannot read {file}; is a service-account token mounted?") from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            try:
                trusted = believing(file=self._account / "ca.crt")
            except OSError as error:  # ssl.SSLError is one
                raise KubeError(f"cannot read {self._account / 'ca.crt'}: {error.strerror or error}") from None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trusted, limit=4),
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


def _read(method: str, path: str, status: int, data: bytes) -> Json:
    try:
        thing = orjson.loads(data)
    except orjson.JSONDecodeError:
        thing = None
    if not isinstance(thing, dict):
        raise KubeError(f"{method} {path}: status {status}, and no object")
    if status in _CHANGED:
        raise NotAsThoughtError(f"{method} {path}: {str(thing.get('message', status))[:200]}")
    if status not in (200, 201):
        raise KubeError(f"{method} {path}: status {status}: {str(thing.get('message', ''))[:200]}")
    return thing
