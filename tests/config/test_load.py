"""What a usable configuration becomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.load import attempt, load
from gateway.config.schema import Config
from gateway.config.schema_identify import Identify
from gateway.errors import ConfigError
from gateway.model import Origin, Timeouts
from tests.config.support import CONFIG, GRANT, policy, told, written

ROOT = Path(__file__).parents[2]
FULL = """\
listen: "[::1]:0"
admin: {listen: ":9091", token: 0123456789abcdef-secret, plaintext: true}
run_header: X-Task
tools:
  github:
    url: https://api.github.com:8443/v3/
    hosts: [GitHub.local, "[::1]:80"]
    preserve_host: true
    credential:
      - {header: Authorization, value: "Bearer ${file:token}"}
      - {header: X-Extra, value: "$${env:HOME} ${env:EXTRA}"}
    operations: ["GET /repos/{owner}/{repo}"]
    limits: {concurrency: 8, connect: 250ms, timeout: 30s, first_byte: 5, idle: 1m}
    body: {limit: 64KiB, otherwise: head-only}
    repeated_parameters: list
    ambiguous_paths: forward
    connect: true
    upgrades: [WebSocket]
    forwarded: off
    strip: [X-Internal]
  plain: {url: "http://[::1]:7000"}
trace: {file: traces.jsonl, on_failure: refuse, capacity: 10}
"""


def test_every_setting_of_a_tool_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRA", "more")
    (tmp_path / "token").write_text("s3cret\r\n")
    loaded = load(written(tmp_path, FULL))
    github, plain = loaded.tools
    assert github.origin == Origin("https", "api.github.com", 8443)
    assert (github.base_path, github.hosts, github.preserve_host) == ("/v3", ("github.local", "[::1]:80"), True)
    assert github.inject == ((b"Authorization", b"Bearer s3cret"), (b"X-Extra", b"${env:HOME} more"))
    assert github.strip == {
        b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-extra",
        b"x-internal",
    }  # fmt: skip
    assert github.operations == ("GET /repos/{owner}/{repo}",)
    assert github.timeouts == Timeouts(0.25, 5.0, 60.0, 30.0)
    assert (github.concurrency, github.body_limit, github.head_only) == (8, 65536, True)
    assert (github.repeated_parameters, github.ambiguous_paths, github.connect) == (True, "forward", True)
    assert (github.upgrades, github.forwarded) == (("websocket",), "off")
    assert (plain.origin, plain.base_path, plain.strip) == (Origin("http", "::1", 7000), "", frozenset())
    assert (str(loaded.config.listen), str(loaded.config.admin.listen)) == ("[::1]:0", "0.0.0.0:9091")
    assert loaded.config.trace.file == str(tmp_path / "traces.jsonl")
    assert tmp_path / "token" in loaded.files


def test_without_an_identify_section_the_loopback_header_identifies(tmp_path: Path) -> None:
    assert load(written(tmp_path)).config.identify == (Identify(header="x-agent-id"),)


def test_operations_come_from_an_openapi_document(tmp_path: Path) -> None:
    document = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://elsewhere/v9"}],
        "paths": {
            "/pets/{id}": {"get": {}, "delete": {}, "parameters": [], "summary": "x"},
            "/pets/{name}": {"get": {}},
            "/pets/{id}.json": {"get": {}},
            "/on": {"post": {"responses": {200: {}}}},
        },
    }
    config = CONFIG.replace('"}', '", openapi: ./api.yaml}')
    (tmp_path / "api.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    path = written(tmp_path, config)
    loaded = load(path)
    assert loaded.tools[0].operations == ("GET /pets/{id}", "DELETE /pets/{id}", "POST /on")
    assert told(path) == [
        "toolgate.yaml:2:52: GET /pets/{name} is left out: it matches the same as GET /pets/{id}",
        "toolgate.yaml:2:52: GET /pets/{id}.json is left out: '{id}.json' mixes a parameter with other text",
    ]
    assert tmp_path / "api.yaml" in loaded.files
    (tmp_path / "api.yaml").write_text(json.dumps(document))
    assert load(path).version == loaded.version, "the same operations, whatever the format"
    document["paths"].pop("/on")  # type: ignore[attr-defined]
    (tmp_path / "api.yaml").write_text(json.dumps(document))
    assert load(path).version != loaded.version


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "api is not JSON"),
        ("a: [", "api is not YAML in line 2 (correct the document)"),
        ("a: 1", "api has no paths (give an OpenAPI document, or operations:)"),
        ("paths: {}", "there are no operations under paths (give an OpenAPI document, or operations:)"),
    ],
)
def test_an_openapi_document_of_no_use_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "api").write_text(content)
    (problem,) = told(written(tmp_path, CONFIG.replace('"}', '", openapi: api}')))
    assert problem.startswith(f"toolgate.yaml:2:52: {message}")


def test_the_version_names_what_is_written_and_no_secret(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG.replace('"}', '", credential: {header: A, value: one}}'))
    first = load(path).version
    path.write_text(path.read_text().replace("value: one", "value: two"))
    assert load(path).version == first
    path.write_text(path.read_text() + "run_header: x\n")
    second = load(path).version
    assert second != first
    (tmp_path / "policies" / "grants.yaml").write_text(GRANT.replace('["*"]', "[a]"))
    assert load(path).version not in (first, second)


def test_test_files_hidden_files_and_others_are_no_policies(tmp_path: Path) -> None:
    path = written(tmp_path)
    for name in ("grants_test.yaml", ".hidden.yaml", "readme.md", "x.yaml~"):
        (tmp_path / "policies" / name).write_text("not: [a policy")
    (tmp_path / "policies" / "sub").mkdir()
    (tmp_path / "policies" / "sub" / "more.yml").write_text(GRANT.replace("name: all", "name: more"))
    assert [grant.name for grant in load(path).book.grants] == ["all", "more"]


def test_policies_may_be_one_file(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG + "policies: policies/grants.yaml\n")
    assert [grant.name for grant in load(path).book.grants] == ["all"]


def test_folders_that_link_to_themselves_are_read_once(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "policies" / "again").symlink_to(".")
    assert [grant.name for grant in load(path).book.grants] == ["all"]


def test_a_missing_engine_is_named_at_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gateway.policy.cel_python", None)
    (problem,) = told(written(tmp_path, CONFIG + "cel: cel-python\n"))
    assert problem.startswith("toolgate.yaml:3:6: the CEL engine cel-python is not installed")
    assert problem.endswith("install the package cel-python, or write cel: cel-expr-python)")


def test_sql_is_there_only_where_it_is_turned_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = policy("    - {name: r, when: 'sql(string(args.q)).size() > 1', then: deny}\n")
    assert "cel_functions: {sql: true}" in told(written(tmp_path, policies=rules))[0]
    turned_on = written(tmp_path, CONFIG + "cel_functions: {sql: true}\n", policies=rules)
    assert load(turned_on).config.cel_functions.sql
    monkeypatch.setitem(__import__("sys").modules, "gateway.policy.functions_sql", None)
    (problem,) = told(turned_on)
    assert problem.startswith("toolgate.yaml:3:16: sql() needs a package that is not installed")
    assert "install sqlglot" in problem


def test_the_shipped_example_loads_without_a_word() -> None:
    made = attempt(ROOT / "config.example.yaml")
    assert (made.errors, made.warnings) == ([], [])


def test_the_defaults_in_the_models_are_what_validation_would_make_of_them() -> None:
    written_out = Config.model_validate({"tools": {"a": {"url": "http://a"}}})
    assert written_out.wire.max_head == 65536
    assert written_out.tools["a"].body.limit == 1 << 20
    assert str(written_out.listen) == "127.0.0.1:8080"


EXAMPLE = (ROOT / "config.example.yaml").read_text()
POLICIES = [file.read_text() for file in sorted((ROOT / "policies" / "example").glob("*.yaml"))]
PIECES = st.sampled_from(
    ["", " ", "\n", "\n  ", ":", ": ", "- ", "{", "}", "[", "]", "'", '"', "*", "&a", "!", "|", ">-\n", "#", "\t",
     "---\n", "${env:X}", "${file:.}", "null", "true", "0", "-1", "1e999", "9" * 30, "é", "\x00", "name", "tools",
     "spec", "when: "]
)  # fmt: skip


@st.composite
def edited(draw: st.DrawFn, text: str) -> str:
    """The text with a few places cut, doubled or written over."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.sampled_from([0, 0, 1, 5, 40])))
        text = text[:at] + draw(st.one_of(PIECES, st.just(text[at:end] * 2))) + text[end:]
    return text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_edit_of_a_valid_configuration_gives_a_traceback(data: st.DataObject, tmp_path: Path) -> None:
    config = data.draw(st.one_of(st.just(EXAMPLE), edited(EXAMPLE)))
    policy = data.draw(st.sampled_from(POLICIES).flatmap(edited))
    path = written(tmp_path, config.replace("policies: ./policies", "policies: policies"), p=policy)
    try:
        loaded = load(path)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert "pydantic" not in str(problem).lower()
    else:
        assert loaded.tools


