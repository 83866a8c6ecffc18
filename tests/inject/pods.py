"""Settings of an injector, pods, and reviews as a real API server (Kubernetes 1.36) sent them."""

from __future__ import annotations

import copy
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import jsonpatch

from gateway.inject.patch import Injection, injection
from gateway.inject.settings import InjectSettings

FIXTURES = Path(__file__).with_name("fixtures")
RECORDED = sorted(file.stem.removeprefix("review-") for file in FIXTURES.glob("review-*.json"))
IMAGE, UID = "registry.example.org/toolgate:1", 14357
URL = "http://127.0.0.1:8080"
Json = dict[str, Any]

WRITTEN: Json = {
    "listen": "127.0.0.1:0",
    "probes": "127.0.0.1:0",
    "tls": {"files": {"cert_file": "tls.crt", "key_file": "tls.key"}},
    "image": IMAGE,
    "uid": UID,
    "resources": {"requests": {"cpu": "100m", "memory": "160Mi"}, "limits": {"memory": "512Mi"}},
    "profiles": {
        "default": {
            "config": "toolgate",
            "policies": "toolgate-policies",
            "agent_env": [
                {"name": "TOOLGATE_URL", "value": URL},
                {"name": "OPENAI_BASE_URL", "value": f"{URL}/openai"},
            ],
        },
        "open": {
            "config": "toolgate-open",
            "policies": "toolgate-open-policies",
            "redirect": True,
            "api": True,
            "secrets": ["github", "mail.example.org"],
            "tokens": [{"path": "redis", "audience": "redis"}],
            "env": [{"name": "LOG", "value": "debug"}],
            "agent_env": [{"name": "HTTPS_PROXY", "value": URL}],
        },
    },
}
"""What the file of ``toolgate inject --config`` holds."""


def settings(**more: Any) -> InjectSettings:
    return InjectSettings.model_validate({**WRITTEN, **more})


def pod(spec: Json | None = None, /, *, profile: str = "", **annotations: str) -> Json:
    """A pod of one container; ``annotations`` are Toolgate's, by what follows toolgate.dev/."""
    given = {f"toolgate.dev/{key}": value for key, value in annotations.items()}
    if profile:
        given["toolgate.dev/profile"] = profile
    metadata: Json = {"generateName": "agent-", **({"annotations": given} if given else {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "agent", "image": "agent:1"}], **(spec or {})},
    }


def injected(thing: Json, given: InjectSettings | None = None, namespace: str = "agents") -> Injection:
    return injection(thing, namespace, given or settings())


def patched(thing: Json, made: Injection) -> Json:
    """The pod with what is added to it."""
    found: Json = jsonpatch.apply_patch(copy.deepcopy(thing), copy.deepcopy(list(made.patch)))
    return found


def recorded(name: str) -> Json:
    """A review as it was sent."""
    review: Json = json.loads((FIXTURES / f"review-{name}.json").read_bytes())
    return review


def review(thing: Any, **request: Any) -> Json:
    """A recorded review, of another pod, and with other members of its request."""
    made = recorded("plain")
    made["request"] |= {"object": thing, **request}
    return made


def patch_in(answered: Json) -> list[Json]:
    """The patch in a review that was answered; none where it has none."""
    response = answered["response"]
    assert ("patch" in response) is ("patchType" in response)
    operations: list[Json] = json.loads(b64decode(response.get("patch", "W10="), validate=True))
    return operations
