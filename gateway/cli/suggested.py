"""A suggestion worked out: the policy file that it changes, as a patch, and what a replay says of that."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.cli.shared import show
from gateway.config.files import Files
from gateway.config.load import Attempt, attempt
from gateway.config.rule_edits import NotFoundError, narrowed, refusing
from gateway.rehearse.replay import Replay
from gateway.rehearse.timeline import Log, Timeline


class Workbench:
    """Works suggestions out, against the policies of a configuration and recorded calls."""

    def __init__(self, path: Path, recorded: Sequence[Log]) -> None:
        self._path, self._recorded = path, recorded
        self._now = _usable(attempt(path))
        loaded = self._now.loaded
        policies = "./policies" if loaded is None else loaded.config.policies
        self._folder = Path(os.path.normpath(path.parent / policies))

    def worked_out(self, suggestion: dict[str, Any]) -> dict[str, Any]:
        """The suggestion with ``file``, ``patch`` and ``replay`` (the report of ``toolgate replay``, against the
        policies as they are); where one cannot be had, ``problem`` says why."""
        policy, _, rule = suggestion["rule"].partition("/")
        for file in Files().policies(self._folder):
            text = file.read_text("utf-8")
            try:
                if suggestion["kind"] == "tighten":
                    changed = refusing(text, policy, rule)
                else:
                    changed = narrowed(text, policy, rule, suggestion["unless"])
            except NotFoundError:
                continue
            return {**suggestion, "file": str(file), "patch": _patch(file, text, changed), **self._tried(file, changed)}
        problem = f"no policy file below {self._folder} has the rule {suggestion['rule']} as one that asks"
        return {**suggestion, "file": None, "patch": None, "replay": None, "problem": problem}

    def _tried(self, file: Path, changed: str) -> dict[str, Any]:
        with TemporaryDirectory() as scratch:
            copy = Path(scratch) / "policies"
            if self._folder.is_file():
                copy = Path(scratch) / self._folder.name
                copy.write_text(changed, "utf-8")
            else:
                shutil.copytree(self._folder, copy)
                (copy / file.relative_to(self._folder)).write_text(changed, "utf-8")
            after = attempt(self._path, copy)
        if after.loaded is None:
            return {"replay": None, "problem": f"the changed policy cannot be used: {after.errors[0].message}"}
        if not self._recorded:
            return {"replay": None, "problem": "no calls are recorded, so it is not known how many it would change"}
        timeline = Timeline(self._recorded)
        run = Replay(after.loaded, timeline.epoch, self._now.loaded)
        for at, line in timeline:
            run.feed(at, line)
        run.finish()
        return {"replay": run.report(), "problem": None}


def _usable(found: Attempt) -> Attempt:
    if found.loaded is None:
        show(found.errors, "error")
        sys.exit(1)
    return found


def _patch(file: Path, before: str, after: str) -> str:
    """A unified diff with paths as git writes them, from the folder that commands are given in."""
    name = os.path.relpath(file)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join([line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines])


def written(folder: Path, found: Sequence[dict[str, Any]]) -> Iterator[Path]:
    """Write a patch and a report for each; the paths of what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(found, 1):
        name = f"{number:02d}-{one['kind']}-{re.sub('[^A-Za-z0-9_.-]+', '-', one['rule'])[:80]}"
        if one["patch"]:
            patch = folder / f"{name}.patch"
            patch.write_text(one["patch"], "utf-8")
            yield patch
        report = folder / f"{name}.json"
        report.write_text(json.dumps(one, indent=2) + "\n", "utf-8")
        yield report