@pytest.mark.parametrize("other", ["log: {level: debug}", "listen: 127.0.0.1:8089", "wire: {drain: 5s}"])
def test_what_decides_nothing_makes_no_other_version(tmp_path: Path, other: str) -> None:
    first = load(written(tmp_path, CONFIG)).version
    assert load(written(tmp_path, f"{other}\n{CONFIG}")).version == first


def test_who_may_log_in_makes_no_other_version_and_a_tool_of_that_name_does(tmp_path: Path) -> None:
    """What waits for a person is bound to the version, and should not be void with each new user."""
    first = load(written(tmp_path, CONFIG)).version
    user = f"admin: {{users: [{{name: ada, sha256: {'a' * 64}, roles: [admin]}}]}}\n"
    assert load(written(tmp_path, user + CONFIG)).version == first
    for name in ("admin", "channels"):
        tool = f'  {name}: {{url: "http://127.0.0.1:%d"}}\n'
        assert load(written(tmp_path, CONFIG + tool % 1)).version != load(written(tmp_path, CONFIG + tool % 2)).version


def test_where_connections_may_go_is_said_for_all_tools_and_for_each(tmp_path: Path) -> None:
    loaded = load(
        written(
            tmp_path,
            """
tools:
  github: {url: "https://api.github.com"}
  inside:
    url: http://a.example
    connect: true
    egress: {private: allow, allow: [10.1.0.0/16], deny: ["::ffff:10.2.0.0/112"], tunnels: any}
egress: {private: deny, allow: [10.3.0.1/32], deny: [192.0.2.0/24], tunnels: ech}
""",
        )
    )
    github, inside = [tool.egress for tool in loaded.tools]
    assert (github.private, github.tunnels) == ("deny", "ech")
    assert (inside.private, inside.tunnels) == ("allow", "any")
    assert github.refusal("x", "10.3.0.1") == inside.refusal("x", "10.3.0.1") == inside.refusal("x", "10.1.9.9") == ""
    assert "denied range" in inside.refusal("x", "10.2.0.1")
    assert "private" in github.refusal("x", "10.2.0.1")
    assert "denied range" in github.refusal("x", "192.0.2.1")
    assert "denied range" in inside.refusal("x", "192.0.2.1")
