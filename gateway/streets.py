"""What stands along the way of calls to each tool: from one version of configuration and policies to its streets.

The command line builds the same streets to explain a call as the process does to serve it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

from gateway.coherence.answers import Hears
from gateway.coherence.memory_map import ToolMemory
from gateway.config.build import LLM_PROTOCOLS
from gateway.config.load import Loaded
from gateway.config.schema import ModelRates, Prices, ToolConfig
from gateway.cost.pricer import Pricer, Unknown
from gateway.cost.rates import PriceBook, Rates
from gateway.decide.approvals import Asks
from gateway.decide.breakers import Breakers
from gateway.decide.budgets import UNBOUNDED, Budgets, default_bound
from gateway.decide.bulkhead import Bulkhead
from gateway.decide.conflicts import Conflicts
from gateway.decide.drift import READ, Drift
from gateway.decide.flaws import Flaws
from gateway.decide.grants import Grants
from gateway.decide.guardrails import Guardrails
from gateway.decide.limits import Limits
from gateway.decide.loops import Loops
from gateway.decide.pools import Pools
from gateway.decide.prices import Unpriced
from gateway.decide.results import Results
from gateway.decide.retries import Retries
from gateway.decide.rules import Rules
from gateway.decide.runs import Bounds
from gateway.decide.shapes import Check, Quota
from gateway.decide.tasks import Tasks
from gateway.decide.together import Together
from gateway.flow.labels import FlowMap
from gateway.model import Agent, Call, Caps, Tool
from gateway.model.credentials import Aws
from gateway.pipeline import Street
from gateway.policy.globs import matches_any, sees_path
from gateway.policy.governors import CompiledBudget, CompiledLoop, CompiledPool, CompiledRetry, CompiledRun
from gateway.policy.pins import pinning
from gateway.policy.tasks import CompiledTask
from gateway.ports import Lender
from gateway.understand.dialect import Dialect
from gateway.understand.http import HttpReader
from gateway.understand.kept import Kept
from gateway.understand.reader import Pulse, Reader
from gateway.understand.said import said_by_http, said_by_mcp


@cache
def dialect_of(protocol: str, *, asks_usage: bool = True) -> Dialect:
    """The dialect of an LLM protocol; loaded only where some tool speaks it. ``asks_usage`` is OpenAI's matter."""
    if protocol == "openai":
        from gateway.understand.openai import OpenAi

        return OpenAi(asks_usage=asks_usage)
    if protocol == "anthropic":
        from gateway.understand.anthropic import Anthropic

        return Anthropic()
    if protocol == "gemini":
        from gateway.understand.gemini import Gemini

        return Gemini()
    raise ValueError(f"no LLM protocol is called {protocol!r}")


_OF_ANSWERS = frozenset({"result", "response.isError"})
"""Variables that a price may read, for which an answer must be read."""

_OF_TALLIES = frozenset({"run.steps", "run.errors_in_row", "run.age"})
"""Variables that tell what the calls of a run came to."""
_OF_TREES = frozenset({"run.depth", "run.root"})
"""Variables that tell which run led to which."""


