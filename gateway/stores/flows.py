"""The flows of all runs under way: bounded, and shared fairly among agents. Implements ``ports.Flows``."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.flow.labels import FlowMap
from gateway.flow.run import RunFlow
from gateway.flow.vouched import Vouched
from gateway.model import Call, FlowLabels
from gateway.policy.globs import matches_any
from gateway.policy.guards import short
from gateway.stores.shares import Shares

MOST_RUNS = 2_000
MOST_MARKED = 50_000
"""Runs whose labels are kept after all else of them was forgotten: who begins many runs must not lose those of one."""
MOST_BYTES = 64 << 20
PROMPT, SIGNATURE = b"x-toolgate-prompt", b"x-toolgate-prompt-signature"
PLAIN = "text/plain"
_LONGEST_RUN = 128
_CHATS = ("/chat/completions", "/responses", "/messages", ":generateContent", ":streamGenerateContent")
"""Operations of models that answer a user. What is embedded, say, is anything but a user's word."""

Endorsed = Callable[[tuple[str, str], Any], bool]


def _nobody(tree: tuple[str, str], value: Any) -> bool:  # noqa: ARG001
    return False


class FlowBook:
    """Flows by tree of runs. ``adopt`` takes over what a new version of the configuration says."""

    def __init__(self, most: int = MOST_RUNS, most_bytes: int = MOST_BYTES, endorsed: Endorsed = _nobody) -> None:
        """``endorsed`` tells of a tree of runs and a value whether a person has vouched for that."""
        self._runs: Shares[tuple[str, str], RunFlow] = Shares(most)
        self._marks: Shares[tuple[str, str], tuple[str, ...]] = Shares(MOST_MARKED)
        self._most_bytes, self._endorsed = most_bytes, endorsed
        self._sizes: dict[tuple[str, str], int] = {}
        self._by_agent: Counter[str] = Counter()
        self._size = 0
        self._maps: Mapping[str, FlowMap] = {}
        self._trusted: Sequence[str] = ()
        self._vouched = Vouched(())
        self._key = b""

    def adopt(self, maps: Mapping[str, FlowMap], trusted: Sequence[str], values: Sequence[str], key: bytes) -> None:
        """``maps`` are the labels of each tool; ``trusted`` globs of sources; ``values`` what the operator vouches for;
        ``key`` proves what the platform hands over."""
        self._maps, self._trusted, self._key = maps, tuple(trusted), key
        self._vouched = Vouched(values)

    @property
    def size(self) -> int:
        """Bytes that were remembered when each run was last entered."""
        return self._size

    def of(self, agent: str, run: str) -> RunFlow:
        """The flow of this run, from its beginning on."""
        key = (agent, run)
        flow = self._runs.use(key)
        if flow is None:
            kept = (agent, run if len(run) <= _LONGEST_RUN else short(run))
            marked = partial(self._marks.put, agent, kept)
            flow = RunFlow(self._labels, self._trusts, lambda: self._vouched, partial(self._endorsed, key), marked)
            flow.labels = self._marks.use(kept) or ()
            gone = self._runs.put(agent, key, flow)
            if gone is not None:
                self._forget(gone)
        self._weigh(key, flow.size)
        return flow

    def hand_over(self, agent: str, run: str, prompt: str) -> None:
        """What the user said in this run, by the word of the platform."""
        self.of(agent, run).hear("user", (), prompt.encode("utf-8", "surrogatepass"), PLAIN)

    def enter(self, call: Call) -> RunFlow:
        """The flow of the call's run, which hears what the call itself tells.

        What goes to a model counts only at the root of a tree of runs: below it, the "user" is another agent.
        """
        flow = self.of(*call.tree)
        prompt = call.request.lookup.get(PROMPT)
        if prompt is not None and self._genuine(call, prompt):
            flow.hear("user", (), _decoded(prompt), PLAIN)
        if call.facts and not call.run.root:
            for source, text in _said(call):
                flow.relayed(source, text)
        return flow

    def _weigh(self, key: tuple[str, str], size: int) -> None:
        """Count what the run takes; where all take too much, the agent that takes most loses its oldest run."""
        more = size - self._sizes.get(key, 0)
        self._by_agent[key[0]] += more
        self._size += more
        self._sizes[key] = size
        while self._size > self._most_bytes:
            agent = max(self._by_agent, key=self._by_agent.__getitem__)
            oldest = self._runs.oldest_of(agent)
            if oldest is None or oldest == key:
                return
            self._runs.pop(oldest)
            self._forget(oldest)

    def _forget(self, key: tuple[str, str]) -> None:
        size = self._sizes.pop(key, 0)
        self._by_agent[key[0]] -= size
        self._size -= size
        if self._by_agent[key[0]] <= 0:
            del self._by_agent[key[0]]

    def _genuine(self, call: Call, prompt: bytes) -> bool:
        """Whether the platform has signed this prompt for this run of this agent (HMAC-SHA256, in hex)."""
        if not self._key:
            return False
        agent, run = call.tree
        about = b"\0".join([agent.encode(), run.encode(), prompt])
        told = hmac.new(self._key, about, hashlib.sha256).hexdigest().encode()
        return hmac.compare_digest(call.request.lookup.get(SIGNATURE, b""), told)

    def _labels(self, call: Call) -> FlowLabels:
        return self._maps[call.tool.name].of(call.operation)

    def _trusts(self, source: str) -> bool:
        return matches_any(self._trusted, source) or matches_any(self._trusted, source.partition("/")[0])


def _decoded(prompt: bytes) -> bytes:
    """Of base64url; nothing where it is none."""
    try:
        return urlsafe_b64decode(prompt + b"=" * (-len(prompt) % 4))
    except ValueError:
        return b""


def _said(call: Call) -> list[tuple[str, str]]:
    """What user and system said, on its way to a model."""
    said: list[tuple[str, str]] = []
    if not call.operation.endswith(_CHATS):
        return said
    if system := call.facts.get("llm.system"):
        said.append(("system", str(system)))
    for message in call.facts.get("llm.messages") or ():
        role = message.get("role")
        text = message.get("said", message.get("content"))
        if role in ("user", "system", "developer") and text:
            said.append(("user" if role == "user" else "system", str(text)))
    return said
