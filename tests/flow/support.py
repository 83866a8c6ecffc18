"""A run that is told things, and asked where values come from."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.flow.run import RunFlow
from gateway.flow.vouched import Vouched
from gateway.model import Call, FlowLabels

JSON, TEXT = "application/json", "text/plain"
STRANGE, OWN = ("untrusted",), ("trusted",)


class Told:
    """A flow of one run."""

    def __init__(self, *vouched: str, directs: tuple[str, ...] = (), endorsed: Any = None) -> None:
        labels = FlowLabels(("*",), (), "", directs)
        known = Vouched(vouched)
        self.flow = RunFlow(lambda _: labels, lambda _: False, lambda: known, lambda value: value == endorsed)

    def user(self, text: str) -> Told:
        self.flow.hear("user", (), text.encode(), TEXT)
        return self

    def relayed(self, text: str) -> Told:
        self.flow.relayed("user", text)
        return self

    def stranger(self, said: Any, kind: str = JSON) -> Told:
        return self._tool("mail/read", STRANGE, said, kind)

    def ours(self, said: Any, kind: str = JSON) -> Told:
        return self._tool("book/find", OWN, said, kind)

    def agent(self, **args: Any) -> Told:
        self.flow.say([args])
        return self

    def _tool(self, source: str, labels: tuple[str, ...], said: Any, kind: str) -> Told:
        self.flow.hear(source, labels, orjson.dumps(said) if kind == JSON else said.encode(), kind)
        return self

    def __call__(self, value: Any) -> dict[str, Any]:
        return dict(self.flow.origin(value))

    def trusts(self, value: Any) -> bool:
        return bool(self(value)["trusted"])

    def links(self, value: Any) -> bool:
        return bool(self(value)["linked"])

    def of(self, call: Call) -> list[str]:
        return list(self.flow.unproven(call))
