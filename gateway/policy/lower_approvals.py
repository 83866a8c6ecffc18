"""From documents of kind Approval to the terms that a call is asked about on."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import Attention, Escalation
from gateway.policy.complaints import Complaints, Path
from gateway.policy.engine import BOOL, DOUBLE, DYN, INT, UINT, CelEngine, CelError, CelType, Program
from gateway.policy.globs import glob_regex
from gateway.policy.governors import CompiledApproval
from gateway.policy.people import PEOPLE
from gateway.policy.schema_approvals import Approval
from gateway.policy.variables import TYPES


def approval_of(index: int, model: Approval, engine: CelEngine, complaints: Complaints) -> CompiledApproval:
    """The document compiled; expressions that do not compile are complained of."""
    spec = model.spec
    path: Path = ("spec",)

    def compiled(
        text: str | None, at: Path, types: Mapping[str, CelType], kinds: tuple[CelType, ...], what: str
    ) -> Program | None:
        if text is None:
            return None
        try:
            program = engine.compile(text, types)
        except CelError as error:
            complaints.cel(index, at, error)
            return None
        if program.type not in kinds:
            complaints.error(index, at, f"it must give {what}, not {program.type}")
        return program

    compiled(spec.who, (*path, "who"), PEOPLE, (BOOL,), "true or false")
    for number, step in enumerate(spec.escalate):
        compiled(step.who, (*path, "escalate", number, "who"), PEOPLE, (BOOL,), "true or false")
    impact = compiled(spec.impact, (*path, "impact"), TYPES, (INT, UINT, DOUBLE, DYN), "a number")
    attention = spec.attention
    return CompiledApproval(
        model.metadata.name,
        tuple(glob_regex(pattern) for pattern in spec.agents),
        tuple(glob_regex(pattern) for pattern in spec.rules),
        spec.who or "",
        spec.hold,
        spec.expires,
        spec.valid,
        spec.approvers,
        spec.timeout,
        impact,
        spec.notify,
        tuple(Escalation(step.after, step.who or "", step.notify) for step in spec.escalate),
        None
        if attention is None
        else Attention(
            model.metadata.name,
            attention.per_hour or 0,
            attention.per_approver or 0,
            attention.beyond,
            attention.sample if attention.beyond == "sample" else 0.0,
        ),
        spec.canary,
        impact.references if impact is not None else frozenset(),
    )
