"""Completes a bill of materials (CycloneDX JSON, from standard input to standard output): the version, which
pyproject.toml leaves to the package, and Toolgate's identity."""

from __future__ import annotations

import json
import sys
from typing import Any


def main(version: str) -> None:
    """Give the root component its version and package URL."""
    bom: dict[str, Any] = json.load(sys.stdin)
    bom["metadata"]["component"] |= {"version": version, "purl": f"pkg:pypi/toolgate@{version}"}
    json.dump(bom, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
