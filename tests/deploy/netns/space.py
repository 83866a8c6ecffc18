"""Two real network namespaces with a wire between them: a pod, and everything outside of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GATEWAY, AGENT = 14357, 10001
"""Users of the two containers of the pod."""
POD, OUTSIDE = ("10.213.7.1", "fd13:7::1"), ("10.213.7.2", "fd13:7::2")
NEEDED = ("ip", "nft", "setpriv", "unshare", "nsenter")
NAMES = ("tool.example", "six.example", "safe.example", "other.example")
"""Hosts outside; six.example has an address of IPv6 only."""
_ROOT = Path(__file__).parents[3]


def missing() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    name = f"tg-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    probe = "table inet try { chain c { type nat hook output priority -100; meta l4proto tcp redirect to :1; }; }"
    tried = subprocess.run(["ip", "netns", "exec", name, "nft", "-f", "-"], input=probe, capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return f"no nftables in this kernel: {tried.stderr.strip()}" if tried.returncode else ""


class Space:
    """The pod and what is outside of it. ``hosts`` is what both know of names."""

    def __init__(self, folder: Path) -> None:
        self.pod, self.outside = f"tg-pod-{os.getpid()}", f"tg-out-{os.getpid()}"
        self.hosts = folder / "hosts"
        lines = [f"{OUTSIDE[name == 'six.example']} {name}" for name in NAMES]
        self.hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{line}\n" for line in lines))
        self.hosts.chmod(0o644)

    @contextmanager
    def made(self) -> Iterator[Space]:
        """As long as it lasts. What runs inside must have ended before."""
        pod, outside = self.pod, self.outside
        try:
            for command in (
                f"netns add {pod}",
                f"netns add {outside}",
                f"-n {pod} link add eth0 type veth peer name eth0 netns {outside}",
                *[f"-n {name} link set {device} up" for name in (pod, outside) for device in ("lo", "eth0")],
                *[f"-n {pod} addr add dev eth0 {_alone(address)}" for address in POD],
                *[f"-n {outside} addr add dev eth0 {_alone(address)}" for address in OUTSIDE],
                f"-n {pod} route add default via {OUTSIDE[0]}",
                f"-n {pod} -6 route add default via {OUTSIDE[1]}",
            ):
                subprocess.run(["ip", *command.split()], check=True, capture_output=True)
            yield self
        finally:
            for name in (pod, outside):
                subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def argv(self, where: str, uid: int, command: list[str], *also: str) -> list[str]:
        """How ``command`` is run there, by this user, with the names of ``hosts``. It may read all files (the
        interpreter may be in somebody's home), and has no other capability but ``also`` these."""
        enter = ["nsenter", f"--net=/run/netns/{where}", "unshare", "--mount", "--propagation", "private"]
        mount = ["sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(self.hosts)]
        caps = ",".join(["-all", "+dac_read_search", *[f"+{capability}" for capability in also]])
        drop = ["--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", caps, "--no-new-privs"]
        user = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", *drop] if uid else []
        return [*enter, *mount, *user, *command]

    def python(self, where: str, uid: int, program: str, *arguments: str, also: tuple[str, ...] = ()) -> str:
        """What a Python program prints there. Raises AssertionError where it fails."""
        command = [sys.executable, "-I", "-c", program, *arguments]
        done = subprocess.run(self.argv(where, uid, command, *also), capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def redirect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``toolgate redirect`` in the pod, as root: what an init container does."""
        command = [sys.executable, "-m", "gateway", "redirect", *arguments]
        return subprocess.run(
            self.argv(self.pod, 0, command), capture_output=True, text=True, timeout=20, cwd=_ROOT, check=True
        )


def _alone(address: str) -> str:
    """The address with its network; usable at once: nobody else has it (RFC 4862, 5.4 would ask)."""
    return f"{address}/64 nodad" if ":" in address else f"{address}/24"
