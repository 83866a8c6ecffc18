"""The ``memory:`` sections of tools: compiled, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.coherence.declared import Declared, DeclaredRead, DeclaredWrite, VersionBy
from gateway.coherence.operations import Operations
from gateway.coherence.selectors import ASKED, TOLD, Selector, condition
from gateway.config.documents import Document
from gateway.config.model_errors import Mistake, Path
from gateway.config.schema import Config, ToolConfig
from gateway.config.schema_coherence import MemoryReads, MemoryWrites, ToolMemory, VersionExpression
from gateway.errors import Problem
from gateway.policy.engine import DYN, CelEngine, CelError, CelType

_ANSWER: Mapping[str, CelType] = {**ASKED, **TOLD}
_ENTRY: Mapping[str, CelType] = {**_ANSWER, "entry": DYN}
_WHEN = {
    "entry": "entry is one of a list: write entries: result.items, or wherever the list is",
    "result": "it is asked for before there is an answer: read args",
    "response": "it is asked for before there is an answer: read args",
}


class MemoryCompiler:
    """Compiles the section of one tool. ``problems`` are what it finds."""

    def __init__(self, name: str, tool: ToolConfig, document: Document, engine: CelEngine) -> None:
        self._name, self._tool, self._document, self._engine = name, tool, document, engine
        self.problems: list[Problem] = []

    def compile(self, memory: ToolMemory) -> Declared | None:
        """The memory; None where there are ``problems``."""
        reads = [self._read(number, read) for number, read in enumerate(memory.reads)]
        merges = memory.conflict == "merge"
        writes = [self._write(number, write, merges=merges) for number, write in enumerate(memory.writes)]
        if self.problems:
            return None
        return Declared(
            memory.name or self._name,
            tuple([read for read in reads if read is not None]),
            tuple([write for write in writes if write is not None]),
            memory.conflict,
            memory.unread,
            memory.max_age,
            memory.stale_reads,
            memory.revalidate,
        )

    def _read(self, number: int, read: MemoryReads) -> DeclaredRead | None:
        at: Path = ("tools", self._name, "memory", "reads", number)
        told = _ANSWER if read.entries is None else _ENTRY
        key = self._selector((*at, "key"), read.key, told)
        entries = None if read.entries is None else self._selector((*at, "entries"), read.entries, _ANSWER)
        value = None if read.value is None else self._selector((*at, "value"), read.value, told)
        partial: bool | Selector | None = read.partial if isinstance(read.partial, bool) else None
        if isinstance(read.partial, str):
            partial = self._selector((*at, "partial"), read.partial, ASKED, holds=True)
        gone = None if read.gone is None else self._selector((*at, "gone"), read.gone, _ANSWER, holds=True)
        versions = None if read.version is None else self._versions(at, read.version, told)
        if read.version is None and self._tool.protocol == "mcp":
            versions = ("digest",)
        if key is None or partial is None:
            return None
        label = f"{self._name}.reads[{number}]"
        return DeclaredRead(label, Operations(read.operations), key, entries, value, versions, partial, gone)

    def _write(self, number: int, write: MemoryWrites, *, merges: bool) -> DeclaredWrite | None:
        at: Path = ("tools", self._name, "memory", "writes", number)
        key = self._selector((*at, "key"), write.key, _ANSWER)
        value = None if write.value is None else self._selector((*at, "value"), write.value, ASKED)
        if merges and value is not None and (value.member[:1] != ("args",) or len(value.member) < 2):
            message = "conflict: merge puts another text there, so it must be an argument"
            mistake = Mistake((*at, "value"), message, "name it plainly: args.text")
            self.problems.append(self._document.mistake(mistake))
        default: tuple[VersionBy, ...] = () if self._tool.protocol == "mcp" else ("etag",)
        versions = default if write.version is None else self._versions(at, write.version, _ANSWER)
        if key is None:
            return None
        sure, conditional = write.errors == "unwritten", write.condition is not None
        return DeclaredWrite(Operations(write.operations), key, value, versions, conditional, write.deletes, sure)

    def _versions(self, at: Path, versions: tuple[object, ...], told: Mapping[str, CelType]) -> tuple[VersionBy, ...]:
        found: list[VersionBy] = []
        for number, each in enumerate(versions):
            if isinstance(each, VersionExpression):
                path = (*at, "version", "expression") if len(versions) == 1 else (*at, "version", number, "expression")
                selector = self._selector(path, each.expression, told)
                found += [] if selector is None else [selector]
            else:
                found.append(str(each))
        return tuple(found)

    def _selector(
        self, path: Path, source: str, variables: Mapping[str, CelType], *, holds: bool = False
    ) -> Selector | None:
        """``holds``: it must be true or false."""
        try:
            return self._compiled(source, variables, holds=holds)
        except CelError as error:
            self.problems.append(self._document.inside(path, error.line, error.column, error.message, error.hint))
            return None

    def _compiled(self, source: str, variables: Mapping[str, CelType], *, holds: bool) -> Selector:
        selector = (condition if holds else Selector)(source, self._engine, _ENTRY)
        if unknown := sorted(selector.references - variables.keys()):
            raise CelError(f"{unknown[0]} is not known here", hint=_WHEN[unknown[0].partition(".")[0]])
        return selector


def memory_mistakes(config: Config) -> Iterator[Mistake]:
    """What is wrong with the sections besides their expressions."""
    first: dict[str, tuple[str, ToolMemory]] = {}
    for name, tool in config.tools.items():
        if tool.memory is not None:
            yield from _of_tool(name, tool, tool.memory)
            yield from _of_namesakes(name, tool.memory, first)


def _of_tool(name: str, tool: ToolConfig, memory: ToolMemory) -> Iterator[Mistake]:
    path = ("tools", name, "memory")
    if tool.protocol not in ("http", "mcp"):
        yield Mistake(path, f"memory has no effect with protocol: {tool.protocol}", "remove it")
        return
    if memory.revalidate and tool.protocol != "http":
        message = f"revalidate has no effect with protocol: {tool.protocol}, which has no conditional GET"
        yield Mistake((*path, "revalidate"), message, "remove it")
    for number, read in enumerate(memory.reads):
        yield from _versions((*path, "reads", number), tool.protocol, read)
        if memory.conflict == "merge" and read.value is None and not read.partial:
            message = "conflict: merge needs to know what stands there as text"
            yield Mistake((*path, "reads", number), message, "write value: result.text, or wherever the text is")
    for number, write in enumerate(memory.writes):
        at = (*path, "writes", number)
        yield from _versions(at, tool.protocol, write)
        if write.condition is not None and tool.protocol != "http":
            message = f"condition has no effect with protocol: {tool.protocol}, which has no conditions"
            yield Mistake((*at, "condition"), message, "remove it")
        if write.errors != "unknown" and tool.protocol != "mcp":
            message = f"errors has no effect with protocol: {tool.protocol}, where the status tells"
            yield Mistake((*at, "errors"), message, "remove it")
    shown = any(read.partial is not True for read in memory.reads)
    if memory.unread == "refuse" and not shown and not any(write.condition for write in memory.writes):
        message = "no entry of reads shows what stands there, so every write of what is there would be refused"
        yield Mistake((*path, "writes"), message, "write reads: with the operations that read it, or unread: allow")
    if memory.conflict == "merge" and not any(write.value for write in memory.writes):
        message = "conflict: merge needs to know which argument is what will stand there"
        yield Mistake((*path, "conflict"), message, "write value: args.text in an entry of writes")


def _versions(at: Path, protocol: str, entry: MemoryReads | MemoryWrites) -> Iterator[Mistake]:
    for each in entry.version or ():
        fields = each in ("etag", "last-modified")
        if fields and protocol != "http":
            message = f"answers have no {each} with protocol: {protocol}"
            yield Mistake((*at, "version"), message, "write digest, or {expression: result.rev}")
        elif fields and isinstance(entry, MemoryReads) and entry.entries is not None:
            message = f"the {each} of an answer is not that of one of its entries"
            yield Mistake((*at, "version"), message, "write digest, or {expression: entry.rev}")
        elif each == "digest" and isinstance(entry, MemoryWrites):
            message = "the digest of a write's answer is compared with nothing"
            yield Mistake((*at, "version"), message, "write etag, or {expression: result.rev}, or remove it")


_SHARED = ("conflict", "unread", "stale_reads")


def _of_namesakes(name: str, memory: ToolMemory, first: dict[str, tuple[str, ToolMemory]]) -> Iterator[Mistake]:
    """Tools that show the same memory say the same of it."""
    shared = memory.name or name
    other, said = first.setdefault(shared, (name, memory))
    for key in _SHARED:
        if getattr(said, key) != getattr(memory, key):
            message = f"{key} of memory {shared} is {getattr(said, key)} with tool {other}"
            yield Mistake(("tools", name, "memory", key), message, f"write {key}: {getattr(said, key)}")
