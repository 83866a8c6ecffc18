"""Lays out the root of the image: an interpreter, the shared libraries that it and the packages load, certificates,
users; no shell, no package manager, nothing else. Runs while the image is built, with the base image's interpreter:

    python3 rootfs.py APPLICATION OUT [PROGRAM...]

APPLICATION is the virtual environment, which is thinned out where it is; OUT becomes the root; PROGRAMs and the
libraries that they need go along. Scanners find the Debian packages in /var/lib/dpkg/status.d, as in distroless images.
"""

from __future__ import annotations

import os
import py_compile
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

UNUSED_MODULES = (
    *("__pycache__", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "dist-packages", "test"),
    *("tkinter", "turtledemo", "turtle.py", "config-3*", "EXTERNALLY-MANAGED", "_pyrepl"),
    *("readline*.so", "_curses*.so", "_dbm*.so", "_gdbm*.so", "_test*.so", "_tkinter*.so"),
)
UNUSED_FOLDERS = (
    "site-packages/cel_expr_python/ext",  # extensions of CEL that the gateway does not load: 36 MB
    "site-packages/bazel-project",  # what that package was built from
    "site-packages/pygments/lexers",  # colours for listings of programs: 8 MB
)
SOURCES = (".c", ".h", ".pxd", ".pxi", ".pyi", ".pyx")
PROGRAMS = ("python", "python3", "toolgate")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
FILES = (CERTIFICATES, *map(Path, ("/etc/debian_version", "/etc/ld.so.cache", "/etc/os-release")))
USER = 10001
PASSWD = f"root:x:0:0:root:/:/sbin/nologin\ntoolgate:x:{USER}:{USER}:toolgate:/var/lib/toolgate:/sbin/nologin\n"
GROUP = f"root:x:0:\ntoolgate:x:{USER}:\n"


def main(application: Path, out: Path, programs: list[Path]) -> None:
    """Lay out ``out``, thin out ``application``, and compile both."""
    out.mkdir(parents=True)
    merge_usr(out)
    thin(application)
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, within(out, stdlib), ignore=shutil.ignore_patterns(*UNUSED_MODULES))
    interpreter = application / "bin" / "python"
    found = [interpreter, *programs, *binaries(within(out, stdlib)), *binaries(application)]
    taken = [*programs, *sorted(libraries(found)), *FILES, interpreter]
    for file in taken:
        copy(file, out, application)
    compile_all([within(out, stdlib), application], out, application)
    believe(out)
    describe(out, taken)
    furnish(out)


def within(out: Path, path: Path) -> Path:
    """Where ``path`` lies in the new root."""
    return out / path.relative_to("/")


def merge_usr(out: Path) -> None:
    """/lib and the like lead into /usr, as they do in the base image."""
    for name in ("bin", "lib", "lib64", "sbin"):
        if (link := Path("/", name)).is_symlink():
            (out / name).symlink_to(os.readlink(link))
            (out / "usr" / name).mkdir(parents=True)


def thin(application: Path) -> None:
    """Remove what no import needs."""
    for path in sorted(application.rglob("*"), reverse=True):
        if path.is_symlink():
            continue
        if path.is_dir():
            if path.name in ("tests", "__pycache__") or any(path.match(f"*/{end}") for end in UNUSED_FOLDERS):
                shutil.rmtree(path)
        elif path.suffix in SOURCES or (path.parent == application / "bin" and path.name not in PROGRAMS):
            path.unlink()


def compile_all(folders: Iterable[Path], out: Path, application: Path) -> None:
    """Bytecode that knows no times, so that it is the same for the same sources. Of others' modules nothing but that is
    kept: a traceback then has their files and lines without the text (28 MB). The gateway's own stay readable."""
    own = next((application / "lib").glob("python3*/site-packages/gateway"))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for source in sorted(path for folder in folders for path in folder.rglob("*.py")):
        shown = str(source).removeprefix(str(out))
        if source.is_relative_to(own):
            py_compile.compile(str(source), dfile=shown, doraise=True, invalidation_mode=mode)
        else:
            py_compile.compile(str(source), f"{source}c", shown, doraise=True, invalidation_mode=mode)
            source.unlink()


def binaries(folder: Path) -> Iterator[Path]:
    """The shared objects in it."""
    return (path for path in folder.rglob("*.so*") if path.is_file())


def libraries(objects: Iterable[Path]) -> set[Path]:
    """The shared libraries that they load, and the loader; those that wheels bring along are not among them."""
    told = subprocess.run(["ldd", *map(str, objects)], check=True, capture_output=True, text=True).stdout
    if "not found" in told:
        sys.exit(f"libraries are missing:\n{told}")
    named = (word for line in told.splitlines() if line.startswith("\t") for word in line.split())
    return {Path(word) for word in named if word.startswith(("/lib", "/usr/"))}


def copy(path: Path, out: Path, application: Path) -> None:
    """Copy a file, and every link on the way to it; what is in ``application`` is copied with that."""
    while path.is_symlink():
        if not path.is_relative_to(application):
            place(path, out)
        path = path.parent / os.readlink(path)
    place(path, out)


def place(path: Path, out: Path) -> None:
    """Copy a file, or a link as one, to the place that it has when the links among the folders are followed."""
    target = within(out, path.parent.resolve() / path.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink() and not target.exists():
        shutil.copy2(path, target, follow_symlinks=False)


def believe(out: Path) -> None:
    """The authorities are where OpenSSL looks for them."""
    cafile = within(out, Path(ssl.get_default_verify_paths().openssl_cafile))
    cafile.parent.mkdir(parents=True, exist_ok=True)
    cafile.symlink_to(CERTIFICATES)


def describe(out: Path, files: Iterable[Path]) -> None:
    """The Debian packages that files are of, with their copyright, where scanners look for them."""
    status = out / "var/lib/dpkg/status.d"
    status.mkdir(parents=True)
    for package in sorted({"base-files", "ca-certificates", *filter(None, map(package_of, files))}):
        name = package.partition(":")[0]
        told = subprocess.run(["dpkg-query", "-s", package], check=True, capture_output=True, text=True).stdout
        (status / name).write_text(told)
        if (terms := Path("/usr/share/doc", name, "copyright")).exists():
            copy(terms, out, Path("/nonexistent"))


def package_of(path: Path) -> str | None:
    """The Debian package that a file is of; None where the base image has it from elsewhere."""
    file = path.resolve()
    before_merge = Path("/") / file.relative_to("/usr") if file.is_relative_to("/usr") else file
    for spelling in (file, before_merge):
        found = subprocess.run(["dpkg-query", "-S", str(spelling)], check=False, capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.partition(": ")[0].partition(",")[0]
    return None


def furnish(out: Path) -> None:
    """Users, names of hosts, and the folders that programs take for granted."""
    etc = out / "etc"
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (etc / "toolgate").mkdir()
    (out / "usr" / "local").mkdir(exist_ok=True)
    for name in ("dev", "proc", "run", "sys"):
        (out / name).mkdir()
    (out / "tmp").mkdir()
    (out / "tmp").chmod(0o1777)


if __name__ == "__main__":
    first, second, *rest = map(Path, sys.argv[1:])
    main(first, second, rest)
