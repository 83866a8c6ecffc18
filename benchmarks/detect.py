"""How often the injection heuristics speak of texts that are well meant, and of published injections.

    python -m pip download --no-deps agentdojo inspect-evals
    python -m benchmarks.detect --packages .     # where the two wheels are; --misses and --alarms show which

Nothing of the packages is run: goals and templates are read as data. Texts that are well meant are those which every
machine with Python has, and what AgentDojo's environments hold where nothing is injected.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gateway.detect.instructions import injection

THRESHOLDS = (0.5, 0.7, 0.85)
Texts = Mapping[str, list[Any]]
"""Values by what they are."""


def strings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names and texts of the constants in a module, f-strings put together from those before them."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            text = joined(node.value, known)
            for target in targets:
                if text is not None and isinstance(target, ast.Name):
                    known[target.id] = text
                    yield target.id, text


def joined(node: ast.expr, known: Mapping[str, str]) -> str | None:
    """The text of an expression; names that are not known stand for themselves."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(joined(part, known) or "" for part in node.values)
    if isinstance(node, ast.FormattedValue):
        inner = node.value
        name = inner.id if isinstance(inner, ast.Name) else inner.attr if isinstance(inner, ast.Attribute) else "it"
        return known.get(name, name)
    return None


def agentdojo(wheel: zipfile.ZipFile) -> tuple[Texts, Texts]:
    """Each attack's template with each goal, within a text of the suite; and the environments as they are."""
    goals: set[str] = set()
    templates: dict[str, str] = {}
    for name in wheel.namelist():
        if name.endswith("injection_tasks.py"):
            goals |= {text for key, text in strings(ast.parse(wheel.read(name))) if key == "GOAL"}
        if "/attacks/" in name and name.endswith(".py"):
            tree = ast.parse(wheel.read(name))
            said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and id(node) not in said and "{goal}" in str(node.value):
                    templates[node.value] = label(node.value)
    host = "The meeting is on Tuesday at ten. {} Please bring the figures of last month."
    injected: dict[str, list[Any]] = {}
    for template, title in templates.items():
        filled = template.replace("{user}", "Emma Johnson").replace("{model}", "AI assistant")
        injected[f"AgentDojo: {title}"] = [host.format(filled.replace("{goal}", goal)) for goal in sorted(goals)]
    benign: list[Any] = []
    for name in wheel.namelist():
        if "/data/suites/" in name and name.endswith(".yaml") and "injection_vectors" not in name:
            benign += list(texts(yaml.load(re.sub(rb"\{\w+\}", b"it", wheel.read(name)), _Loose)))
    return injected, {"AgentDojo: mails, files, messages": benign}


def label(template: str) -> str:
    words = " ".join(template.replace("{goal}", "...").split())
    return words if len(words) <= 44 else words[:42] + "..."


class _Loose(yaml.SafeLoader):
    """Reads YAML with includes, which are left out."""


_Loose.add_constructor("!include", lambda loader, node: None)


def texts(value: Any) -> Iterator[str]:
    """The longer texts in a value."""
    if isinstance(value, str) and len(value) > 40:
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)


_NOT_READ = {"id", "input", "target", "owasp_id", "attack_name", "difficulty", "attack_marker", "expected_answer"}
_OF_TASKS = {"task_description", "issue_text", "repo_files"}


def inspect(wheel: zipfile.ZipFile) -> tuple[Texts, Texts]:
    """What the agent would read of each sample of AgentThreatBench and of the coding agent's (CodeIPI)."""
    injected: dict[str, list[Any]] = {}
    for name in wheel.namelist():
        if "agent_threat_bench/data/" in name and name.endswith(".json"):
            samples = json.loads(wheel.read(name))
            of = f"AgentThreatBench: {Path(name).stem.replace('_', ' ')}"
            injected[of] = [{key: one for key, one in each.items() if key not in _NOT_READ} for each in samples]
    samples = json.loads(wheel.read("inspect_evals/ipi_coding_agent/dataset/samples.json"))
    read = [({key: each[key] for key in _OF_TASKS}, each) for each in samples]
    for style in sorted({each["payload_sophistication"] for _, each in read if not each["is_benign"]}):
        chosen = [value for value, each in read if each["payload_sophistication"] == style]
        injected[f"CodeIPI: {style.replace('_', ' ')}"] = chosen
    return injected, {"CodeIPI: well meant, some suspicious": [value for value, each in read if each["is_benign"]]}


def machine() -> Texts:
    """Texts that are there: descriptions of packages, sources and mails of the standard library, documentation."""
    library = Path(sysconfig.get_paths()["stdlib"])
    site = Path(sysconfig.get_paths()["purelib"])
    return {
        "descriptions of Python packages": read(sorted(site.glob("*.dist-info/METADATA"))),
        "sources of the standard library": read(sorted(library.glob("*.py"))),
        "mails (the standard library's tests)": read(sorted(library.glob("test/test_email/data/*.txt"))),
        "/usr/share/doc: README, NEWS, copyright": read(sorted(Path("/usr/share/doc").glob("*/[RNc]*"))),
        "this project's documentation": read(sorted(Path("docs").glob("*.md"))),
    }


def read(paths: list[Path]) -> list[Any]:
    """What can be read as text."""
    found = []
    for path in paths:
        if path.is_file() and path.suffix != ".gz":
            found.append(path.read_text(errors="replace"))
    return [text for text in found if len(text) > 40]


def table(title: str, corpora: Texts, show: str) -> None:
    """One line for each corpus: how many texts, and the share of which something is told."""
    print(f"| {title} | texts | " + " | ".join(f"at {limit:g}" for limit in THRESHOLDS) + " |")
    print("|---|---|" + "---|" * len(THRESHOLDS))
    totals = [0] * (1 + len(THRESHOLDS))
    for name, values in corpora.items():
        scores = []
        for value in values:
            found = injection(value)
            best = found[0] if found else None
            scores.append(best["score"] if best else 0.0)
            if (show == "alarms" and scores[-1] >= 0.7) or (show == "misses" and scores[-1] < 0.7):
                print(f"    {name}: {best or str(value)[:300]}", file=sys.stderr)
        counts = [sum(score >= limit for score in scores) for limit in THRESHOLDS]
        totals = [one + more for one, more in zip(totals, [len(values), *counts], strict=True)]
        print(f"| {name} | {len(values)} | " + " | ".join(share(count, len(values)) for count in counts) + " |")
    print("| all | " + f"{totals[0]} | " + " | ".join(share(count, totals[0]) for count in totals[1:]) + " |\n")


def share(count: int, of: int) -> str:
    return f"{count / of:.1%}" if of else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, help="the folder with the wheels of agentdojo and inspect-evals")
    parser.add_argument("--misses", action="store_true", help="show the injections that are not found at 0.7")
    parser.add_argument("--alarms", action="store_true", help="show the well meant texts that are taken for one at 0.7")
    options = parser.parse_args()
    injected: dict[str, list[Any]] = {}
    benign: dict[str, list[Any]] = {**machine()}
    for pattern, of in (("agentdojo-*.whl", agentdojo), ("inspect_evals-*.whl", inspect)):
        for path in sorted(options.packages.glob(pattern)) if options.packages else ():
            with zipfile.ZipFile(path) as wheel:
                bad, good = of(wheel)
            injected |= bad
            benign |= good
    if injected:
        table("Injections: found", injected, "misses" if options.misses else "")
    table("Well meant: false alarms", benign, "alarms" if options.alarms else "")


if __name__ == "__main__":
    main()
