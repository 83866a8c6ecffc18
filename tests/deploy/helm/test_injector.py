"""The injector with what the chart writes for it: it finds its webhook, and may do all that it does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.inject.keeper import Keeper
from gateway.inject.settings import read_settings
from tests.deploy.tools.fetch import Tools
from tests.inject.cluster import WEBHOOK_PATH, Objects

from .chart import NAMESPACE, Rendered, render

VERBS = {"get": "get", "create": "create", "replace": "update", "patch": "patch"}


class Noting(Objects):
    """Notes each question as RBAC sees it: verb, API group, resource, and name (none of what is created)."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        super().__init__()
        self.kept = {f"{WEBHOOK_PATH.rpartition('/')[0]}/{configuration['metadata']['name']}": configuration}
        self.asked: set[tuple[str, str, str, str]] = set()

    def note(self, way: str, path: str) -> None:
        parts = path.strip("/").split("/")
        group, rest = (parts[1], parts[3:]) if parts[0] == "apis" else ("", parts[2:])
        if rest[0] == "namespaces":
            assert rest[1] == NAMESPACE
            rest = rest[2:]
        self.asked.add((VERBS[way], group, rest[0], "" if way == "create" else rest[1]))

    async def get(self, path: str) -> dict[str, Any]:
        self.note("get", path)
        return await super().get(path)

    async def create(self, path: str, thing: dict[str, Any]) -> dict[str, Any]:
        self.note("create", path)
        return await super().create(path, thing)

    async def replace(self, path: str, thing: dict[str, Any]) -> dict[str, Any]:
        self.note("replace", path)
        return await super().replace(path, thing)

    async def patch(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        self.note("patch", path)
        return await super().patch(path, operations)


def allowed(rendered: Rendered, verb: str, group: str, resource: str, name: str) -> bool:
    """As RBAC decides."""
    return any(
        verb in rule["verbs"] and group in rule["apiGroups"] and resource in rule["resources"]
        and ("resourceNames" not in rule or name in rule["resourceNames"])
        for kind in ("Role", "ClusterRole") for one in rendered.of(kind) for rule in one["rules"]
    )  # fmt: skip


@pytest.mark.parametrize("more", [[], ["--set", "fullnameOverride=gates"]])
async def test_it_finds_its_webhook_and_has_the_rights_to_serve_it(
    everything: dict[str, Rendered], tooling: Tools, tmp_path: Path, more: list[str]
) -> None:
    rendered = render(tooling.helm4, "sidecar", *more) if more else everything["sidecar"]
    configuration = rendered.one("MutatingWebhookConfiguration")
    file = tmp_path / "inject.yaml"
    file.write_text(rendered.one("ConfigMap", "-inject")["data"]["inject.yaml"])
    own = read_settings(file).tls.self_
    assert own is not None
    cluster, now, served = Noting(configuration), datetime.now(UTC), list[bytes]()
    for later in (0, 70):  # at the start, and when it is time to renew
        at = datetime.fromtimestamp(now.timestamp() + later * 86_400, UTC)
        keeper = Keeper(cluster, own, lambda certificate, _: served.append(certificate), lambda at=at: at)  # type: ignore[arg-type, misc]
        await keeper.look()
    assert len(served) == 2
    ((webhook,),) = [one["webhooks"] for one in cluster.kept.values() if "webhooks" in one]
    assert webhook["clientConfig"]["caBundle"]
    assert {verb for verb, *_ in cluster.asked} == {"get", "create", "update", "patch"}
    assert [one for one in cluster.asked if not allowed(rendered, *one)] == []
    (deployment,) = rendered.of("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert str(own.account) in mounted