class Streets:
    """Builds the streets of one version. ``wall`` gives seconds since the epoch, for prices that change; ``lenders``
    are by tool, where calls are made."""

    def __init__(
        self, loaded: Loaded, kept: Kept, wall: Callable[[], float], lenders: Mapping[str, Lender] | None = None
    ) -> None:
        self._lenders = lenders or {}
        self._loaded, self._kept, self._wall = loaded, kept, wall
        book = loaded.book
        self._tasks = Tasks(book) if book.every(CompiledTask) else None
        self._before: tuple[Check, ...] = (
            (Grants(book), Flaws()) if self._tasks is None else (Grants(book), self._tasks, Flaws())
        )
        self._rules = Rules(book)
        self._counting: tuple[Quota, ...] = (Limits(book), Breakers(book))
        self._bounds = Bounds(book)
        self._pools = Pools(book)
        self._loops, self._retries = Loops(book), Retries(book)
        self._asks = Asks(book)
        self._guardrails = Guardrails(book)
        self._follows = any(tool.flows for tool in loaded.tools) or any(
            name.startswith("flow.") for tool in loaded.tools for name in book.reads(tool.name)
        )
        """Values and labels are followed: through all tools, since what one tells another may be told."""
        self._traces = _traces(loaded)
        self._asked_again = frozenset(it.name for it in loaded.memories.values() if it.revalidate)
        self._conflicts = {shows: _conflicts(loaded, shows=shows) for shows in (True, False)} if loaded.memories else {}

    def all(self) -> dict[str, Street]:
        """One street for each tool, by its name."""
        return {tool.name: self.of(tool) for tool in self._loaded.tools}

    def of(self, tool: Tool) -> Street:
        """The street of one tool."""
        book, config = self._loaded.book, self._loaded.config.tools[tool.name]
        pricer = self._pricer(tool, config)
        reads = book.reads(tool.name) | (pricer.references if pricer is not None else frozenset())
        priced = (Unpriced(pricer),) if pricer is not None and pricer.refuses else ()
        reads_results = "response" in book.phases(tool.name) or not reads.isdisjoint(_OF_ANSWERS)
        quotas = (*self._counting, Bulkhead(tool)) if tool.concurrency else self._counting
        if book.governs(CompiledRun, tool.name):
            quotas = (self._bounds, *quotas)
        if book.governs(CompiledRetry, tool.name):
            quotas = (self._retries, *quotas)
        if book.governs(CompiledLoop, tool.name):
            quotas = (self._loops, *quotas)  # first: a limit that has run out says when to come back, this says not to
        if book.governs(CompiledPool, tool.name):
            quotas = (*quotas, self._pools)  # last: no place is kept while a call waits for a limit
        reader = self._reader(tool, config, reads, reads_results=reads_results)
        budgets = self._budgets(tool, reader, pricer)
        if budgets is not None:
            quotas = (*quotas, budgets)
        results = Results(book, tool.name, self._tasks)
        declared = self._loaded.memories.get(tool.name)
        # where rules look through what the memory answers, one agent may be shown less of it than another
        conflicts = None if declared is None else self._conflicts["response" not in book.phases(tool.name)]
        judging: tuple[Check, ...] = (self._rules,) if conflicts is None else (self._rules, conflicts)
        return Street(
            tool,
            reader,
            (*self._before, *priced, *judging),
            Together(quotas),
            results if reads_results or results.compares or tool.protocol != "http" else None,
            pricer,
            "run.cost_usd" in reads,
            "request.time" in reads,
            "run.labels" in reads,
            counts=not reads.isdisjoint(_OF_TALLIES),
            compares=results.compares,
            traces=self._traces,
            tells=getattr(reader, "traced", None) if self._traces else None,
            budgets=budgets,
            lender=self._lenders.get(tool.name),
            signs=tool.name in self._lenders and any(isinstance(loan.source, Aws) for loan in tool.loans),
            flows=FlowMap(tool) if self._follows else None,
            hears=self._follows and tool.protocol not in LLM_PROTOCOLS,
            guards=self._guardrails if "guardrail" in reads else None,
            in_tasks=self._tasks is not None,
            asks=self._asks if book.asks(tool.name) or tool.protocol == "mcp" or _asks(conflicts) else None,
            edit=getattr(reader, "edit", None),
            answers=getattr(reader, "answers", None),
            pulse=self._pulse(reader),
            page=self._page(reader),
            reads_budgets=not reads.isdisjoint(UNBOUNDED),
            memory=None if declared is None else ToolMemory(declared, said_by(tool.protocol)),
            conflicts=conflicts,
            drifts=not reads.isdisjoint(READ),
            drift=Drift(book, self._asked_again) if self._asked_again and not reads.isdisjoint(READ) else None,
            admitting=(*self._before, *priced),
        )

    def _reader(self, tool: Tool, config: ToolConfig, reads: frozenset[str], *, reads_results: bool) -> Reader:
        book = self._loaded.book
        labelled = any(sees_path(pattern) for labels in tool.flows for pattern in labels.operations)
        memory = self._loaded.memories.get(tool.name)
        looks = book.looks_at_path(tool.name) or labelled or tool.protocol in LLM_PROTOCOLS or memory is not None
        needs_args = memory is not None and memory.needs_args
        http = HttpReader(
            tool,
            reads_args="args" in reads or needs_args or self._vouches(tool),
            looks_at_path=looks,
            reads_results=reads_results,
        )
        if tool.protocol == "http":
            return http
        if tool.protocol == "mcp":
            pins = self._loaded.pinnings.get(tool.name) or pinning(None)
            from gateway.understand.mcp import McpReader

            return McpReader(
                tool,
                catalogue=self._kept.catalogue(tool, pins),
                openers=self._kept.openers(),
                refusal=config.mcp.refusal,
                validate=config.mcp.validate_arguments,
                allowed_hosts=_hosts(tool, config),
                judges_results="response" in book.phases(tool.name),
                endpoints=config.mcp.endpoints or None,
                plants=self._loaded.config.lineage.propagate == "always",
                http=http,
            )
        from gateway.understand.llm import LlmReader

        return LlmReader(
            tool,
            dialect_of(tool.protocol, asks_usage=config.llm.stream_usage == "ask"),
            http=http,
            caps=self._caps,
            reads_messages=self._follows or not reads.isdisjoint(("llm.messages", "guardrail")),
            bound=partial(default_bound, book) if book.governs(CompiledBudget, tool.name) else None,
        )

    def _vouches(self, tool: Tool) -> bool:
        """Whether what it answers may count as trusted: then what it only repeats of its call must be known."""
        return self._follows and (
            any("trusted" in labels.returns for labels in tool.flows)
            or any(
                matches_any([source.partition("/")[0]], tool.name)
                for source in self._loaded.config.flow.trusted_sources
            )
        )

    def _budgets(self, tool: Tool, reader: Reader, pricer: Pricer | None) -> Budgets | None:
        book = self._loaded.book
        if not book.governs(CompiledBudget, tool.name):
            return None
        models = tool.protocol in LLM_PROTOCOLS
        return Budgets(book, pricer, models=models, shorten=getattr(reader, "shorten", None))

    def _pulse(self, reader: Reader) -> Callable[[Call, bytes | None], Pulse | None] | None:
        pulse, every = getattr(reader, "pulse", None), self._loaded.config.approvals.keep_alive
        return partial(pulse, every=every) if pulse is not None and every else None

    def _page(self, reader: Reader) -> Callable[[Call, bytes | None, str], str] | None:
        approvals, opens = self._loaded.config.approvals, getattr(reader, "opens", None)
        return partial(_page, opens, approvals.url) if opens and approvals.url and approvals.elicitation else None

    def _caps(self, agent: Agent, tool: str, operation: str) -> Sequence[Caps]:
        return self._loaded.book.caps(agent, tool, operation)

    def _pricer(self, tool: Tool, config: ToolConfig) -> Pricer | None:
        call_price = self._loaded.call_prices.get(tool.name)
        if tool.protocol not in LLM_PROTOCOLS:
            return Pricer(call_price=call_price) if call_price is not None else None
        prices = config.prices
        own = {name: _rates(rates) for name, rates in prices.models.items()}
        provider = prices.provider or dialect_of(tool.protocol).provider
        book = PriceBook(own, self._loaded.model_prices, self._wall)
        return Pricer(provider, book, _unknown(prices), call_price)


