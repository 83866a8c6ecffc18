"""Documents of the kinds Loop and Retry, from YAML to what calls are held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import attempt, load
from gateway.model import LoopSettings, RetrySettings
from gateway.policy.book import PolicyBook
from gateway.policy.governors import CompiledLoop, CompiledRetry
from tests.config.support import GRANT, written

CONFIG = "tools:\n  bank: {url: 'http://bank'}\n  mail: {url: 'http://mail'}\n"


def document(kind: str, spec: str) -> str:
    return f"{GRANT}---\napiVersion: toolgate/v1\nkind: {kind}\nmetadata: {{name: g}}\nspec: {spec}\n"


def book(folder: Path, kind: str, spec: str) -> PolicyBook:
    return load(written(folder, CONFIG, p=document(kind, spec))).book


def mistake(folder: Path, kind: str, spec: str) -> str:
    (found,) = attempt(written(folder, CONFIG, p=document(kind, spec))).errors
    return str(found)


def test_what_is_left_out_is_as_documented(tmp_path: Path) -> None:
    (loop,) = book(tmp_path, "Loop", "{}").governors(CompiledLoop, "bank", "op")
    assert loop.settings == LoopSettings()
    (retry,) = book(tmp_path, "Retry", "{}").governors(CompiledRetry, "bank", "op")
    assert retry.settings == RetrySettings()


def test_every_key_arrives(tmp_path: Path) -> None:
    spec = (
        "{match: {tools: [bank]}, mode: Audit, repeats: 4, errors: 5, cycles: 6, streak: 7, polls: ['wait*'],"
        " poll_repeats: 8, ignore: [args.id], window: 9, memory: 10s, refusals: 11, quarantine_for: 12s}"
    )
    made = book(tmp_path, "Loop", spec)
    (loop,) = made.governors(CompiledLoop, "bank", "op")
    assert loop.settings == LoopSettings(4, 5, 6, 7, 8, 9, 10.0, 11, 12.0, enforced=False)
    assert loop.ignore == ("args.id",)
    assert (loop.is_poll("wait_for"), loop.is_poll("op")) == (True, False)
    assert made.governors(CompiledLoop, "mail", "op") == ()
    assert not made.governs(CompiledLoop, "mail")


def test_arguments_are_read_only_where_some_of_them_are_ignored(tmp_path: Path) -> None:
    assert book(tmp_path, "Loop", "{ignore: [args.id]}").reads_args("bank")
    assert not book(tmp_path, "Loop", "{}").reads_args("bank")


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("Loop", "{ignore: [result.id]}", "names no argument (write args.NAME)"),
        ("Loop", "{ignore: [id]}", "names no argument (write args.NAME)"),
        ("Loop", "{ignore: [args]}", "is everything"),
        ("Loop", "{repeats: -1}", "spec.repeats"),
        ("Loop", "{window: 1}", "spec.window"),
        ("Loop", "{polls: 5}", "spec.polls"),
        ("Loop", "{memory: 0s}", "spec.memory"),
        ("Retry", "{tokens: 0}", "spec.tokens"),
        ("Retry", "{ratio: 2}", "spec.ratio"),
        ("Retry", "{mode: Warn}", "spec.mode"),
        ("Retry", "{teech: 2}", "did you mean"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, kind: str, spec: str, told: str) -> None:
    assert told in mistake(tmp_path, kind, spec)
