"""The files that a container would see, made in a folder as the kubelet would mount them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.harness.tls import certificate

from .chart import Json, Rendered

FILE = re.compile(r"/var/run/secrets/[^\"'\s{}]+")
VARIABLE = re.compile(r"\$\{env:(\w+)\}")
PLACES = ("/var/run/secrets", "/var/lib/toolgate", "/etc/toolgate")
SECRET = "0123456789abcdef" * 4


def config_in(rendered: Rendered, spec: Json, container: Json, folder: Path) -> tuple[Path, str]:
    """config.yaml where the container has it below ``folder``, with all that is mounted beside it, and its text.

    Raises:
        AssertionError: something that the configuration names is not mounted.
    """
    maps = {one["metadata"]["name"]: one["data"] for one in rendered.of("ConfigMap")}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    text: str = maps[mounts["/etc/toolgate"]["configMap"]["name"]]["config.yaml"]
    policies = maps[mounts["/etc/toolgate/policies"]["configMap"]["name"]]
    etc = _inside(folder, "/etc/toolgate")
    (etc / "policies").mkdir(parents=True)
    for name, policy in policies.items():
        (etc / "policies" / name).write_text(policy)
    for name in FILE.findall(text):
        _mount(folder, name, mounts)
    known = {variable["name"] for variable in container.get("env", [])}
    assert set(VARIABLE.findall(text)) <= known, "variables that the container does not have"
    for place in PLACES:
        text = re.sub(rf"(?<![\w.]){place}\b", str(_inside(folder, place)), text)
    (etc / "config.yaml").write_text(text)
    return etc / "config.yaml", text


def _inside(folder: Path, place: str) -> Path:
    return folder / place.removeprefix("/")


def _mount(folder: Path, name: str, mounts: dict[str, Json]) -> None:
    if name.startswith("/var/run/secrets/kubernetes.io"):
        return
    where = next((place for place in mounts if name.startswith(f"{place}/")), None)
    assert where is not None, f"{name} is in no volume"
    volume, key = mounts[where], name.removeprefix(f"{where}/")
    if "projected" in volume:
        tokens = [source["serviceAccountToken"]["path"] for source in volume["projected"]["sources"]]
        assert key in tokens, f"{name} is no token of {volume['name']}"
    else:
        assert where.endswith(f"/{volume['secret']['secretName']}"), f"{name} is another Secret's"
    file = _inside(folder, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        return
    if file.suffix not in (".crt", ".key"):
        file.write_text(SECRET)
        return
    made = certificate(file.parent, "toolgate.example.org")
    Path(f"{made}.key").rename(file.parent / "tls.key")
    for crt in ("ca.crt", "tls.crt"):
        (file.parent / crt).write_bytes(made.read_bytes())
