"""The Dockerfile as it is written; check_image.py builds and runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
LINES = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
FINAL = LINES[max(number for number, line in enumerate(LINES) if line.startswith("FROM ")) :]


def test_what_runs_is_nobody_s_user_and_has_nothing_of_a_distribution() -> None:
    assert FINAL[0] == "FROM scratch"
    assert "USER 10001:10001" in FINAL, "a number: Kubernetes cannot tell that a name is not root"
    assert not [line for line in FINAL if line.startswith("RUN ")]


def test_commands_are_run_without_a_shell() -> None:
    commands = [line for line in FINAL if re.match(r"(ENTRYPOINT|CMD|HEALTHCHECK)\b", line)]
    assert len(commands) == 3
    for line in commands:
        assert isinstance(json.loads(line[line.index("[") :]), list)


def test_the_base_can_be_pinned_by_its_digest() -> None:
    bases = re.findall(r"^FROM (\S+)", "\n".join(LINES), re.MULTILINE)
    assert bases == ["${PYTHON_IMAGE}", "scratch"]
    assert any(line.startswith("ARG PYTHON_IMAGE=python:3.13-slim") for line in LINES)


def test_packages_come_by_their_hashes() -> None:
    installs = re.findall(r"pip --python \S+ install ([^&]+)", "\n".join(LINES))
    assert len(installs) == 3
    for arguments in installs:
        assert "--require-hashes" in arguments or "--no-index" in arguments, arguments


def test_what_is_copied_is_let_into_the_build() -> None:
    """.dockerignore lets in what it names, so that no secret beside the sources gets into a layer."""
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[0] == "*"
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    sources = [line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from" not in line]
    for source in (one for line in sources for one in line if "$" not in one):
        assert source in allowed or any(source.startswith(f"{folder}/") for folder in allowed), source
        assert (ROOT / source).exists(), source
    assert "requirements.lock" in allowed
