"""Runs the suite's scenarios against a server, or with a client."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import checks
from .toolbox import ROOT, Toolbox

REVISIONS = ("2025-11-25", "2026-07-28")
LIMIT = 300.0
"""Seconds for one run of the suite; it takes about three."""


class Suite:
    """The suite, writing what it finds under ``out``."""

    def __init__(self, toolbox: Toolbox, out: Path) -> None:
        self._toolbox = toolbox
        self._out = out

    def server(self, url: str, revision: str, name: str) -> checks.Results:
        """All server scenarios that a revision asks for, against the server at ``url``."""
        out = self._fresh(f"server-{revision}-{name}")
        self._run("server", "--url", url, "--requirements", revision, "-o", str(out))
        return checks.load(out)

    def client_scenarios(self, revision: str) -> list[str]:
        """Names of all client scenarios that a revision runs, scored or not."""
        listed = self._run("list", "--requirements", revision)
        _, _, clients = listed.partition("Client scenarios")
        scored, _, rest = clients.partition("\n\n")
        return re.findall(r"^ +- (\S+)$", scored, re.MULTILINE) + re.findall(r"- (\S+) \[client\]", rest)

    def client(self, module: str, scenario: str, revision: str, name: str) -> checks.Results:
        """One client scenario: the suite serves, ``python -m module URL`` is the client."""
        out = self._fresh(f"client-{revision}-{name}-{scenario}")
        command = f"{sys.executable} -m {module}"
        self._run("client", "--command", command, "--scenario", scenario, "--spec-version", revision, "-o", str(out))
        return checks.load(out)

    def _fresh(self, name: str) -> Path:
        folder = self._out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _run(self, *arguments: str) -> str:
        """What the suite printed. Its exit code is not looked at: the checks are."""
        done = subprocess.run(
            [str(self._toolbox.node), str(self._toolbox.suite), *arguments],
            cwd=ROOT, env=self._toolbox.environment, capture_output=True, text=True, timeout=LIMIT,
        )  # fmt: skip
        return done.stdout
