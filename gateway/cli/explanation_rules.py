"""What each rule made of a call, part by part, and what would have to be otherwise for it to say something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.config.load import Loaded
from gateway.model import Call
from gateway.policy.changes import Change, ways
from gateway.policy.rules import CompiledRule, Explained, RuleSet
from gateway.policy.schema import Policy
from gateway.policy.subexpressions import Dissection, Part
from gateway.policy.tokens import chains, tokenize
from gateway.policy.variables import PHASES, bind, binder

NEAREST = 3
"""Rules that are told where none refuses."""
REFUSING = frozenset({"deny", "approve"})

Lacking = Callable[[str], str]
"""What an expression would need that is not known, in words; empty where all is."""


def explained_rules(rules: RuleSet, call: Call, loaded: Loaded, lacking: Lacking) -> list[dict[str, Any]]:
    """Each rule as plain data; ``parts`` is its condition taken apart."""
    variables = {
        document.metadata.name: {one.name: one.expression for one in document.spec.variables}
        for document in loaded.documents
        if isinstance(document, Policy)
    }
    told = []
    for rule, said in zip(rules.rules, rules.explain(call), strict=True):
        own = variables[rule.policy]
        activation = loaded.book.engine.activation(bind(binder(rule.references), call))
        dissection = Dissection(loaded.book.engine, PHASES[rule.phase], own, activation, lacking)
        told.append(_rule(rule, said, own, dissection.of(rule.when), lacking))
    return told


def _rule(
    rule: CompiledRule, said: Explained, variables: dict[str, str], whole: Part, lacking: Lacking
) -> dict[str, Any]:
    result, message = said.result, said.message
    if lacking(rule.program.source):
        result = str(whole.value).lower() if isinstance(whole.value, bool) else f"unknown: {whole.error}"
        message = rule.message if result == "true" else ""
    named = {".".join(chain.names[:2]) for chain in chains(tokenize(said.when))}
    return {
        "policy": said.policy,
        "rule": said.rule,
        "then": said.verdict.value,
        "mode": said.mode.value,
        "outside_rollout": said.outside,
        "on_error": "ignore" if rule.ignore else "deny",
        "when": said.when,
        "variables": {name: expression for name, expression in variables.items() if f"variables.{name}" in named},
        "result": result,
        "message": message or None,
        "label": said.label or None,
        "quarantine": {"of": rule.quarantine, "seconds": rule.seconds or None} if rule.quarantine else None,
        "fields": list(said.fields),
        "annotations": dict(said.annotations),
        "read": {name: value for name, value in said.read.items() if not lacking(name)},
        "parts": _plain(whole),
        "to_be_true": [_set(changes) for changes in ways(whole, True)],
        "to_be_false": [_set(changes) for changes in ways(whole, False)],
    }


def _plain(part: Part) -> dict[str, Any]:
    outcome = {"error": part.error} if part.error else {"value": part.value}
    return {"kind": part.kind, "text": part.text, **outcome, "parts": [_plain(one) for one in part.parts]}


def _set(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Conditions that would have to change together."""
    return [
        {
            "condition": change.part.text,
            "wanted": change.wanted,
            "error": change.part.error or None,
            "values": {one.text: one.value for one in change.part.parts if not one.error and one.kind != "constant"},
        }
        for change in changes
    ]


def refuses(rule: dict[str, Any]) -> bool:
    """Whether an explained rule stands against the call."""
    if rule["mode"] != "Enforce" or rule["result"] == "false" or rule["result"].startswith("unknown: "):
        return False
    return bool(rule["then"] in REFUSING if rule["result"] == "true" else rule["on_error"] == "deny")


def undecided(rule: dict[str, Any]) -> bool:
    """Whether an explained rule could stand against the call, and it is not known whether it does."""
    could = rule["then"] in REFUSING or rule["on_error"] == "deny"
    return bool(rule["mode"] == "Enforce" and could and rule["result"].startswith("unknown: "))


def nearest_rules(rules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the rules that could have refused and are false: those that need the fewest changes to be true."""
    near = [
        rule
        for rule in rules
        if rule["mode"] == "Enforce" and rule["then"] in REFUSING and rule["result"] == "false" and rule["to_be_true"]
    ]
    return sorted(near, key=lambda rule: len(rule["to_be_true"][0]))[:NEAREST]
