"""The official TypeScript clients, as programs use them: what each step gave, in the shape of the suite's checks."""

from __future__ import annotations

import json
import shutil
import subprocess

from . import checks
from .toolbox import HERE, Toolbox

SCRIPT = "clients.mjs"
LIMIT = 120.0
"""Seconds for the whole script; it takes about five."""
FAILS = frozenset({"cancel"})
"""Steps that end with an error in the client when all is well."""


def run(toolbox: Toolbox, url: str) -> checks.Results:
    """The clients of ``clients.mjs`` at ``url``."""
    # a module finds its packages by the folder it lies in
    shutil.copy(HERE / SCRIPT, toolbox.home / SCRIPT)
    done = subprocess.run(
        [str(toolbox.node), SCRIPT, url],
        cwd=toolbox.home, env=toolbox.environment, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{SCRIPT} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    return {client: [_check(step, value) for step, value in steps.items()] for client, steps in found.items()}


def _check(step: str, value: object) -> checks.Check:
    failed = isinstance(value, dict) and "failed" in value and step not in FAILS
    return {"id": step, "status": "FAILURE" if failed else "SUCCESS", "details": value}
