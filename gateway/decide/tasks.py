"""Tasks: a run that is about one task may do only what that needs, whatever its agent may do otherwise."""

from __future__ import annotations

from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import Call, Reason, Refusal
from gateway.policy.book import PolicyBook
from gateway.policy.engine import EvaluationError
from gateway.policy.tasks import CompiledAllowance, CompiledTask

_STAY = "do not retry; do what the task needs, with what it allows"
_STOP = "stop here: sum up what was reached, and what is left to be done"


class Tasks:
    """Refuses what lies outside of a run's task. Looked at after the grants, which hold besides."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self._tasks = {task.name: task for task in book.every(CompiledTask)}
        self._required = tuple([task for task in self._tasks.values() if task.required])
        self._reached: dict[tuple[str, str], bool] = {}
        """By task and tool: whether the task allows anything of the tool. Both are the operator's."""

    def judge(self, call: Call) -> Judgement:
        """Where there is no task, that is refused to agents that must have one."""
        name = call.run.task
        if not name:
            required = next((task for task in self._required if task.names(call.agent)), None)
            return NOTHING if required is None else _refused(required.name, _MISSING, _TELL)
        task = self._tasks.get(name)
        if task is None:
            return _refused(name, f"there is no task {name!r} any more", _STOP)
        if task.duration and call.run.task_age > task.duration:
            return _refused(name, f"the time of the task {name!r} ({task.duration:g} s) is over", _STOP)
        why = self._outside(call, name)
        return NOTHING if why is None else _refused(name, why, _STAY)

    def _outside(self, call: Call, task: str) -> str | None:
        """Why the call is outside of the task; None where it is not."""
        tool, operation = call.tool.name, call.operation
        failed = ""
        for allowance in self._allowances(call, task):
            try:
                if allowance.allows(call):
                    return None
            except EvaluationError as error:
                failed = f"; a condition could not be evaluated: {error.message}"
        if call.implied and self._reaches(task, tool):
            return None
        return f"the run's task {task!r} does not allow {operation[:200]!r} on tool {tool!r}{failed}"

    def lists(self, listed: Call) -> bool:
        """Whether the run may be offered an operation."""
        task = listed.run.task
        return not task or any(allowance.offers(listed) for allowance in self._allowances(listed, task))

    def _allowances(self, call: Call, task: str) -> list[CompiledAllowance]:
        found = self._book.governors(CompiledAllowance, call.tool.name, call.operation, implied=call.implied)
        return [allowance for allowance in found if allowance.task == task]

    def _reaches(self, task: str, tool: str) -> bool:
        known = self._reached.get((task, tool))
        if known is None:
            allowances = self._book.every(CompiledAllowance)
            known = any(one.task == task and one.reaches(tool) for one in allowances)
            self._reached[task, tool] = known
        return known


_MISSING = "this agent may call something only in a task, and its run is in none"
_TELL = "name the run's task in X-Toolgate-Task, or have the platform put the run in one"


def _refused(task: str, why: str, advice: str) -> Judgement:
    return Judgement(Refusal(Reason.OUTSIDE_TASK, 403, why, f"task/{task}", advice=advice))
