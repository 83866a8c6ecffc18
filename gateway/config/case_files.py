"""Files of cases and what they are about: which tools, which policies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, structs
from pydantic import ValidationError

from gateway.config.case_schema import CaseFile, StandIn
from gateway.config.cases import ReadyCase, ready_cases
from gateway.config.documents import Document, documents_in, read_documents
from gateway.config.files import Files, case_files, holds_cases
from gateway.config.load import DEFAULT_POLICIES, Attempt, Loaded, attempt, attempt_document, load
from gateway.config.marks import Node
from gateway.config.model_errors import Mistake, mistakes
from gateway.config.policies import Policies
from gateway.config.problems import in_order
from gateway.errors import ConfigError, Problem
from gateway.policy.schema import KINDS

_EVERYBODY = b"""\
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everybody}
spec: {agents: ["*"], tools: ["*"]}
"""
"""What holds where the policies under test grant nothing: their cases are about something else."""


class Suite(Struct, frozen=True):
    """The cases of one file, and what they are held against. ``policies`` knows where the rules are written;
    ``offers`` is what MCP servers offer, as their tools/list gives it."""

    file: str
    name: str
    cases: tuple[ReadyCase, ...]
    loaded: Loaded
    policies: Policies
    offers: Mapping[str, Sequence[Mapping[str, Any]]] = {}


class Suites:
    """Reads files of cases. ``errors`` grows with what is wrong with them, or with what they are about.

    ``config`` is the configuration whose tools and policies hold where a file does not name its own. One set of
    policies is read and compiled once, however many files are about it.
    """

    def __init__(self, config: Path | None = None) -> None:
        self.errors: list[Problem] = []
        self._config = config
        self._attempts: dict[tuple[str, ...], Attempt] = {}

    def read(self, path: Path) -> list[Suite]:
        """The suites of one file: one for each document without a mistake."""
        documents, problems = read_documents(path, Files())
        self.errors += problems
        if not documents and not problems:
            self.errors.append(Problem(str(path), 1, 1, "there are no cases in this file", "write kind: Test"))
        suites = [self._suite(document, path) for document in documents]
        return [suite for suite in suites if suite is not None]

    def _suite(self, document: Document, path: Path) -> Suite | None:
        written = document.root.plain()
        kind = written.get("kind") if isinstance(written, dict) else None
        if isinstance(kind, str) and kind in KINDS:
            hint = f"name the file of its cases, {path.stem}_test.yaml, or the folder of both"
            self.errors.append(document.mistake(Mistake(("kind",), f"this is a {kind}, not cases", hint)))
            return None
        try:
            model = CaseFile.model_validate(written)
        except ValidationError as error:
            self.errors += [document.mistake(mistake) for mistake in mistakes(error, CaseFile)]
            return None
        made = self._about(document, model, path)
        if made is None or made.loaded is None:
            return None
        cases, errors = ready_cases(document, model, made.loaded)
        self.errors += errors
        if errors:
            return None
        return Suite(document.file, model.metadata.name, cases, made.loaded, made.policies, model.spec.offers)

    def _about(self, document: Document, model: CaseFile, path: Path) -> Attempt | None:
        """What the file is about, or None where that cannot be said."""
        policies = self._policies(document, model, path)
        if policies is None:
            return None
        tools = _written(model)
        if not tools and self._config is None:
            message = "it is not said what the tools are"
            hint = "add tools: with a name and protocol for each, or run toolgate test with -c FILE"
            self.errors.append(document.mistake(Mistake(("spec",), message, hint)))
            return None
        key = (tools, *(os.path.abspath(one) for one in policies))
        made = self._attempts.get(key)
        if made is None:
            made = self._attempts[key] = self._attempt(document, model, path, policies)
            self.errors += made.errors
        return made

    def _policies(self, document: Document, model: CaseFile, path: Path) -> list[Path] | None:
        """The policies that the file names; those of its own name; none, where all of the configuration are meant."""
        named = model.spec.policies
        if named is None:
            own = [path.with_name(path.stem.removesuffix("_test") + suffix) for suffix in (".yaml", ".yml")]
            found = [one for one in own if holds_cases(path) and one.is_file()]
            if not found and self._config is None:
                message = f"it is not said which policies are meant, and there is no {own[0].name} here"
                hint = "add policies: with files or folders, or run toolgate test with -c FILE"
                self.errors.append(document.mistake(Mistake(("spec",), message, hint)))
                return None
            return found[:1]
        missing = [number for number, one in enumerate(named) if not (path.parent / one).exists()]
        for number in missing:
            message = f"there is no {named[number]!r}"
            hint = "correct the path; it begins at this file's folder"
            self.errors.append(document.mistake(Mistake(("spec", "policies", number), message, hint)))
        return None if missing else [Path(os.path.normpath(path.parent / one)) for one in named]

    def _attempt(self, document: Document, model: CaseFile, path: Path, named: list[Path]) -> Attempt:
        files = Files()
        if model.spec.tools or self._config is None:
            base, configuration = path.parent, _stand_ins(document)
        else:
            documents, _ = read_documents(self._config, files)
            if not named or not documents:
                return attempt(self._config)
            base, configuration = self._config.parent, documents[0]
        if not named and self._config is not None:
            return attempt_document(configuration, base, attempt(self._config).policies, files)
        policies = Policies([one for path in named for one in files.policies(path)], files)
        if not policies.grants:
            for everybody in documents_in("everybody.yaml", _EVERYBODY)[0]:
                policies.add(everybody)
        return attempt_document(configuration, base, policies, files)


def _written(model: CaseFile) -> str:
    """The tools of a file, so that two files with the same ones can be told."""
    spec = model.spec
    return "" if spec.tools is None else repr(spec.model_dump(include={"tools", "cel_functions"}))


def _stand_ins(document: Document) -> Document:
    """A configuration that has only what a file of cases says of tools; places stay those of that file."""
    spec = document.root.at(("spec",))
    tools = spec.items["tools"]
    for tool in tools.items.values():
        if "url" not in tool.items:
            url = StandIn.model_fields["url"].default
            tool.items["url"] = Node(url, tool.line, tool.column, tool.start, tool.end)
    said = {key: spec.items[key] for key in ("tools", "cel_functions") if key in spec.items}
    root = structs.replace(document.root, items=said, keys={})
    return Document(document.file, document.text, root)


def files_of_cases(paths: Sequence[Path], config: Path | None) -> list[Path]:
    """The files that are meant by ``paths``, folders or files; by none, those beside the policies of ``config``.

    Raises:
        ConfigError: a path leads nowhere, or the configuration cannot be used.
    """
    if not paths:
        policies = Path(DEFAULT_POLICIES) if config is None else config.parent / load(config).config.policies
        policies = Path(os.path.normpath(policies))
        if policies.is_file():
            policies = policies.with_stem(f"{policies.stem}_test")
            if not policies.exists():
                return []
        paths = [policies]
    missing = [Problem(str(path), 0, 0, "there is no such file or folder") for path in paths if not path.exists()]
    if missing:
        raise ConfigError(missing)
    return list(dict.fromkeys(file for path in paths for file in case_files(path)))


def with_cases(config: Path, made: Attempt) -> Attempt:
    """The attempt at ``config`` with the errors of the cases among its policies; as it is where it cannot be used."""
    if made.loaded is None:
        return made
    suites = Suites(config)
    for path in files_of_cases((), config):
        suites.read(path)
    return structs.replace(made, errors=in_order(suites.errors, ""))
