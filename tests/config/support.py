"""Configurations in short."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from gateway.config.load import attempt

CONFIG = """\
tools:
  github: {url: "https://api.github.com"}
"""
GRANT = """\
apiVersion: toolgate/v1
kind: Grant
metadata: {name: all}
spec: {agents: ["*"], tools: [github]}
"""


def written(folder: Path, config: str = CONFIG, **policies: str) -> Path:
    """A configuration file in ``folder`` with its policies (a grant where none are given)."""
    (folder / "policies").mkdir(exist_ok=True)
    for name, text in (policies or {"grants": GRANT}).items():
        (folder / "policies" / f"{name}.yaml").write_text(dedent(text))
    path = folder / "toolgate.yaml"
    path.write_text(dedent(config))
    return path


def policy(rules: str, more: str = "") -> str:
    """A policy document with these rules (indented by four) after a grant."""
    return f"{GRANT}---\napiVersion: toolgate/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n{more}  rules:\n{rules}"


def told(path: Path) -> list[str]:
    """Every error and warning, with paths below the configuration's folder."""
    made = attempt(path)
    return [str(problem).replace(f"{path.parent}/", "") for problem in [*made.errors, *made.warnings]]
