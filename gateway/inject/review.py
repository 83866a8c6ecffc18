"""An AdmissionReview (admission.k8s.io/v1), and the answer to it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
from msgspec import Struct

from gateway.inject.patch import PROFILE, Injection, injection
from gateway.inject.settings import InjectSettings
from gateway.policy.guards import short

_VERSION = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
_MOST_WARNINGS, _LONGEST = 16, 250
"""What an API server passes on is 4096 bytes in all, and 256 of each (admission.k8s.io/v1)."""


class NoReviewError(ValueError):
    """What came is no AdmissionReview that can be answered."""


class Answer(Struct, frozen=True):
    """The review with its response, what became of the pod, and what a log says of it."""

    review: dict[str, Any]
    made: Injection
    about: dict[str, Any]

    @property
    def outcome(self) -> str:
        """injected, denied, or left as it is."""
        return "denied" if self.made.denied else "injected" if self.made.patch else "left"


def answer(body: bytes, settings: InjectSettings) -> Answer:
    """What the API server is answered. What is no new pod is let pass as it is.

    Raises:
        NoReviewError: it is no review; there is no uid that could be answered.
    """
    request = _request(body)
    pod, kind = request.get("object"), request.get("kind") or {}
    new = request.get("operation") == "CREATE" and not request.get("subResource")
    made = Injection()
    if new and isinstance(kind, dict) and (kind.get("group", ""), kind.get("kind")) == ("", "Pod"):
        made = _injection(pod, str(request.get("namespace") or ""), settings)
    response: dict[str, Any] = {"uid": request["uid"], "allowed": not made.denied}
    if made.denied:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": f"toolgate: {made.denied}"}
    if made.patch:
        response |= {"patchType": "JSONPatch", "patch": b64encode(orjson.dumps(made.patch)).decode()}
    if made.warnings:
        response["warnings"] = [warning[:_LONGEST] for warning in made.warnings[:_MOST_WARNINGS]]
    return Answer({**_VERSION, "response": response}, made, _about(request))


def _about(request: dict[str, Any]) -> dict[str, Any]:
    """Which pod it is; one that is made by a controller has no name yet, only the beginning of it."""
    pod = request.get("object")
    metadata = pod.get("metadata") if isinstance(pod, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    annotations = metadata.get("annotations")
    told = {
        "namespace": request.get("namespace"),
        "pod": request.get("name") or metadata.get("name") or metadata.get("generateName"),
        "profile": annotations.get(PROFILE) if isinstance(annotations, dict) else None,
        "uid": request["uid"],
    }
    return {key: short(str(value)) for key, value in told.items() if value}


def _injection(pod: Any, namespace: str, settings: InjectSettings) -> Injection:
    """Fails closed: a pod that is not as pods are gets no gateway, and is not let pass without."""
    if not isinstance(pod, dict) or not isinstance(pod.get("spec"), dict):
        return Injection(denied="the request has no pod in it")
    if not isinstance(pod.get("metadata"), dict | None):
        return Injection(denied="the pod cannot be read: its metadata are none")
    try:
        return injection(pod, namespace, settings)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        return Injection(denied=f"the pod cannot be read: {type(error).__name__}")


def _request(body: bytes) -> dict[str, Any]:
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NoReviewError(f"no JSON: {error}") from None
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str) or not request["uid"]:
        raise NoReviewError("no request with a uid in it; this address answers AdmissionReviews of admission.k8s.io/v1")
    if review.get("apiVersion") != _VERSION["apiVersion"]:
        raise NoReviewError(f"reviews of {review.get('apiVersion')!r} are not known, only of admission.k8s.io/v1")
    return request
