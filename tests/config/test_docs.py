"""What a user may write is documented, and the documentation is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from gateway.config import marks
from gateway.config.load import attempt
from gateway.config.schema import Config, Lineage, Log, ModelRates, ToolConfig, Wire
from gateway.config.schema_admin import Admin, AdminTls, AdminUser, JwtConfig, KubernetesConfig, OidcConfig
from gateway.config.schema_coherence import ToolMemory, VersionExpression
from gateway.config.schema_flow import Flow, FlowSpec
from gateway.config.schema_identify import AgentJwt, Certificate, Identify, ListenTls, ServiceAccounts
from gateway.config.schema_record import AuditConfig, OtlpConfig, TraceConfig, TraceStoreConfig
from gateway.model import Reason
from gateway.policy.engine import EXPANDED_CAP, LOOP_CAP, NESTING_CAP, SOURCE_CAP
from gateway.policy.functions_net import URL_CAP
from gateway.policy.functions_shell import COMMAND_CAP
from gateway.policy.functions_sql import DIALECTS, QUERY_CAP
from gateway.policy.functions_text import GLOB_PATTERN_CAP, GLOB_TEXT_CAP, JSON_CAP, TEXTS_CAP
from gateway.policy.hints import FUNCTIONS, USAGE
from gateway.policy.schema import KINDS
from gateway.policy.tokens import LOOPS
from gateway.policy.variables import VARIABLES
from tests.config.support import GRANT, written

DOCS = Path(__file__).parents[2] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()
POLICIES = (DOCS / "policies.md").read_text()
ROW = re.compile(r"^\| `([a-zA-Z0-9_.]+)` \| (.+?) \| .+ \|$", re.MULTILINE)
DEFAULTS = dict(ROW.findall(CONFIGURATION))
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
TOOLS = re.compile(r"^tools:", re.MULTILINE)
"""What a configuration has, and nothing else."""
PARTNER = re.compile(r"^(tools|approvals):", re.MULTILINE)
"""What a policy belongs to that is tried with it; channels are by test_channels.py."""


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part)) is not None), None)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of every key below a model, sections themselves left out where they have no row of their own."""
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner not in (None, *ELSEWHERE):
            yield from keys(inner, f"{prefix}{name}.")
        if inner in (None, ModelRates) or f"{prefix}{name}" in DEFAULTS:
            yield f"{prefix}{name}"


ELSEWHERE = (ToolConfig, ModelRates, FlowSpec, ToolMemory, VersionExpression)
"""Sections with a table of their own."""
SECTIONS: dict[type[BaseModel], str] = {
    TraceStoreConfig: "trace.store.",  # before Config, whose default is not to have one
    OtlpConfig: "trace.otlp.",
    AuditConfig: "audit.",
    AdminUser: "admin.users.",
    JwtConfig: "admin.jwt.",
    OidcConfig: "admin.oidc.",
    KubernetesConfig: "admin.kubernetes.",
    AdminTls: "admin.tls.",
    Admin: "admin.",
    AgentJwt: "jwt.",  # before Identify, as the next two
    ServiceAccounts: "kubernetes.",
    Certificate: "certificate.",
    Flow: "flow.",
    FlowSpec: "label.",
    ToolMemory: "remembers.",
    ListenTls: "listen_tls.",
    Config: "",
    ToolConfig: "",
    ModelRates: "",
    Identify: "",
    Wire: "",
    TraceConfig: "trace.",
    Log: "log.",
    Lineage: "lineage.",
}


MINIMAL: dict[type[BaseModel], dict[str, Any]] = {
    JwtConfig: {"issuer": "https://a", "audience": ["b"], "roles": {"c": ["d"]}},
    OidcConfig: {"issuer": "https://a", "client_id": "b", "redirect_uri": "https://c", "roles": {"d": ["e"]}},
    KubernetesConfig: {"roles": {"a": ["b"]}},
    Admin: {},
    AgentJwt: {"issuer": "https://a", "audience": ["b"]},
    ServiceAccounts: {},
    Certificate: {"dns": "a"},
    Flow: {},
    FlowSpec: {},
    ToolMemory: {"writes": [{"operations": ["PUT *"], "key": "args.id"}]},
    ListenTls: {"cert_file": "a", "key_file": "b"},
}
"""The least that some sections have."""


@pytest.mark.parametrize("model", SECTIONS)
def test_every_key_of_the_configuration_has_a_row(model: type[BaseModel]) -> None:
    own = set(keys(model, SECTIONS[model]))
    if model is Config:
        own = {key for key in own if "." not in key} | set(Config.model_fields)
    assert own - set(DEFAULTS) == set()


def test_every_row_is_a_key() -> None:
    known = {key for model, prefix in SECTIONS.items() for key in keys(model, prefix)} | set(Config.model_fields)
    assert set(DEFAULTS) - known == set()


