"""Which run is in which task. Implements ``ports.Tasks``.

The platform says so by a signature with each call, or once over the admin API: that is on the board, so it holds for
all replicas and, where the state does, for restarts. What an agent says of its own run only narrows, and is kept in
memory: agents make up runs.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from gateway.errors import Refused
from gateway.model import Call, Reason
from gateway.policy.guards import short
from gateway.policy.tasks import CompiledTask
from gateway.ports import Board, Clock
from gateway.stores.shares import Shares

HEADER, SIGNATURE = b"x-toolgate-task", b"x-toolgate-task-signature"
KIND = "task"
MOST_RUNS = 10_000
KEPT = 30 * 86400.0
"""Seconds for which the board keeps what the platform has said of a run."""

log = logging.getLogger("toolgate.state")

Tree = tuple[str, str]


class Placed(Struct, frozen=True):
    """The task of a run. ``at`` is in seconds since the epoch; ``platform``: the platform has said so."""

    task: str
    at: float
    platform: bool = False


class TaskBook:
    """Tasks of runs, by agent and run. ``wall`` gives seconds since the epoch."""

    def __init__(self, wall: Clock, board: Board | None = None) -> None:
        """Without a board, what the platform says holds here only."""
        self._wall, self._board = wall, board
        self._tasks: Mapping[str, CompiledTask] = {}
        self._key = b""
        self._said: Shares[Tree, Placed] = Shares(MOST_RUNS)
        self._assigned: dict[Tree, Placed] = {}
        """As the board has it."""

    def adopt(self, tasks: Iterable[CompiledTask], key: bytes) -> None:
        """Take over a version of the policies. ``key`` proves what the platform says; empty: nothing is proved."""
        self._tasks, self._key = {task.name: task for task in tasks}, key

    def start(self) -> None:
        """Learn what stands on the board, and what comes to stand."""
        if self._board is None:
            return
        for key, value in self._board.entries(KIND).items():
            self._hear(key, value)
        self._board.watch(KIND, self._hear)

    async def assign(self, agent: str, run: str, task: str) -> None:
        """Put a run, with all that it leads to, in a task; it stays in it.

        Raises:
            KeyError: there is no such task.
            StoreUnavailable: it is not stored, and does not hold.
        """
        seconds = max(KEPT, self._tasks[task].duration)
        tree, placed = self._place(agent, run, task)
        if self._board is not None:
            await self._board.post(KIND, msgspec.json.encode(tree).decode(), msgspec.json.encode(placed), seconds)
        self._assigned[tree] = placed

    def put(self, agent: str, run: str, task: str) -> None:
        """As ``assign``, here only, whether there is such a task or not."""
        tree, placed = self._place(agent, run, task)
        self._assigned[tree] = placed

    def _place(self, agent: str, run: str, task: str) -> tuple[Tree, Placed]:
        """What is to stand: since when it has, where it stands already."""
        tree = agent, short(run)
        standing = self._assigned.get(tree)
        at = standing.at if standing is not None and standing.task == task else self._wall()
        return tree, Placed(task, at, True)

    def enter(self, call: Call) -> tuple[str, float, tuple[str, ...]]:
        """The task of the call's run, seconds since it is in it, and the labels that it then has.

        Raises:
            Refused: the call names another task than the run is in, or one that the run cannot be put in.
        """
        own = call.agent.id, short(call.run.id)
        root = call.tree[0], short(call.tree[1])
        named = call.request.lookup.get(HEADER)
        standing = self._standing(root) or (self._standing(own) if own != root else None)
        if named is None and standing is None:
            return "", 0.0, ()
        if named is not None:
            standing = self._named(call, named.decode("latin-1"), own, standing)
        if standing is None:
            return "", 0.0, ()
        task = self._tasks.get(standing.task)
        return standing.task, max(0.0, self._wall() - standing.at), () if task is None else task.labels

    def _standing(self, tree: Tree) -> Placed | None:
        if not tree[1]:
            return None  # calls without a run are each by itself
        return self._assigned.get(tree) or self._said.use(tree)

    def _named(self, call: Call, name: str, own: Tree, standing: Placed | None) -> Placed:
        """The run's task, after a call that names one."""
        signed = self._signed(call, name)
        if standing is not None and (standing.task == name or standing.platform or not signed):
            if standing.task != name:
                raise _refused(standing.task, f"the run is in the task {standing.task!r}, and stays in it")
            if standing.platform or not signed:
                return standing
        task = self._tasks.get(name)
        if task is None:
            raise _refused("", f"there is no task {name[:100]!r}")
        if not task.names(call.agent):
            raise _refused(name, f"the task {name!r} is not for agent {call.agent.id!r}")
        if task.platform and not signed:
            raise _refused(name, f"only the platform puts runs in the task {name!r}")
        since = standing.at if standing is not None and standing.task == name else self._wall()
        placed = Placed(name, since, signed)
        if own[1]:
            self._said.put(own[0], own, placed)
        return placed

    def _signed(self, call: Call, name: str) -> bool:
        """Whether the platform has signed this task for this run of this agent (HMAC-SHA256, in hex)."""
        shown = call.request.lookup.get(SIGNATURE)
        if not self._key or shown is None:
            return False
        about = f"task\0{call.agent.id}\0{call.run.id}\0{name}".encode("utf-8", "surrogatepass")
        return hmac.compare_digest(shown, hmac.new(self._key, about, hashlib.sha256).hexdigest().encode())

    def _hear(self, key: str, value: bytes | None) -> None:
        try:
            agent, run = msgspec.json.decode(key, type=tuple[str, str])
            placed = None if value is None else msgspec.json.decode(value, type=Placed)
        except (msgspec.DecodeError, ValueError):
            log.warning("a task in the state cannot be read: %.200r", key)
            return
        if placed is None:
            self._assigned.pop((agent, run), None)
        else:
            self._assigned[agent, run] = placed


def _refused(task: str, why: str) -> Refused:
    advice = "leave X-Toolgate-Task away, or name the task that the run is in"
    return Refused(Reason.OUTSIDE_TASK, 403, why, advice, rule=f"task/{task}" if task else "task")
