"""Recorded calls held against suggested grants, or a suggested task."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import yaml
from msgspec import structs

from gateway.cli.suggest_text import Document
from gateway.config.load import Loaded
from gateway.decide.grants import Grants
from gateway.decide.tasks import Tasks
from gateway.policy.compile import SourcedDocument, compile_policies
from gateway.policy.schema import DOCUMENT, Grant
from gateway.policy.visible import visible
from gateway.rehearse.records import RECORDS
from gateway.rehearse.usage import Usage

EXAMPLES = 5


class Trial:
    """Judges permitted calls by the suggestion as it is written: grants in the place of all present ones, or a task
    beside them. ``refused`` counts those that it refuses, ``examples`` says of the first ones why."""

    def __init__(self, loaded: Loaded, documents: Sequence[Document], task: str | None) -> None:
        suggested = [DOCUMENT.validate_python(yaml.safe_load(document.text)) for document in documents]
        present = [model for model in loaded.documents if isinstance(model, Grant)] if task is not None else []
        sourced = [SourcedDocument(number, model) for number, model in enumerate([*suggested, *present])]
        book, _ = compile_policies(sourced, loaded.tools, loaded.book.engine)
        self._check = Grants(book) if task is None else Tasks(book)
        self._task = task or ""
        self.calls = self.refused = 0
        self.examples: list[str] = []

    def feed(self, line: bytes, usage: Usage) -> None:
        """The next record, where ``usage`` counts it."""
        try:
            record = RECORDS.decode(line)
        except msgspec.DecodeError:
            return
        if record.decision != "allow" or not usage.counts(record):
            return
        for call in usage.calls_of(record):
            self.calls += 1
            placed = structs.replace(call, run=structs.replace(call.run, task=self._task, task_age=0.0))
            refusal = self._check.judge(placed).refusal
            if refusal is None:
                continue
            self.refused += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(visible(f"{record.call}: {refusal.detail}"))
