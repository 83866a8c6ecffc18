"""The architecture's own tests: the contracts hold, and they would notice if they did not."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gateway"


def lint(root: Path) -> tuple[bool, str]:
    """Run import-linter on the tree at ``root``; whether it is content, and what it says."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package and its contracts, to plant violations in."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(PACKAGE, root / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_the_contracts_hold(copy):
    content, report = lint(copy)
    assert content, report
    assert ", 0 broken" in report


IMPORTS = [
    # Rooms do not know their neighbours, nor what stands above them.
    ("decide/limits.py", "import gateway.stores.memory", "gateway.decide.limits -> gateway.stores.memory"),
    ("understand/http.py", "from gateway.config import load", "gateway.understand.http -> gateway.config"),
    ("execute/forward.py", "from gateway.identify import header", "gateway.execute.forward -> gateway.identify"),
    ("policy/rules.py", "from gateway.decide.rules import Rules", "gateway.policy.rules -> gateway.decide.rules"),
    ("observe/trace.py", "import gateway.wire.server", "gateway.observe.trace -> gateway.wire.server"),
    ("wire/strict.py", "import gateway.app", "gateway.wire.strict -> gateway.app"),
    ("wire/listener.py", "import gateway.admin.server", "gateway.wire.listener -> gateway.admin.server"),
    ("pipeline.py", "import gateway.wire.exchange", "gateway.pipeline -> gateway.wire.exchange"),
    ("ports.py", "from gateway.policy import book", "gateway.ports -> gateway.policy"),
    ("model/calls.py", "from gateway.errors import Refused", "gateway.model.calls -> gateway.errors"),
    # Quiet rooms do no I/O and read no clock, however the import is hidden.
    ("decide/engine.py", "import asyncio", "gateway.decide.engine -> asyncio"),
    ("policy/units.py", "import time", "gateway.policy.units -> time"),
    ("identify/api_key.py", "import os", "gateway.identify.api_key -> os"),
    ("understand/route.py", "from socket import socket", "gateway.understand.route -> socket"),
    ("stores/circuit.py", "from time import monotonic", "gateway.stores.circuit -> time"),
    ("pipeline.py", "import logging", "gateway.pipeline -> logging"),
    ("decide/grants.py", "def hidden():\n    import random\n    return random", "gateway.decide.grants -> random"),
]


@pytest.mark.parametrize(("file", "line", "found"), IMPORTS)
def test_a_planted_import_is_caught(copy, file, line, found):
    planted = copy / "gateway" / file
    before = planted.read_text()
    planted.write_text(f"{before}\n\n{line}\n")
    try:
        content, report = lint(copy)
    finally:
        planted.write_text(before)
    assert not content
    assert "BROKEN" in report
    assert found in report


@pytest.mark.parametrize("name", ["extras/__init__.py", "helpers.py"])
def test_a_folder_or_file_that_no_floor_lists_is_caught(copy, name):
    planted = copy / "gateway" / name
    planted.parent.mkdir(exist_ok=True)
    planted.write_text('"""New."""\n')
    try:
        content, report = lint(copy)
    finally:
        shutil.rmtree(planted.parent) if planted.name == "__init__.py" else planted.unlink()
    assert not content
    assert name.split("/")[0].removesuffix(".py") in report


def makers(source: str, name: str) -> list[int]:
    """Lines that make, or rename, the class ``name``: calls of it, and other names given to it.

    By tokens: ``ast.parse`` now and then fails in CPython 3.11 where a collection runs in the middle of it.
    """
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO("\n" + source).readline)
        if token.type != tokenize.COMMENT
    ]
    lines = []
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if (token.type, token.string) == (tokenize.NAME, name) and (
            (after.string == "(" and before.string != "class")
            or after.string == "as"
            or (before.string == "=" and after.type == tokenize.NEWLINE)
        ):
            lines.append(token.start[0] - 1)
    return lines


def test_only_decide_makes_a_permit():
    """A Permit is the proof that a call was decided: execute accepts nothing else."""
    places = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if makers(path.read_text(), "Permit")}
    assert places == {"decide/engine.py"}


@pytest.mark.parametrize(
    "source",
    [
        "Permit(call)",
        "x = model.Permit(call)",
        "from gateway.model import Permit as P",
        "Make = Permit",
        "f(Permit(c))",
    ],
)
def test_a_permit_made_elsewhere_would_be_noticed(source):
    assert makers(source, "Permit") == [1]


@pytest.mark.parametrize(
    "source", ["isinstance(x, Permit)", "from gateway.model import Permit", "def f(p: Permit): ..."]
)
def test_to_speak_of_a_permit_is_not_to_make_one(source):
    assert makers(source, "Permit") == []
