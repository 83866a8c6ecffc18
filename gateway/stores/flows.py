"""The flows of all runs under way: bounded, and shared fairly among agents. Implements ``ports.Flows``."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence

import orjson

from gateway.flow.labels import FlowMap
from gateway.flow.run import RunFlow
from gateway.model import Call, FlowLabels
from gateway.policy.globs import matches_any
from gateway.stores.shares import Shares

MOST_RUNS = 2_000
PROMPT, SIGNATURE = b"x-toolgate-prompt", b"x-toolgate-prompt-signature"
JSON = "application/json"


class FlowBook:
    """Flows by tree of runs. ``adopt`` takes over what a new version of the configuration says."""

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._runs: Shares[tuple[str, str], RunFlow] = Shares(most)
        self._maps: Mapping[str, FlowMap] = {}
        self._trusted: Sequence[str] = ()
        self._values: bytes = b""
        self._key = b""

    def adopt(self, maps: Mapping[str, FlowMap], trusted: Sequence[str], values: Sequence[str], key: bytes) -> None:
        """``maps`` are the labels of each tool; ``trusted`` globs of sources; ``values`` what the operator vouches for;
        ``key`` proves what the platform hands over."""
        self._maps, self._trusted, self._key = maps, tuple(trusted), key
        self._values = orjson.dumps(list(values)) if values else b""

    def of(self, agent: str, run: str) -> RunFlow:
        """The flow of this run, from its beginning on."""
        key = (agent, run)
        flow = self._runs.use(key)
        if flow is None:
            flow = RunFlow(self._labels, self._trusts)
            if self._values:
                flow.hear("operator", (), self._values, JSON)
            self._runs.put(agent, key, flow)
        return flow

    def enter(self, call: Call) -> RunFlow:
        """The flow of the call's run, which hears what the call itself tells."""
        flow = self.of(*call.tree)
        prompt = call.request.lookup.get(PROMPT)
        if prompt is not None and self._genuine(call, prompt):
            flow.hear("user", (), _decoded(prompt), "text/plain")
        for source, text in _said(call):
            flow.hear(source, (), text.encode("utf-8", "surrogatepass"), "text/plain")
        return flow

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
    said = []
    if system := call.facts.get("llm.system"):
        said.append(("system", str(system)))
    for message in call.facts.get("llm.messages") or ():
        role = message.get("role")
        if role in ("user", "system", "developer") and message.get("content"):
            said.append(("user" if role == "user" else "system", str(message["content"])))
    return said
