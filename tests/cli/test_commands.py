"""The command line: what each command prints, and how it exits."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from tests.config.support import CONFIG, GRANT, policy, written


def invoke(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(toolgate, arguments, input=text)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom gateway.cli.root import toolgate\ntoolgate(['--help'], standalone_mode=False)\n"
        "print(sorted({'aiohttp', 'pydantic', 'cel_expr_python', 'yaml', 'uvloop', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "explain" in done.stdout


def test_python_m_gateway_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("toolgate, version ")


def test_check_sums_up_what_it_found(tmp_path: Path) -> None:
    rule = policy("    - {name: a, when: 'true', then: deny}\n    - {name: b, when: 'true', then: warn}\n")
    done = invoke("check", "-c", str(written(tmp_path, p=rule)))
    assert done.exit_code == 0
    assert done.stdout.startswith("1 tool, 1 policy (2 rules), 1 grant, 0 limits, 0 breakers: ready to run, version ")


def test_check_sums_up_caps_where_there_are_any(tmp_path: Path) -> None:
    config = "tools:\n  llm: {url: 'http://127.0.0.1:1', protocol: openai, prices: {models: {'*': {input: 1}}}}\n"
    cap = "apiVersion: toolgate/v1\nkind: Cap\nmetadata: {name: c}\nspec: {max_tokens: 5}\n"
    done = invoke("check", "-c", str(written(tmp_path, config, c=cap)))
    assert done.stdout.startswith("1 tool, 0 policies (0 rules), 0 grants, 0 limits, 0 breakers, 1 cap")


def test_check_tells_mistakes_and_warnings_with_a_caret_and_exits_1(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG + "plicies: x\n", a=GRANT + "---\n" + policy("    []\n").partition("---\n")[2])
    done = invoke("check", "-c", str(path))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.replace(f"{tmp_path}/", "") == (
        "toolgate.yaml:3:1: error: unknown key 'plicies' (did you mean policies?)\n"
        "  3 | plicies: x\n"
        "    | ^\n"
        "policies/a.yaml:11:5: error: spec.rules: must have at least 1 entry "
        "(an empty list or mapping means nothing here)\n"
        "  11 |     []\n"
        "     |     ^\n"
        "2 mistakes; nothing of it can be used\n"
    )


def test_check_shows_warnings_and_still_passes(tmp_path: Path) -> None:
    done = invoke("check", "-c", str(written(tmp_path, a=GRANT.replace("[github]", "[github, githb]"))))
    assert done.exit_code == 0
    assert "policies/a.yaml:4:39: warning: no configured tool matches 'githb' (did you mean github?)" in done.stderr
    assert ", 1 warning: ready to run" in done.stdout


def test_check_as_json_is_for_machines(tmp_path: Path) -> None:
    good = json.loads(invoke("check", "--format", "json", "-c", str(written(tmp_path))).stdout)
    assert (good["ok"], good["errors"], len(good["version"])) == (True, [], 12)
    done = invoke("check", "--format", "json", "-c", str(written(tmp_path, CONFIG + "zz: 1\n")))
    assert done.exit_code == 1
    (error,) = json.loads(done.stdout)["errors"]
    assert (error["line"], error["column"], error["message"]) == (3, 1, "unknown key 'zz'")


@pytest.mark.parametrize("name", ["config", "policy"])
def test_schema_prints_the_schema(name: str) -> None:
    assert json.loads(invoke("schema", name).stdout)["$schema"].endswith("2020-12/schema")


def test_hash_key_hashes_the_key_it_is_given() -> None:
    done = invoke("hash-key", text="secret-key\n")
    assert done.stdout.strip() == hashlib.sha256(b"secret-key").hexdigest()


@pytest.mark.parametrize("text", ["", "\n", " spaced \n", "schlüssel\n"])
def test_hash_key_refuses_keys_that_no_header_can_carry(text: str) -> None:
    done = invoke("hash-key", text=text)
    assert done.exit_code == 1
    assert "Error: " in done.stderr


def test_run_exits_1_with_the_mistakes_of_the_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, "tools: {}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "-c", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "toolgate.yaml:1:8: " in done.stderr
    assert "Traceback" not in done.stderr
