"""The whole demo: real tools, the real gateway process, the scripted agent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.demo.agent import SCENES
from gateway.demo.stage import AGENTS, TOOL_PORTS

CODE = """
import sys, pathlib
import gateway.demo.agent, gateway.demo.main
gateway.demo.agent.SCENES = gateway.demo.agent.SCENES[:{scenes}]
sys.exit(gateway.demo.main.run({once}, pathlib.Path(sys.argv[1])))
"""


@pytest.fixture
def demo(tmp_path):
    """Start the demo in a folder of its own; whatever is left of it at the end is killed."""
    started = []

    def start(once: bool, scenes: int = len(SCENES)) -> subprocess.Popen:
        command = [sys.executable, "-c", CODE.format(once=once, scenes=scenes), str(tmp_path)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def read_until(process: subprocess.Popen, text: str) -> str:
    """What the demo prints up to a line that contains ``text``."""
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} did not come:\n{seen}")


def test_the_demo_plays_every_scene_as_it_must_and_ends(demo, tmp_path):
    process = demo(once=True)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 0, text
    for scene in SCENES:
        assert scene.__doc__.partition(". ")[0] in text
    for outcome in (
        "allowed",
        "refused",
        "throttled",
        "held back",
        "tool failed",
        "short-circuited",
        "allowed in part",
        "cut off",
        "waiting",
    ):
        assert re.search(rf"In all: [^:]*\b\d+ {outcome}\b", text), outcome
    for why in (
        "not_granted",
        "policy_denied",
        "approval_pending",
        "$ toolgate approvals approve apr-",
        "approval_denied by payments/first-payment: nobody has ordered anything there",
        "policy_denied by origins/planted",
        "unreadable_body",
        "Retry-After",
        "in force after",
        "the agent sees: search, read_note\n",
        'did you mean "limit"?',
        "tool_changed by pins",
        "taken out by proposals/nothing-deleted",
        "by spending/run-budget",
        "budget_exhausted by budget/interns-day",
        "warned by loop/circles",
        "loop_detected by loop/circles",
        "this agent is quarantined: incident 41",
    ):
        assert why in text
    records = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_bytes().splitlines()]
    printed = len(re.findall(r"^  [A-Z][A-Z -]{6,} +\d{3}  ", text, re.MULTILINE))
    assert len(records) == printed > 25
    assert max(map(len, text.splitlines()[1:-2])) <= 100, "it fits a terminal, but for the paths around it"
    assert {record["decision"] for record in records} == {"allow", "refuse"}
    assert "drained" in (tmp_path / "gateway.log").read_text()
    for packaged in (files("gateway.demo") / "policies").iterdir():
        assert (tmp_path / "policies" / packaged.name).read_text() == packaged.read_text(), "the edit is taken back"


@pytest.fixture
def taken():
    """Ports of the demo that something else listens on: the gateway's and one tool's."""
    ports = (AGENTS, TOOL_PORTS["search"])
    with contextlib.ExitStack() as stack:
        for port in ports:
            with contextlib.suppress(OSError):  # somebody has it already: just as well
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield ports


def test_the_demo_stays_up_on_other_ports_until_interrupted(demo, tmp_path, taken):
    process = demo(once=False, scenes=1)
    shown = read_until(process, "Change a policy")
    for port in taken:
        assert f"Port {port} is taken; using" in shown
    url = re.search(r"-H 'x-agent-id: researcher' (\S+/notes/notes)$", shown, re.MULTILINE)[1]
    request = urllib.request.Request(url, headers={"x-agent-id": "researcher"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert len(json.load(answer)) >= 2
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert "drained" in (tmp_path / "gateway.log").read_text()


def test_an_interrupt_in_the_middle_of_a_scene_ends_everything(demo, tmp_path):
    process = demo(once=False)
    read_until(process, "2. What was not granted")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert "drained" in (tmp_path / "gateway.log").read_text()


def test_a_gateway_that_does_not_start_is_told_with_its_last_words(monkeypatch, tmp_path, capsys):
    from gateway.demo import main

    write = main.write_files

    def broken(folder: Path, ports: dict[int, int]) -> Path:
        config = write(folder, ports)
        (folder / "policies" / "access.yaml").write_text("kind: Nonsense\n")
        return config

    monkeypatch.setattr(main, "write_files", broken)
    assert main.run(once=True, folder=tmp_path) == 1
    said = capsys.readouterr().out
    assert "the gateway ended (exit code 1)" in said
    assert "access.yaml:1" in said
