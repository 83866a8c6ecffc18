"""The processes of a run: started on a core of their own, measured as trees, stopped whatever happens."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

TICKS = os.sysconf("SC_CLK_TCK")
READY_WITHIN = 20.0
ROOT = Path(__file__).parent.parent
PORTS = range(20000, 32000)  # below the ports that outgoing connections take


class Unavailable(Exception):
    """Something cannot take part in this run; the text says why and how to change that."""


class Site:
    """A temporary folder and the processes of a run. As a context manager it ends them all on the way out.

    ``load_core`` and ``proxy_core`` are numbers of cores, or None on a machine with a single one.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="toolgate-bench-"))
        self.folder.chmod(0o755)
        cores = sorted(os.sched_getaffinity(0))
        self.load_core: int | None = cores[0] if len(cores) > 1 else None
        self.proxy_core: int | None = cores[1] if len(cores) > 1 else None
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Site:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for child in self._children:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, number)
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline and any(child.poll() is None for child in self._children):
                time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name: str, text: str) -> Path:
        """Writes a file of the run's folder, making folders on the way, and gives its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def port(self) -> int:
        """A loopback port that nobody listens on."""
        for _ in range(100):
            port = random.choice(PORTS)
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
        raise Unavailable("no free port between 20000 and 32000")

    def spawn(
        self, name: str, command: Sequence[str], core: int | None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a process group on ``core``, its output in ``name.log``; it gets SIGTERM if this process dies."""
        child = subprocess.Popen(
            [*wrapped(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / f"{name}.log").open("wb"),
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def await_port(self, name: str, child: subprocess.Popen[bytes], port: int, within: float = READY_WITHIN) -> None:
        """Returns when ``port`` accepts connections; Unavailable, with the end of the log, when it never does."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and child.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.05)
        log = (self.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        why = f"ended with status {child.returncode}" if child.poll() is not None else f"not ready in {within:.0f} s"
        said = " / ".join(line.strip() for line in log[-3:])
        for private in (self.folder, ROOT):  # reports are published; where they were made is nobody's business
            said = said.replace(f"{private}/", "")
        raise Unavailable(f"{why}: {said or 'it said nothing'}")


def wrapped(core: int | None) -> list[str]:
    """What goes before a command: dies with us (setpriv), runs on ``core`` only (taskset)."""
    before = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    return [*before, "taskset", "-c", str(core)] if core is not None else before


def tree(roots: Sequence[int]) -> list[int]:
    """``roots`` and all that descends from them, as process ids."""
    found: list[int] = []
    todo = list(roots)
    while todo:
        pid = todo.pop()
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            todo += [int(word) for task in tasks for word in (task / "children").read_text().split()]
        except OSError:
            continue
        found.append(pid)
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that the processes have used so far, in seconds."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def memory_mb(pids: Sequence[int]) -> tuple[float, float]:
    """Resident and proportional set size of the processes together, in MB (10^6 bytes)."""
    totals = {"Rss": 0, "Pss": 0}
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
                name, _, value = line.partition(":")
                if name in totals:
                    totals[name] += int(value.split()[0]) * 1024
    return totals["Rss"] / 1e6, totals["Pss"] / 1e6


def reset_peak(pids: Sequence[int]) -> None:
    """Makes the kernel forget the highest resident size so far (Linux, own processes)."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pids: Sequence[int]) -> float:
    """The highest resident size since the last ``reset_peak``, summed, in MB (10^6 bytes)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total / 1e6
