"""From a pod to what is added to it, as a JSON Patch (RFC 6902) of nothing but additions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.inject.settings import InjectSettings, Profile
from gateway.inject.sidecar import PREFIX, REDIRECT, SIDECAR, redirect, sidecar, volumes, written

INJECT, PROFILE, INJECTED = "toolgate.dev/inject", "toolgate.dev/profile", "toolgate.dev/injected"
_MIRROR = "kubernetes.io/config.mirror"
_OUTSIDE = "move the pod to a namespace without the label toolgate.dev/inject"

Json = dict[str, Any]


class Injection(Struct, frozen=True):
    """What becomes of a pod: ``denied`` says why it may not be; else it is with the ``patch``."""

    patch: tuple[Json, ...] = ()
    warnings: tuple[str, ...] = ()
    denied: str = ""


def injection(pod: Mapping[str, Any], namespace: str, settings: InjectSettings) -> Injection:
    """What a new pod gets.

    A pod that cannot have a gateway, or that would get around it, is denied: its namespace was labelled so that agents
    have one. A pod that has its gateway already stays as it is.
    """
    spec, annotations = pod.get("spec") or {}, (pod.get("metadata") or {}).get("annotations") or {}
    if namespace in settings.excluded_namespaces or _MIRROR in annotations:
        return Injection()
    warnings: tuple[str, ...] = ()
    if str(annotations.get(INJECT, "")).lower() == "false":
        if settings.allow_opt_out:
            return Injection()
        warnings = (f"toolgate: the annotation {INJECT} says false, which is not allowed here",)
    if not _runs_linux(spec):
        return Injection(warnings=(*warnings, "toolgate: there is no gateway for pods that do not run Linux"))
    profile = settings.profiles.get(annotations.get(PROFILE, "default"))
    if profile is None:
        return Injection(denied=_no_profile(annotations.get(PROFILE), settings))
    there = any(one.get("name") == SIDECAR for one in _listed(spec, "initContainers"))
    if wrong := _wrong(spec, settings) or (_not_ours(spec, settings, profile) if there else _taken(spec)):
        return Injection(denied=wrong)
    if there:
        return Injection(warnings=warnings)
    patch = (*_added(pod, spec, settings, profile), *_led(spec, profile))
    return Injection(patch, (*warnings, *_ways_around(spec, profile), *_ports_taken(spec, settings)))


def _runs_linux(spec: Mapping[str, Any]) -> bool:
    """Others cannot run on a node of Linux, whatever they do there: the kubelet and the scheduler see to that."""
    systems = (spec.get("os") or {}).get("name"), (spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    return all(system in (None, "linux") for system in systems)


def _no_profile(name: str | None, settings: InjectSettings) -> str:
    said = f"says {name!r}" if name is not None else "is not there, and there is no profile default"
    return f"the annotation {PROFILE} {said}; profiles are: {', '.join(settings.profiles)}"


def _wrong(spec: Mapping[str, Any], settings: InjectSettings) -> str:
    """Why the pod cannot have a gateway beside it; empty where it can."""
    if spec.get("hostNetwork"):
        return f"a pod on the node's network has no gateway of its own; {_OUTSIDE}"
    pod_user = (spec.get("securityContext") or {}).get("runAsUser")
    for one in _containers(spec):
        if one.get("name") in (SIDECAR, REDIRECT):
            continue
        user = (one.get("securityContext") or {}).get("runAsUser", pod_user)
        if user == settings.uid:
            return f"container {one.get('name')!r} runs as user {user}, which is the gateway's; set another runAsUser"
        if any(str(mount.get("name", "")).startswith(PREFIX) for mount in _listed(one, "volumeMounts")):
            return f"container {one.get('name')!r} mounts a volume whose name begins with {PREFIX}, as the gateway's do"
    if any(one.get("name") in (SIDECAR, REDIRECT) for one in _listed(spec, "containers")):
        return f"containers cannot be called {SIDECAR!r} or {REDIRECT!r}; these names are the gateway's"
    return ""


def _not_ours(spec: Mapping[str, Any], settings: InjectSettings, profile: Profile) -> str:
    """Why what the pod calls its gateway is none; empty where it is the one that is injected. Of a pod that is looked
    at again, or that somebody has copied; servers and other webhooks may have added to it. The guard looks closer."""
    maps = {one.get("name"): (one.get("configMap") or {}).get("name") for one in _listed(spec, "volumes")}
    found = [one for one in _listed(spec, "initContainers") if one.get("name") in (SIDECAR, REDIRECT)]
    meant = [*([redirect(settings)] if profile.redirect else []), sidecar(settings, profile)]
    alike = len(found) == len(meant) and all(map(_alike, found, meant))
    if alike and (maps.get(f"{PREFIX}config"), maps.get(f"{PREFIX}policies")) == (profile.config, profile.policies):
        return ""
    return f"the init container {SIDECAR!r} is not the one that is injected; take it and its volumes out"


def _alike(one: Json, meant: Json) -> bool:
    user = (one.get("securityContext") or {}).get("runAsUser")
    same = all(one.get(key) == meant.get(key) for key in ("name", "image", "args", "restartPolicy"))
    return same and not one.get("command") and user == meant["securityContext"]["runAsUser"]


def _taken(spec: Mapping[str, Any]) -> str:
    """Which name of ours the pod has for something of its own; empty for none."""
    for one in _listed(spec, "volumes"):
        if str(one.get("name", "")).startswith(PREFIX):
            return f"volume {one['name']!r}: names that begin with {PREFIX} are the gateway's; give it another"
    if any(one.get("name") == REDIRECT for one in _listed(spec, "initContainers")):
        return f"the init container {REDIRECT!r} is not the one that is injected; take it out"
    return ""


def _added(
    pod: Mapping[str, Any], spec: Mapping[str, Any], settings: InjectSettings, profile: Profile
) -> Iterator[Json]:
    """Volumes, the gateway before all else that begins, and the mark by which such pods are found."""
    if not spec.get("volumes"):
        yield _add("/spec/volumes", [])
    for volume in volumes(settings, profile):
        yield _add("/spec/volumes/-", volume)
    if not spec.get("initContainers"):
        yield _add("/spec/initContainers", [])
    yield _add("/spec/initContainers/0", sidecar(settings, profile))
    if profile.redirect:
        yield _add("/spec/initContainers/0", redirect(settings))
    metadata = pod.get("metadata")
    if metadata is None:
        yield _add("/metadata", {})
    if not (metadata or {}).get("labels"):
        yield _add("/metadata/labels", {})
    yield _add(f"/metadata/labels/{INJECTED.replace('/', '~1')}", "true")


def _led(spec: Mapping[str, Any], profile: Profile) -> Iterator[Json]:
    """Variables by which SDKs and programs find the gateway; never in place of what a container sets itself."""
    before = 2 if profile.redirect else 1  # of ours, which stand first by then
    for field, moved in (("containers", 0), ("initContainers", before)):
        for number, one in enumerate(_listed(spec, field)):
            path = f"/spec/{field}/{number + moved}/env"
            own = {variable.get("name") for variable in _listed(one, "env")}
            new = [written(variable) for variable in profile.agent_env if variable.name not in own]
            if new and not one.get("env"):
                yield _add(path, [])
            for variable in new:
                yield _add(f"{path}/-", variable)


def _ways_around(spec: Mapping[str, Any], profile: Profile) -> Iterator[str]:
    """What of the pod leads elsewhere than to its gateway."""
    meant = {variable.name: variable.value for variable in profile.agent_env}
    if spec.get("hostPID") or spec.get("shareProcessNamespace"):
        yield "toolgate: containers see each other's processes; what the gateway holds is less safe"
    for one in _containers(spec):
        for variable in _listed(one, "env"):
            name = variable.get("name")
            if name in meant and variable.get("value") != meant[name]:
                yield f"toolgate: container {one.get('name')!r} sets {name} itself, which may not lead to the gateway"


def _ports_taken(spec: Mapping[str, Any], settings: InjectSettings) -> Iterator[str]:
    """Who cannot listen, since the gateway does so first. A hint: ports need not be declared."""
    ours = {settings.ports.gateway, settings.ports.probes, settings.ports.transparent}
    for one in _containers(spec):
        for port in _listed(one, "ports"):
            if port.get("containerPort") in ours:
                who = f"container {one.get('name')!r} listens on {port['containerPort']}"
                yield f"toolgate: {who}, as the gateway does; change one of both"


def _containers(spec: Mapping[str, Any]) -> list[Json]:
    return [*_listed(spec, "initContainers"), *_listed(spec, "containers")]


def _listed(holder: Mapping[str, Any], field: str) -> Sequence[Json]:
    return holder.get(field) or ()


def _add(path: str, value: object) -> Json:
    return {"op": "add", "path": path, "value": value}
