"""An image built and run without a daemon: Debian's base by mmdebstrap, buildah in a chroot, podman with runc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.13-slim-trixie"
NAME = "localhost/toolgate-tested"
CACHE = ROOT / ".venv-release" / "base-trixie.tar"
NEEDED = ("mmdebstrap", "buildah", "podman", "runc")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
CONTEXT = ("Dockerfile", ".dockerignore", "LICENSE", "README.md", "pyproject.toml", "requirements.lock")
CONTEXT_FOLDERS = ("deploy/image", "gateway", "policies")
HARDENED = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt", "no-new-privileges"),
    *("--no-healthcheck", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096"),
)
"""As a cluster with the restricted Pod Security runs it; limits and health checks as an engine without a daemon can."""


def why_not() -> str:
    """Why no image can be built here; empty where it can."""
    if os.getuid() != 0:
        return "building an image without a daemon needs root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"not installed here: {', '.join(missing)}" if missing else ""


def told(*command: str, rc: int = 0, patience: float = 600) -> str:
    """What a command says (both streams); it must exit with ``rc``."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience
    )
    assert done.returncode == rc, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def provide_base(scratch: Path) -> None:
    """The base image, by its usual name: Debian's Python in a minimal Debian, since no registry of images is needed."""
    if not CACHE.exists():
        CACHE.parent.mkdir(exist_ok=True)
        made = scratch / "base.tar"
        told("mmdebstrap", "--variant=minbase", "--include=python3,python3-venv,python3-pip,ca-certificates", "trixie",
             str(made), "http://deb.debian.org/debian", patience=1200)  # fmt: skip
        shutil.move(made, CACHE)
    context = scratch / "base"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    shutil.copy(CACHE, context / "base.tar")
    told("buildah", "bud", "--isolation", "chroot", "-t", BASE, str(context))
    shutil.rmtree(context)


def build(tag: str, context: Path, *arguments: str) -> None:
    """Build the Dockerfile of ``context`` as ``NAME:tag``."""
    mounts = [part for file in (AUTHORITIES, "/etc/resolv.conf") for part in ("-v", f"{file}:{file}:ro")]
    told("buildah", "bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "--timestamp", "0", *mounts,
         *arguments, "-t", f"{NAME}:{tag}", str(context), patience=1200)  # fmt: skip


def context_in(folder: Path) -> Path:
    """A copy of what is built: others may change files while it is."""
    folder.mkdir()
    for name in CONTEXT:
        shutil.copyfile(ROOT / name, folder / name)
    for name in CONTEXT_FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def inspect(tag: str) -> dict[str, Any]:
    """What the engine knows of an image."""
    found: list[dict[str, Any]] = json.loads(told("podman", "image", "inspect", f"{NAME}:{tag}"))
    return found[0]


def runner(*arguments: str) -> list[str]:
    """The command that runs the image, hardened; more arguments of podman first, then the image's own."""
    return ["podman", "--runtime", "runc", "run", *HARDENED, *arguments]


def run(*arguments: str, command: Sequence[str] = (), rc: int = 0) -> str:
    """Run the image to its end: what it says."""
    return told(*runner("--rm", "--network=none", *arguments, f"{NAME}:one"), *command, rc=rc, patience=60)
