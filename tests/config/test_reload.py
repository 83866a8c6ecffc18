"""New versions are found however a file is replaced, and mistakes never replace what runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config import reload
from gateway.config.load import Loaded, load
from gateway.errors import ConfigError
from tests.config.support import CONFIG, GRANT, written

SECRET = CONFIG.replace('"}', '", credential: {header: Authorization, value: "${file:secret}"}}')


class Seen:
    """What the watcher reported, in order."""

    def __init__(self) -> None:
        self._reports: asyncio.Queue[Loaded | ConfigError] = asyncio.Queue()
        self.reload_now = asyncio.Event()
        self.put = self._reports.put_nowait

    async def loaded(self) -> Loaded:
        report = await asyncio.wait_for(self._reports.get(), 10)
        assert isinstance(report, Loaded), report
        return report

    async def error(self) -> ConfigError:
        report = await asyncio.wait_for(self._reports.get(), 10)
        assert isinstance(report, ConfigError)
        return report

    @property
    def nothing(self) -> bool:
        return self._reports.empty()


@asynccontextmanager
async def watching(path: Path, loaded: Loaded | None = None) -> AsyncIterator[Seen]:
    seen, stop = Seen(), asyncio.Event()
    task = asyncio.create_task(reload.watch(path, loaded or load(path), seen.put, seen.put, stop, seen.reload_now))
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def replace(path: Path, text: str) -> None:
    """Write as careful editors do: a new file, renamed over the old one."""
    beside = path.with_name(path.name + "~")
    beside.write_text(text)
    beside.rename(path)


async def test_a_file_written_in_place_is_a_new_version(tmp_path: Path) -> None:
    path = written(tmp_path)
    async with watching(path) as seen:
        path.write_text(CONFIG + "run_header: x-task\n")
        assert (await seen.loaded()).config.run_header == "x-task"


async def test_a_file_renamed_over_is_a_new_version_every_time(tmp_path: Path) -> None:
    path = written(tmp_path)
    async with watching(path) as seen:
        for name in ("x-a", "x-b"):
            replace(path, f"{CONFIG}run_header: {name}\n")
            assert (await seen.loaded()).config.run_header == name


async def test_a_policy_file_added_deep_in_the_folder_is_a_new_version(tmp_path: Path) -> None:
    path = written(tmp_path)
    async with watching(path) as seen:
        (tmp_path / "policies" / "team").mkdir()
        (tmp_path / "policies" / "team" / "more.yaml").write_text(GRANT.replace("name: all", "name: more"))
        assert [grant.name for grant in (await seen.loaded()).book.grants] == ["all", "more"]
        (tmp_path / "policies" / "team" / "more.yaml").unlink()
        assert [grant.name for grant in (await seen.loaded()).book.grants] == ["all"]


async def test_a_config_map_is_followed_through_two_swaps(tmp_path: Path) -> None:
    def version(number: int) -> Path:
        folder = tmp_path / f"..v{number}"
        folder.mkdir()
        written(folder, f"{CONFIG}run_header: x-{number}\npolicies: grants.yaml\n")
        (folder / "grants.yaml").write_text(GRANT)
        return folder

    def point_at(folder: Path) -> None:
        (tmp_path / "..data_tmp").symlink_to(folder.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    point_at(version(1))
    for name in ("toolgate.yaml", "grants.yaml"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    path = tmp_path / "toolgate.yaml"
    async with watching(path) as seen:
        for number in (2, 3):
            point_at(version(number))
            assert (await seen.loaded()).config.run_header == f"x-{number}"


async def test_a_mounted_policy_folder_counts_each_document_once(tmp_path: Path) -> None:
    path = written(tmp_path)
    folder = tmp_path / "policies"
    (folder / "..v1").mkdir()
    (folder / "grants.yaml").rename(folder / "..v1" / "grants.yaml")
    (folder / "..data").symlink_to("..v1")
    (folder / "grants.yaml").symlink_to("..data/grants.yaml")
    async with watching(path) as seen:
        (folder / "..v2").mkdir()
        (folder / "..v2" / "grants.yaml").write_text(GRANT.replace("name: all", "name: some"))
        (folder / "..data_tmp").symlink_to("..v2")
        (folder / "..data_tmp").rename(folder / "..data")
        assert [grant.name for grant in (await seen.loaded()).book.grants] == ["some"]


async def test_a_secret_that_changes_is_a_new_version_of_the_same_name(tmp_path: Path) -> None:
    path = written(tmp_path, SECRET)
    (tmp_path / "secret").write_text("one\n")
    before = load(path)
    async with watching(path, before) as seen:
        replace(tmp_path / "secret", "two\n")
        after = await seen.loaded()
    assert after.tools[0].inject == ((b"Authorization", b"two"),)
    assert after.version == before.version, "secrets must not be recoverable from the version"


async def test_mistakes_are_reported_and_the_fix_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    async with watching(path) as seen:
        path.write_text("tools: {}\n")
        assert "tools: must have at least 1 entry" in str(await seen.error())
        path.write_text(CONFIG + "run_header: x-task\n")
        assert (await seen.loaded()).config.run_header == "x-task"


async def test_a_fix_in_a_folder_that_only_the_broken_version_named_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    async with watching(path) as seen:
        path.write_text(CONFIG + "policies: other\n")
        assert "other does not exist" in str(await seen.error())
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "grants.yaml").write_text(GRANT.replace("name: all", "name: other"))
        loaded = await seen.loaded()
        while not loaded.book.grants:  # the folder may have been seen before its file
            loaded = await seen.loaded()
        assert [grant.name for grant in loaded.book.grants] == ["other"]


async def test_events_without_another_content_do_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    async with watching(path) as seen:
        path.write_text(CONFIG)
        os.utime(path)
        (tmp_path / "unrelated").write_text("x")
        (tmp_path / "policies" / "notes.txt").write_text("x")
        await asyncio.sleep(0.6)
        assert seen.nothing
        path.write_text(CONFIG + "run_header: x-task\n")
        assert (await seen.loaded()).config.run_header == "x-task"


async def test_reload_now_reports_without_a_change(tmp_path: Path) -> None:
    path = written(tmp_path)
    async with watching(path) as seen:
        seen.reload_now.set()
        assert (await seen.loaded()).config.run_header == "x-run-id"


async def test_a_change_between_loading_and_watching_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = load(path)
    path.write_text(CONFIG + "run_header: x-task\n")
    async with watching(path, before) as seen:
        assert (await seen.loaded()).config.run_header == "x-task"


async def test_without_file_events_changes_are_found_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> object:
        raise OSError("inotify limit reached")

    monkeypatch.setattr(reload, "awatch", none)
    monkeypatch.setattr(reload, "LOOK_AGAIN", 0.1)
    path = written(tmp_path)
    async with watching(path) as seen:
        replace(path, CONFIG + "run_header: x-task\n")
        assert (await seen.loaded()).config.run_header == "x-task"
