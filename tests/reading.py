"""Stands in for protocols whose answers are read, and for the policies that judge them, in pipelines driven by hand."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from gateway.model import NOTHING_FOUND, Answered, Call, Findings, Reason, Refusal, Tool, Usage
from gateway.understand.http import HttpReader
from tests.drive import TOOL, Drive

HEAD = Answered(200, 0.25, "application/json")
KEPT_BACK = Refusal(Reason.RESULT_DENIED, 403, "the answer holds a secret", "results/secret")
READ = Findings(is_error=True, usage=Usage("m", 3, 5), result={"pages": 7}, notes=("read",))


class Saying:
    """An answer that adds to what it is fed, and finds what it is told to find."""

    def __init__(self, *, whole: bool = False, found: Findings = NOTHING_FOUND, refusal: Refusal | None = None) -> None:
        self.whole = self.rewrites = whole
        self._found, self._refusal = found, refusal
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        return b"<" + data

    def end(self) -> bytes:
        self.ended = True
        return b">"

    def found(self) -> Findings:
        return self._found

    def refusal(self) -> Refusal | None:
        return self._refusal


class Speaks(HttpReader):
    """HTTP whose calls and answers are as a test says; notes which answers it was asked to read."""

    def __init__(self, answer: Any = None, to: Tool = TOOL, **call: Any) -> None:
        super().__init__(to, reads_args=False, looks_at_path=False)
        self._answer, self._call = answer, call
        self.asked: list[tuple[Answered, Any]] = []

    def read(self, *given: Any) -> Call:
        return structs.replace(super().read(*given), **self._call)

    def answer(self, call: Call, answered: Answered, judge: Any) -> Any:
        self.asked.append((answered, judge))
        return self._answer

    def plain(self, call: Call) -> bool:
        return self._answer is not None


class Judged:
    """What stands for the results of a tool: makes one judge, which has said this."""

    any_asks = False

    def __init__(self, *said: Any, any_results: bool = True, reads_result: bool = True) -> None:
        self.said, self.any_results, self.reads_result = said, any_results, reads_result
        self.priced: list[bool] = []
        self.price: Any = None

    def of(self, call: Call, price: Any, *, priced: bool, hears: Any) -> Any:
        self.priced.append(priced)
        self.price, self.hears = price, hears

        class Judge:
            spoke = self.said
            reads_result = self.reads_result
            asks, questions = False, ()

        return Judge()


def reading(answer: Any = None, *said: Any, **settings: Any) -> Drive:
    """A pipeline for a tool whose answers are read."""
    return Drive(reader=Speaks(answer), results=Judged(*said), **settings)
