"""Agents that count in a note of a tool that knows no versions: read, think, write one more."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .gateway import Gateway, call
from .http1 import Message
from .net import PATIENCE, Ended
from .notes import Notes


class HeldNotes(Notes):
    """Whoever counts here gets into the others' way, whatever the machine: no write of a key is carried out before so
    many have read it (``crowds``); and ``hold`` stops one."""

    def __init__(self) -> None:
        super().__init__()
        self.crowds: dict[str, tuple[int, threading.Event]] = {}
        self._readers: dict[str, int] = {}
        self._held: dict[str, tuple[threading.Event, threading.Event]] = {}
        self._lost: set[str] = set()
        self.before = self._wait
        self._server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]

    def crowd(self, key: str, readers: int) -> None:
        """Let so many read it first."""
        self.crowds[f"/notes/{key}"] = (readers, threading.Event())

    def hold(self, key: str) -> tuple[threading.Event, Callable[[bool], None]]:
        """Stop the next write of it: an event that tells that it is there, and what lets it go on: it is carried out,
        or never will be."""
        there, go = threading.Event(), threading.Event()
        path = f"/notes/{key}"
        self._held[path] = there, go

        def release(carried_out: bool) -> None:
            if not carried_out:
                self._lost.add(path)
            go.set()

        return there, release

    def _wait(self, method: str, path: str) -> None:
        if method != "PUT":
            return
        if path in self.crowds:
            assert self.crowds[path][1].wait(PATIENCE), "not all have read it"
        there, go = self._held.pop(path, (None, None))
        if there is not None and go is not None:
            there.set()
            assert go.wait(PATIENCE), "it was never let go"
            if path in self._lost:
                raise ConnectionAbortedError

    def answer(
        self, method: str, path: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:  # fmt: skip
        """As the others, counting who has read."""
        found = super().answer(method, path, fields, body)
        if method == "GET" and path in self.crowds:
            self._readers[path] = self._readers.get(path, 0) + 1
            if self._readers[path] >= self.crowds[path][0]:
                self.crowds[path][1].set()
        return found


class Counter:
    """One agent with one run, who asks the first of these gateways that is there (``moves``: by turns)."""

    def __init__(self, name: str, tool: str, gateways: Sequence[Gateway], *, moves: bool = False) -> None:
        self.name, self.tool, self.gateways, self.moves = name, tool, list(gateways), moves
        self.acknowledged = self.refused = self.unknown = 0
        """Writes that were made, that were not, and of which nobody heard the end."""

    def count(self, key: str, times: int) -> None:
        """Add one, so often; what is refused is read again."""
        for _ in range(times):
            while not self._add(key):
                threading.Event().wait(0.01)

    def _add(self, key: str) -> bool:
        seen = self._ask("GET", key)
        if seen is None:
            return False
        assert seen.status == 200, (seen.status, seen.body)
        answer = self._ask("PUT", key, int(seen.json()["text"]) + 1)
        if answer is None:
            self.unknown += 1
            return True
        if answer.status == 200:
            self.acknowledged += 1
            return True
        assert answer.status in (412, 428), (answer.status, answer.body)
        assert "read it" in answer.json()["advice"]
        self.refused += 1
        return False

    def _ask(self, method: str, key: str, number: int | None = None) -> Message | None:
        """The answer; None where the gateway went away meanwhile."""
        if self.moves:
            self.gateways.append(self.gateways.pop(0))
        body = b"" if number is None else json.dumps({"text": str(number)}).encode()
        fields = [("x-agent-id", self.name), ("x-run-id", f"run-{self.name}"), ("content-type", "application/json")]
        for gateway in self.gateways:
            try:
                return call(gateway, method, f"/{self.tool}/notes/{key}", fields, body)
            except ConnectionRefusedError:
                continue
            except (Ended, OSError):
                return None
        raise AssertionError("no gateway is there")


def together(*doing: Callable[[], None]) -> list[threading.Thread]:
    """Begin all of it at once; ``finish`` waits for the end."""
    threads = [_Doing(each) for each in doing]
    for thread in threads:
        thread.start()
    return [*threads]


def finish(threads: Sequence[threading.Thread]) -> None:
    """Wait for all; what fails in one fails here."""
    for thread in threads:
        thread.join()
    for thread in threads:
        assert isinstance(thread, _Doing)
        if thread.failure is not None:
            raise thread.failure


class _Doing(threading.Thread):
    def __init__(self, what: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._what, self.failure = what, None
        self.failure: BaseException | None

    def run(self) -> None:
        try:
            self._what()
        except BaseException as error:
            self.failure = error