@pytest.mark.parametrize("key", [key for key, default in DEFAULTS.items() if default.startswith("`")])
def test_a_documented_default_is_the_default(key: str) -> None:
    for model, prefix in SECTIONS.items():
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and name.partition(".")[0] in model.model_fields and "keys." not in name:
            minimal: dict[str, Any] = (
                {"url": "http://a"} if model is ToolConfig else {"tools": {"a": {"url": "http://a"}}}
            )
            if model is ModelRates:
                minimal = {"input": 1}
            elif model is Identify:
                minimal = {}
                name = name.removeprefix("api_key.")
                model = model_in(Identify.model_fields["api_key"].annotation) or model
                minimal = {"keys": [{"sha256": "a" * 64, "agent": "b"}]}
            elif model is OtlpConfig:
                minimal = {"endpoint": "http://a"}
            elif model in MINIMAL:
                minimal = MINIMAL[model]
            elif model in (Wire, TraceConfig, TraceStoreConfig, AuditConfig, Log, Lineage):
                minimal = {}
            (written_out,), _ = marks.read(DEFAULTS[key].strip("`"))
            nested: Any = written_out.plain()
            for step in reversed(name.split(".")):
                nested = {step: nested}
            assert model.model_validate({**minimal, **nested}) == model.model_validate(minimal)
            return
    assert "keys." in key


def test_every_variable_is_documented_with_its_type() -> None:
    for variable in VARIABLES.values():
        assert f"| `{variable.name}` | {variable.type} |" in POLICIES, variable.name


def test_every_reason_is_documented() -> None:
    for reason in Reason:
        assert f"| `{reason.value}` |" in POLICIES, reason


def test_every_function_and_cap_is_documented() -> None:
    for name in FUNCTIONS | LOOPS | USAGE.keys():
        assert re.search(rf"`(\w+\.)?{name}\b", POLICIES), name
    of_functions = (JSON_CAP, GLOB_TEXT_CAP, GLOB_PATTERN_CAP, URL_CAP, COMMAND_CAP, QUERY_CAP, TEXTS_CAP)
    for cap in (SOURCE_CAP, EXPANDED_CAP, NESTING_CAP, LOOP_CAP, *of_functions):
        assert re.search(rf"\b{cap:,}\b", POLICIES), cap
    assert all(f"`{dialect}`" in POLICIES for dialect in DIALECTS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_policy_document_is_documented(kind: str) -> None:
    section = POLICIES.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    spec = model_in(KINDS[kind].model_fields["spec"].annotation)
    assert spec is not None
    for name in spec.model_fields:
        assert f"`{name}" in section, name


def examples() -> list[tuple[str, str]]:
    """Policies by page, but for those that follow a configuration: they are tried with it."""
    pairs = [(page.name, before, text) for page in PAGES for before, text in pairwise(["", *blocks(page)])]
    return [
        (page, text)
        for page, before, text in pairs
        if text.startswith("apiVersion: ") and "kind: Test" not in text and not PARTNER.search(before)
    ]


def test_every_example_of_a_policy_loads(tmp_path: Path) -> None:
    tools = {
        **dict.fromkeys(("github", "notes", "bank", "search", "files", "desk"), "http"),
        "mail": "mcp",
        "ci": "mcp",
        "anthropic": "anthropic",
        "openai": "openai",
    }
    config = "tools:\n" + "".join(
        f"  {name}: {{url: 'http://{name}', protocol: {protocol}}}\n" for name, protocol in tools.items()
    )
    assert len(examples()) >= len(KINDS)
    for page, text in examples():
        policies = {"grants": GRANT, "example": text} if "kind: Grant" not in text else {"example": text}
        for old in (tmp_path / "policies").glob("*"):
            old.unlink()
        made = attempt(written(tmp_path, config, **policies))
        assert [str(problem) for problem in [*made.errors, *made.warnings]] == [], (page, text)


EVERYBODY = "apiVersion: toolgate/v1\nkind: Grant\nmetadata: {name: all}\nspec: {agents: ['*'], tools: ['*']}\n"


def blocks(page: Path) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)


def configurations() -> list[Any]:
    """Every configuration on a page, with the policies that follow it where there are any."""
    found = []
    for page in PAGES:
        ours = blocks(page)
        for at, (text, after) in enumerate(pairwise([*ours, ""])):
            if TOOLS.search(text) and not text.startswith("version:"):  # that is a file of pins
                policies = after if after.startswith("apiVersion:") else EVERYBODY
                found.append(pytest.param(text, policies, id=f"{page.name}-{at}"))
    return found


@pytest.mark.parametrize(("config", "policies"), configurations())
def test_every_example_of_a_configuration_loads(
    config: str, policies: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in re.findall(r"\$\{env:(\w+)\}", config):
        monkeypatch.setenv(name, "secret")
    made = attempt(written(tmp_path, config, policies=policies))
    told = [str(problem) for problem in [*made.errors, *made.warnings]]
    assert [text for text in told if "write it with toolgate tools pin" not in text] == []  # pins are not of a page
