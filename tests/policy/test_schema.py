"""What a document may look like, and the JSON Schema that says the same."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from gateway.policy.schema import DOCUMENT, schema_json

from .support import document, policy

GOOD = [
    policy("p", "true"),
    policy("p", "true", mode="Audit", failurePolicy="Ignore", match={"tools": ["bank"], "operations": ["GET *"]}),
    document("Grant", "g", agents=["a-*"], tools=["*"]),
    document("Grant", "g", roles=["r"], tools=["bank"], operations=["POST /x"]),
    document("Limit", "l", per=["agent", "args.x"], rate="10/s"),
    document("Limit", "l", per=[], rate="10/m", burst=3, mode="wait", max_wait="250ms"),
    document("Breaker", "b", per=["tool", "operation"], failures=3, rate="50%", window="30s", slow="1s", slow_rate=0.5),
]
BAD: list[tuple[dict[str, Any], str]] = [
    (policy("p"), "at least 1"),
    (policy("p", "true", mode="audit"), "'Enforce', 'Audit' or 'Warn'"),
    (policy("bad name", "true"), "pattern"),
    ({**policy("p", "true"), "kind": "Quota"}, "'Policy', 'Grant', 'Limit', 'Breaker'"),
    ({**policy("p", "true"), "apiVersion": "v2"}, "toolgate/v1"),
    ({**policy("p", "true"), "extra": 1}, "not permitted"),
    (document("Policy", "p", rules=[{"name": "r", "when": True, "then": "deny"}]), "string"),
    (document("Policy", "p", rules=[{"name": "r", "when": "true", "then": "hide"}]), "'wrap', 'label' or 'warn'"),
    (document("Grant", "g", tools=["*"]), "names nobody"),
    (document("Grant", "g", agents=["a"]), "required"),
    (document("Grant", "g", agents=["[ab]"], tools=["*"]), "one pattern for each case"),
    (document("Grant", "g", agents="a", tools=["*"]), "tuple"),
    (document("Grant", "g", agents=["a"], tools=[]), "at least 1"),
    (document("Limit", "l", rate="10/s"), "required"),
    (document("Limit", "l", per=[], rate="10"), "write 10/s"),
    (document("Limit", "l", per=[], rate="10/s", burst=0), "greater than or equal to 1"),
    (document("Limit", "l", per=[], rate="10/s", max_wait="5s"), "no effect"),
    (document("Breaker", "b", window="0s"), "greater than 0"),
    (document("Breaker", "b", rate="200%"), "write 50%"),
    (document("Breaker", "b", per=["operation"]), "[tool, operation]"),
    (document("Breaker", "b", slow="1s"), "belong together"),
]


@pytest.mark.parametrize("raw", GOOD)
def test_what_the_model_takes_the_json_schema_takes(raw: dict[str, Any]) -> None:
    DOCUMENT.validate_python(raw)
    jsonschema.Draft202012Validator(schema_json()).validate(raw)


@pytest.mark.parametrize(("raw", "says"), BAD)
def test_what_the_model_refuses_it_refuses_in_words(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DOCUMENT.validate_python(raw)
    assert says in str(caught.value)


def test_the_json_schema_is_valid_and_tells_the_kinds_apart() -> None:
    schema = schema_json()
    jsonschema.Draft202012Validator.check_schema(schema)
    kinds = {"Policy", "Grant", "Limit", "Breaker", "Cap", "Budget", "Loop", "Retry", "Pool", "Run", "Approval", "Task"}
    assert set(schema["discriminator"]["mapping"]) == kinds


def test_every_key_has_a_description_for_the_editor() -> None:
    exempt = {"kind", "metadata", "spec", "match", "variables", "rules", "expression"}
    missing = [
        f"{name}.{key}"
        for name, model in schema_json()["$defs"].items()
        for key, field in model["properties"].items()
        if "description" not in field and key not in exempt
    ]
    assert missing == []


def test_documents_are_frozen_all_the_way_down() -> None:
    model = DOCUMENT.validate_python(document("Grant", "g", agents=["a"], tools=["*"]))
    assert isinstance(model.spec.tools, tuple)  # type: ignore[union-attr]
    with pytest.raises(ValidationError):
        model.metadata = None  # type: ignore[assignment]
