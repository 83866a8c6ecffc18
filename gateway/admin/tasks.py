"""``/api/runs/{agent}/{run}/task``: the platform puts a run in a task."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from gateway.admin.api import answer, body_of, changed
from gateway.admin.problems import Failure
from gateway.errors import StoreUnavailable
from gateway.stores.tasks import TaskBook


class Wanted(Struct, forbid_unknown_fields=True):
    """The task, by its name, and why."""

    task: str
    reason: str = ""
    by: str = ""


def add(app: web.Application, book: TaskBook) -> None:
    """Add the route."""

    async def assign(request: web.Request) -> web.Response:
        agent, run = request.match_info["agent"], request.match_info["run"]
        wanted = await body_of(request, Wanted)
        try:
            await book.assign(agent, run, wanted.task)
        except KeyError:
            raise Failure(404, f"there is no task {wanted.task[:100]!r}", "write a document of kind Task") from None
        except StoreUnavailable as error:
            raise Failure(503, f"the run is in no task, since that cannot be stored now: {error}") from None
        changed(request, wanted.by, f"put run {run} of agent {agent} in task {wanted.task}", wanted.reason[:500])
        return answer({"agent": agent, "run": run, "task": wanted.task})

    app.router.add_post("/runs/{agent}/{run}/task", assign)