def _page(opens: Callable[[Call, bytes | None], bool], url: str, call: Call, body: bytes | None, ident: str) -> str:
    return f"{url.rstrip('/')}/approvals/{ident}" if opens(call, body) else ""


def said_by(protocol: str) -> Hears:
    """What reads the answers of a memory."""
    return said_by_mcp if protocol == "mcp" else said_by_http


def _conflicts(loaded: Loaded, *, shows: bool) -> Conflicts:
    memories = loaded.memories.values()
    refusing = [memory.name for memory in memories if memory.stale_reads == "refuse"]
    ways = {memory.name: memory.conflict for memory in memories}
    return Conflicts(ways, {memory.name: memory.unread for memory in memories}, shows=shows, refusing=refusing)


def _asks(conflicts: Conflicts | None) -> bool:
    """Whether people are asked about stale writes."""
    return conflicts is not None and conflicts.asks


def _traces(loaded: Loaded) -> bool:
    """Whether calls are traced through tools: through all of them, since what a tool calls may be any other."""
    if loaded.config.lineage.propagate != "auto":
        return loaded.config.lineage.propagate == "always"
    if loaded.config.trace.otlp is not None:
        return True  # what is exported as the call's span is what its tool must have as parent
    book = loaded.book
    return any(
        book.governs(CompiledRun, tool.name) or not book.reads(tool.name).isdisjoint(_OF_TREES) for tool in loaded.tools
    )


def _rates(rates: ModelRates) -> Rates:
    return Rates(rates.input, rates.output, rates.cache_read, rates.cache_write)


def _unknown(prices: Prices) -> Unknown:
    return _rates(prices.unknown) if isinstance(prices.unknown, ModelRates) else prices.unknown


def _hosts(tool: Tool, config: ToolConfig) -> frozenset[str]:
    """The names by which a server may be asked for, beside those of the loopback."""
    origin = tool.origin
    own = {origin.authority, origin.host, f"{origin.host}:{origin.port}"}
    return frozenset(name.lower() for name in (*own, *tool.hosts, *config.mcp.allowed_hosts))
