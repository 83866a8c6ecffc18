"""What is in the wheel and the source distribution, and whether the lock files are those of this version."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from gateway import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {
    "requirements.lock": ["redis"],
    "deploy/image/requirements-full.lock": ["aws", "cel-python", "otel", "redis", "sql"],
    "deploy/image/requirements-build.lock": [],
}
BUILD = "import sys; from setuptools import build_meta as b; out = sys.argv[1]; b.build_sdist(out); b.build_wheel(out)"


def normal(requirement: str) -> str:
    """The name of a requirement as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;!~ ]", requirement, maxsplit=1)[0]).lower()


def pinned(lock: str) -> dict[str, str]:
    """The versions that a lock, or the constraints, say."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {normal(name): version for name, version in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    for name in ("gateway", "policies"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, str(folder)],
        cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return folder


def test_everything_that_the_package_reads_is_in_the_wheel(built: Path) -> None:
    wheel = zipfile.ZipFile(built / f"toolgate-{__version__}-py3-none-any.whl")
    have = set(wheel.namelist())
    gateway = {str(path.relative_to(ROOT)) for path in (ROOT / "gateway").rglob("*") if path.is_file()}
    assert {name for name in gateway if "__pycache__" not in name} - have == set()
    policies = {str(path.relative_to(ROOT)) for path in (ROOT / "policies").rglob("*.yaml")}
    assert {f"toolgate-{__version__}.data/data/share/toolgate/{name}" for name in policies} - have == set()
    assert not [name for name in have if name.startswith(("tests/", "benchmarks/"))]


def test_the_wheel_says_what_it_needs_and_under_which_terms(built: Path) -> None:
    wheel = zipfile.ZipFile(built / f"toolgate-{__version__}-py3-none-any.whl")
    info = f"toolgate-{__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", metadata, re.MULTILINE))
    assert extras == {"all", "aws", "cel-python", "dev", "otel", "redis", "sql"}
    plain = {normal(line) for line in re.findall(r"^Requires-Dist: ([^;\n]+)$", metadata, re.MULTILINE)}
    assert plain == {normal(one) for one in PROJECT["dependencies"]}
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert "toolgate = gateway.__main__:main" in wheel.read(f"{info}/entry_points.txt").decode()


def test_a_wheel_can_be_built_from_the_source_distribution(built: Path) -> None:
    source = tarfile.open(built / f"toolgate-{__version__}.tar.gz")
    have = {name.partition("/")[2] for name in source.getnames()}
    gateway = {str(path.relative_to(ROOT)) for path in (ROOT / "gateway").rglob("*") if path.is_file()}
    policies = {str(path.relative_to(ROOT)) for path in (ROOT / "policies").rglob("*.yaml")}
    needed = {name for name in gateway if "__pycache__" not in name} | policies
    assert needed | {"LICENSE", "README.md", "pyproject.toml"} <= have


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    assert "version" not in PROJECT


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_whole(lock: str) -> None:
    """Each package has hashes, nothing says where it was downloaded, and versions are those that were tested."""
    text = (ROOT / lock).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert "://" not in text
    tested = pinned("constraints.txt")
    assert {name: version for name, version in pinned(lock).items() if tested.get(name, version) != version} == {}


@pytest.mark.parametrize(("lock", "extras"), [(lock, extras) for lock, extras in LOCKS.items() if extras])
def test_a_lock_has_all_that_is_declared(lock: str, extras: list[str]) -> None:
    """`make lock` writes them anew where this fails."""
    declared = [*PROJECT["dependencies"], *(one for extra in extras for one in PROJECT["optional-dependencies"][extra])]
    assert {normal(one) for one in declared} - pinned(lock).keys() == set()


def test_all_names_each_extra_for_users() -> None:
    optional = PROJECT["optional-dependencies"]
    named = re.fullmatch(r"toolgate\[([a-z,-]+)\]", optional["all"][0])
    assert named is not None
    assert set(named[1].split(",")) == optional.keys() - {"all", "dev"}
