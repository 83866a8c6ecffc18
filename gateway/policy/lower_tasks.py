"""From documents of kind Task to the form that a call is held against."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.policy.book import Scoped
from gateway.policy.complaints import Complaints, Path
from gateway.policy.engine import BOOL, DYN, CelEngine, CelError
from gateway.policy.globs import glob_regex
from gateway.policy.governors import CompiledBudget, Governor
from gateway.policy.guards import PARTS
from gateway.policy.lower_governors import FORGOTTEN, settings_of
from gateway.policy.schema_tasks import Task, TaskAllowance
from gateway.policy.tasks import CompiledAllowance, CompiledTask
from gateway.policy.variables import TYPES, binder

_EVERYTHING = ("*",)
_ANYBODY = (glob_regex("*"),)


def task_of(index: int, model: Task, engine: CelEngine, complaints: Complaints) -> Iterator[Scoped[Governor]]:
    """The task, what it allows, and its budget; an expression that does not compile is complained of, and what it
    would allow left out."""
    spec, name = model.spec, model.metadata.name
    agents = tuple(glob_regex(pattern) for pattern in spec.agents)
    roles = tuple(glob_regex(pattern) for pattern in spec.roles)
    task = CompiledTask(
        name, agents, roles, spec.duration or 0.0, spec.labels, spec.required, spec.assigned == "platform"
    )
    yield Scoped(_EVERYTHING, _EVERYTHING, task)
    for number, allowance in enumerate(spec.allow):
        path: Path = ("spec", "allow", number, "when")
        made = _allowance(name, allowance, path, index, engine, complaints)
        if made is not None:
            yield Scoped(allowance.tools, allowance.operations, made)
    if (budget := spec.budget) is not None:
        settings = settings_of(budget, "total", FORGOTTEN)
        counted = CompiledBudget(
            f"task/{name}", agents if not roles else _ANYBODY, (PARTS["run"],), settings, task=name
        )
        yield Scoped(_EVERYTHING, _EVERYTHING, counted)


def _allowance(
    task: str, allowance: TaskAllowance, path: Path, index: int, engine: CelEngine, complaints: Complaints
) -> CompiledAllowance | None:
    if allowance.when is None:
        return CompiledAllowance(task, allowance.tools)
    try:
        program = engine.compile(allowance.when, TYPES)
    except CelError as error:
        complaints.cel(index, path, error)
        return None
    if program.type not in (BOOL, DYN):
        complaints.error(index, path, f"when must give a {BOOL}, not {program.type}")
        return None
    read = program.references
    return CompiledAllowance(task, allowance.tools, program, binder(read), engine.activation, read)
