"""Tasks in tests of policies: the page's own example, and a call that says its task by the header."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from gateway.cli.root import toolgate

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
CONFIG = "tools: {desk: {url: 'http://a'}, bank: {url: 'http://b'}}\n"
GRANT = "apiVersion: toolgate/v1\nkind: Grant\nmetadata: {name: all}\nspec: {agents: ['*'], tools: ['*']}\n"
MORE = """\
    - {name: by the header, call: {task: "", headers: {x-toolgate-task: refund}, args: {amount: 51}}, expect: refuse}
    - {name: in no task, call: {task: "", args: {amount: 51}}, expect: allow}
    - name: a run stays in its task, and its time ends
      call: {task: ""}
      steps:
        - {call: {headers: {x-toolgate-task: refund}, args: {amount: 1}}, expect: allow}
        - {call: {args: {amount: 1}}, at: 29m, expect: allow}
        - {call: {args: {amount: 51}}, at: 29m, expect: {reason: outside_task}}
        - {call: {args: {amount: 1}}, at: 31m, expect: {reason: outside_task}}
"""


def test_the_cases_of_the_page_and_some_more_pass(tmp_path: Path) -> None:
    policy, tests = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "policies").mkdir()
    (tmp_path / "toolgate.yaml").write_text(CONFIG)
    (tmp_path / "policies" / "task.yaml").write_text(f"{GRANT}---\n{policy}")
    file = tmp_path / "policies" / "task_test.yaml"
    file.write_text(tests + MORE)
    done = CliRunner().invoke(toolgate, ["test", "-c", str(tmp_path / "toolgate.yaml"), str(file)])
    assert done.exit_code == 0, done.output
