"""The gateway in a pod of agents: its containers and volumes. The chart's MutatingAdmissionPolicy makes the same."""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.inject.settings import InjectSettings, Profile, Variable

SIDECAR, REDIRECT = "toolgate", "toolgate-redirect"
PREFIX = "toolgate-"
"""Of the names of all volumes that are ours."""
ARGS = ["run", "-c", "/etc/toolgate/config.yaml"]
_API = "/var/run/secrets/kubernetes.io/serviceaccount"

Json = dict[str, Any]


def sidecar(settings: InjectSettings, profile: Profile) -> Json:
    """The gateway: an init container that stays (Kubernetes 1.29), so that it is there before the agent and ends after
    it. It fits restricted Pod Security."""
    probes = settings.ports.probes
    return {
        "name": SIDECAR,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "restartPolicy": "Always",
        "args": ARGS,
        "env": [
            {"name": "TOOLGATE_POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "TOOLGATE_SERVICE_ACCOUNT", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}},
            *[written(variable) for variable in profile.env],
        ],
        "ports": [{"name": "toolgate-probes", "containerPort": probes}],
        "securityContext": {
            **_CONFINED,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": settings.uid,
            "runAsGroup": settings.uid,
        },
        "startupProbe": _probe("/readyz", probes, 1, 3, 60),
        "readinessProbe": _probe("/readyz", probes, 5, 3, 2),
        "livenessProbe": _probe("/livez", probes, 10, 5, 6),
        "resources": settings.resources,
        "volumeMounts": _mounts(profile),
    }


def redirect(settings: InjectSettings) -> Json:
    """Installs the rules by which the network leads connections to the gateway, and ends: see docs/enforcement.md."""
    return {
        "name": REDIRECT,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": ["redirect", "apply", "--uid", str(settings.uid), "--port", str(settings.ports.transparent)],
        "securityContext": {
            **_CONFINED,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            "runAsNonRoot": False,
            "runAsUser": 0,
            "runAsGroup": 0,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    }


def volumes(settings: InjectSettings, profile: Profile) -> list[Json]:
    """What the gateway mounts. Never by subPath: such files do not change."""
    made: list[Json] = [
        {"name": f"{PREFIX}config", "configMap": {"name": profile.config}},
        {"name": f"{PREFIX}policies", "configMap": {"name": profile.policies}},
        {"name": f"{PREFIX}tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    made += [{"name": _secret(name), "secret": {"secretName": name}} for name in profile.secrets]
    if profile.tokens:
        tokens = [
            {"audience": one.audience, "path": one.path, "expirationSeconds": one.expiration_seconds}
            for one in profile.tokens
        ]
        sources = [{"serviceAccountToken": token} for token in tokens]
        made.append({"name": f"{PREFIX}tokens", "projected": {"sources": sources}})
    if profile.api:
        authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
        api = [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}, {"configMap": authority}]
        made.append({"name": f"{PREFIX}api", "projected": {"sources": api}})
    return [*made, {"name": f"{PREFIX}state", "emptyDir": {"sizeLimit": settings.state_limit}}]


def written(variable: Variable) -> Json:
    """A variable as it stands in a container."""
    return variable.model_dump(by_alias=True, exclude_none=True)


_CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _probe(path: str, port: int, period: int, timeout: int, failures: int) -> Json:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _mounts(profile: Profile) -> list[Json]:
    made: list[Json] = [
        {"name": f"{PREFIX}config", "mountPath": "/etc/toolgate", "readOnly": True},
        {"name": f"{PREFIX}policies", "mountPath": "/etc/toolgate/policies", "readOnly": True},
        {"name": f"{PREFIX}tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
    ]
    made += [
        {"name": _secret(name), "mountPath": f"/var/run/secrets/toolgate/{name}", "readOnly": True}
        for name in profile.secrets
    ]
    if profile.tokens:
        made.append({"name": f"{PREFIX}tokens", "mountPath": "/var/run/secrets/tokens", "readOnly": True})
    if profile.api:
        made.append({"name": f"{PREFIX}api", "mountPath": _API, "readOnly": True})
    return [*made, {"name": f"{PREFIX}state", "mountPath": "/var/lib/toolgate"}]


def _secret(name: str) -> str:
    """The volume of a Secret, whose own name may be too long for one, or have dots in it."""
    short = name.replace(".", "-")[:40].removesuffix("-")
    return f"{PREFIX}secret-{short}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
