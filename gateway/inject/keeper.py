"""Keeps the certificate in a Secret, so that all replicas serve the same, and tells the API server whom to believe."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.inject.certs import Issued, good, issue, lasting
from gateway.inject.kube import Kube, KubeError, NotAsThoughtError
from gateway.inject.settings import SelfIssued

_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/"
_TRIES = 3
"""Of a round, where another replica was faster."""

Json = dict[str, Any]


class Keeper:
    """``serve`` takes a certificate and its key, for connections from now on."""

    def __init__(
        self, kube: Kube, settings: SelfIssued, serve: Callable[[bytes, bytes], None], now: Callable[[], datetime]
    ) -> None:
        self._kube, self._settings, self._serve, self._now = kube, settings, serve, now
        self._served: Issued | None = None

    async def look(self) -> None:
        """One round: agree on a certificate, tell the API server its authority, serve it.

        Certificates of a new authority are served a round later than the API server is told of it, since it takes a
        moment to believe it; but at first, when there is nothing else to serve.

        Raises:
            KubeError: it cannot be done now. What is served stays.
        """
        for left in range(_TRIES, 0, -1):
            try:
                namespace = await self._kube.namespace()
                issued = await self._agreed(namespace)
                told = await self._tell(namespace, issued.authorities)
                break
            except NotAsThoughtError:
                if left == 1:
                    raise
        if issued != self._served and (self._served is None or not told):
            self._serve(issued.certificate, issued.key)
            self._served = issued

    async def _agreed(self, namespace: str) -> Issued:
        """What the Secret holds, after it has been made or renewed where it must."""
        name, now = f"{self._settings.service}.{namespace}.svc", self._now()
        secrets = f"/api/v1/namespaces/{namespace}/secrets"
        path = f"{secrets}/{self._settings.secret}"
        try:
            secret = await self._kube.get(path)
        except NotAsThoughtError:
            made = issue(name, now, self._believed())
            await self._kube.create(secrets, _secret(self._settings.secret, made))
            return made
        found = _issued(secret)
        if lasting(found, name, now):
            return found
        made = issue(name, now, found.authorities + self._believed())
        await self._kube.replace(path, {**secret, "data": {**(secret.get("data") or {}), **_data(made)}})
        return made

    def _believed(self) -> bytes:
        """What the API server must go on to believe while this replica serves what it serves."""
        return b"" if self._served is None else self._served.authorities

    async def _tell(self, namespace: str, authorities: bytes) -> bool:
        """Write the authorities into the webhook's configuration; whether others stood there."""
        path, service = _WEBHOOKS + self._settings.webhook, self._settings.service
        try:
            config = await self._kube.get(path)
        except NotAsThoughtError as error:
            raise KubeError(f"there is no webhook to serve: {error}") from None
        bundle = b64encode(good(authorities, self._now())).decode()
        mine, operations = False, []
        for number, webhook in enumerate(config.get("webhooks") or ()):
            client = webhook.get("clientConfig") or {}
            asked = client.get("service") or {}
            if (asked.get("name"), asked.get("namespace")) != (service, namespace):
                continue
            mine = True
            if client.get("caBundle") != bundle:
                at = f"/webhooks/{number}"
                operations += [
                    {"op": "test", "path": f"{at}/name", "value": webhook.get("name")},
                    {"op": "add", "path": f"{at}/clientConfig/caBundle", "value": bundle},
                ]
        if not mine:
            raise KubeError(f"no webhook of {self._settings.webhook} is asked of service {namespace}/{service}")
        if operations:
            await self._kube.patch(path, operations)
        return bool(operations)


def _secret(name: str, issued: Issued) -> Json:
    labels = {"app.kubernetes.io/managed-by": "toolgate-inject"}
    metadata = {"name": name, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/tls",
        "data": _data(issued),
    }


def _data(issued: Issued) -> Json:
    texts = {"tls.crt": issued.certificate, "tls.key": issued.key, "ca.crt": issued.authorities}
    return {key: b64encode(text).decode() for key, text in texts.items()}


def _issued(secret: Json) -> Issued:
    """What a Secret holds, be it usable or not."""
    data = secret.get("data") or {}
    try:
        texts = [b64decode(data.get(key) or "", validate=True) for key in ("tls.crt", "tls.key", "ca.crt")]
    except (NoBase64, ValueError, TypeError):
        return Issued(b"", b"", b"")
    return Issued(*texts)
