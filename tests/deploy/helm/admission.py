"""Admission policies of Kubernetes, evaluated here: matchConditions, variables, validations and JSON patches.

The engine is cel-python's, which knows no types of Kubernetes: ``JSONPatch{...}`` becomes a map of the same keys.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any

import jsonpatch
from cel_expr_python import cel

Json = dict[str, Any]
NAMES = ("object", "oldObject", "request", "variables")
_ENGINE = cel.NewEnv(variables=dict.fromkeys(NAMES, cel.Type.DYN))
_PATCH = re.compile(r"JSONPatch\{op: (.+?), path: (.+?), value: ")


def denied(policy: Json, pod: Json, old: Json | None = None) -> list[str]:
    """Messages of a ValidatingAdmissionPolicy; none where the pod may be made, or changed from what it was."""
    known: Json = {"object": pod, "oldObject": old, "request": {"operation": "UPDATE" if old else "CREATE"}}
    if not _concerned(policy, known):
        return []
    _define(policy, known)
    return [one["message"] for one in policy["spec"]["validations"] if not _value(one["expression"], known)]


def mutated(policies: list[Json], pod: Json) -> Json:
    """What MutatingAdmissionPolicies make of a pod; the pod as it is, where none is about it."""
    for policy in policies:
        known: Json = {"object": pod}
        if _concerned(policy, known):
            _define(policy, known)
            for mutation in policy["spec"]["mutations"]:
                patch = _value(
                    _PATCH.sub(r'{"op": \1, "path": \2, "value": ', mutation["jsonPatch"]["expression"]), known
                )
                known["object"] = jsonpatch.apply_patch(copy.deepcopy(known["object"]), patch)
            pod = known["object"]
    return pod


def _concerned(policy: Json, known: Json) -> bool:
    return all(_value(one["expression"], known) for one in policy["spec"].get("matchConditions", []))


def _define(policy: Json, known: Json) -> None:
    """Variables, in their order; each may use those before."""
    known["variables"] = {}
    for variable in policy["spec"].get("variables", []):
        known["variables"][variable["name"]] = _value(variable["expression"], known)


def _value(expression: str, known: Json) -> Any:
    """Raises ValueError: it is an error; the API server would refuse the pod for it."""
    found = _program(expression).eval(data={name: known.get(name) for name in NAMES})
    if found.type() == cel.Type.ERROR:
        raise ValueError(f"{found.plain_value()} in {expression}")
    return found.plain_value()


@cache
def _program(expression: str) -> Any:
    return _ENGINE.compile(expression)
