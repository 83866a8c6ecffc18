"""Policy files, from the folder to the compiled book."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

from pydantic import ValidationError

from gateway.config.documents import Document, read_documents
from gateway.config.files import Files
from gateway.config.mending import mended
from gateway.config.model_errors import Mistake, mistakes
from gateway.errors import Problem
from gateway.model import Tool
from gateway.policy.argument_checks import check_arguments
from gateway.policy.argument_shapes import ToolArguments
from gateway.policy.book import PolicyBook
from gateway.policy.compile import SourcedDocument, compile_policies
from gateway.policy.engine import CelEngine
from gateway.policy.hints import nearest
from gateway.policy.schema import KINDS, AnyDocument, Grant, Policy

NOTHING_KNOWN: Mapping[str, ToolArguments] = {}
_ALL_KINDS = ", ".join([*KINDS][:-1]) + f" or {[*KINDS][-1]}"


class Policies:
    """The documents of these files. ``errors`` and ``warnings`` grow as they are read and compiled."""

    def __init__(self, paths: Iterable[Path], files: Files) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.sourced: list[SourcedDocument] = []
        self._documents: list[Document] = []
        for path in paths:
            documents, problems = read_documents(path, files)
            self.errors += problems
            # Of what YAML takes for something else than text nothing more is said.
            told = {(one.line, one.column) for one in problems}
            for document in documents:
                self.add(document, told)

    def add(self, document: Document, told: Set[tuple[int, int]] = frozenset()) -> None:
        """Take in one document more; at the places ``told`` something is wrong already."""
        self._documents.append(document)
        for mistake in _references(document):
            self.warnings.append(document.mistake(mistake))
        try:
            model = _model_of(document)
            parsed = model.model_validate(document.root.plain())
        except _UnfitError as unfit:
            self.errors.append(document.mistake(unfit.mistake))
        except ValidationError as error:
            found = list(mistakes(error, model))
            problems = [document.mistake(mistake) for mistake in found]
            self.errors += [one for one in problems if (one.line, one.column) not in told]
            if model is Policy and (rest := mended(document.root.plain(), found)) is not None:
                self._source(rest, document)
        else:
            self._source(parsed, document)

    def _source(self, model: AnyDocument, document: Document) -> None:
        self.sourced.append(SourcedDocument(len(self._documents) - 1, model, document.file))

    def compile(
        self,
        tools: Sequence[Tool],
        engine: CelEngine,
        arguments: Mapping[str, ToolArguments] = NOTHING_KNOWN,
        priced: Collection[str] | None = None,
    ) -> PolicyBook:
        """The book; of no use where there are ``errors`` afterwards. ``arguments`` are those of tools, and ``priced``
        those whose calls have a cost, where known."""
        book, complaints = compile_policies(self.sourced, tools, engine, priced)
        complaints += check_arguments(self.sourced, tools, arguments, engine, complaints)
        for said in complaints:
            document = self._documents[said.document_index]
            place = said.line_in_scalar, said.column_in_scalar
            problem = document.inside(said.path, *place, said.message, said.hint, said.kind)
            (self.errors if said.severity == "error" else self.warnings).append(problem)
        return book

    def place(self, number: int, path: Sequence[str | int]) -> tuple[str, int, int]:
        """File, line and column of what stands at ``path`` in the document of ``sourced[number]``."""
        document = self._documents[self.sourced[number].index]
        node = document.root.at(path)
        return document.file, node.line, node.column

    def problem(
        self, number: int, path: Sequence[str | int], at: tuple[int, int], message: str, hint: str, kind: str
    ) -> Problem:
        """A problem in the text at ``path`` of ``sourced[number]``; ``at`` is line and column in it, from 1."""
        return self._documents[self.sourced[number].index].inside(path, *at, message, hint, kind)

    @property
    def grants(self) -> bool:
        """Whether any document is a grant; without one every call is refused."""
        return any(isinstance(one.model, Grant) for one in self.sourced)


class _UnfitError(Exception):
    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.message)
        self.mistake = mistake


def _model_of(document: Document) -> type[AnyDocument]:
    if not isinstance(document.root.value, dict):
        hint = "begin with apiVersion: toolgate/v1, kind, metadata and spec"
        raise _UnfitError(Mistake((), "a policy document must be a mapping", hint))
    if "kind" not in document.root.items:
        raise _UnfitError(Mistake((), "kind is missing", f"write kind: {_ALL_KINDS}"))
    kind = document.root.items["kind"].value
    if not isinstance(kind, str) or kind not in KINDS:
        near = nearest(kind, KINDS) if isinstance(kind, str) else ""
        shown = repr(kind) if isinstance(kind, str | int | float) else "that"
        hint = f"did you mean {near}?" if near else ""
        raise _UnfitError(Mistake(("kind",), f"kind must be {_ALL_KINDS}, not {shown}", hint))
    return KINDS[kind]


def _references(document: Document) -> Iterator[Mistake]:
    """Policies are read as they stand: what a rule reads is written to traces, so secrets have no place there."""
    for path, value in _texts(document.root.plain(), ()):
        if "${env:" in value or "${file:" in value:
            yield Mistake(path, "${...} is not replaced in policies", "write the value itself")


def _texts(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, number))
