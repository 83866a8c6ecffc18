"""The trace log: batches, rotation, full and slow disks."""

from __future__ import annotations

import errno
import json
import os
import threading

import pytest

from gateway.errors import ConfigError
from gateway.model import Outcome, Reason
from gateway.observe import audit
from gateway.observe.audit import BATCH, TraceLog

from .support import permit, refusal, trace, until


@pytest.fixture
def start():
    """Make trace logs that end with the test."""
    logs = []

    def make(*args, **kwargs):
        logs.append(TraceLog(*args, **kwargs))
        return logs[-1]

    yield make
    for log in logs:
        log.close(2)


def calls(path) -> list[str]:
    return [json.loads(line)["call"] for line in path.read_bytes().splitlines()]


class Disk:
    """A write function that can be full, slow, or take only part of what it is given."""

    def __init__(self) -> None:
        self.error: int | None = None
        self.part: int | None = None
        self.open = threading.Event()
        self.open.set()
        self.tries = 0

    def __call__(self, fd: int, data: bytes) -> int:
        self.tries += 1
        assert self.open.wait(5)
        part, self.part = self.part, None
        if part is not None:
            return os.write(fd, data[:part])
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return os.write(fd, data)


async def test_records_arrive_in_order_when_the_log_is_closed(tmp_path, start):
    log = start(str(tmp_path / "trace.jsonl"))
    for number in range(BATCH * 2 + 10):
        log.record(trace(permit(), ident=str(number)))
    assert log.close() == 0
    assert calls(tmp_path / "trace.jsonl") == [str(number) for number in range(BATCH * 2 + 10)]


async def test_a_single_record_is_written_soon_without_company(tmp_path, start):
    import asyncio

    log = start(str(tmp_path / "trace.jsonl"))
    log.record(trace(permit(), ident="one"))
    assert (tmp_path / "trace.jsonl").read_bytes() == b""
    async with asyncio.timeout(5):
        while not (tmp_path / "trace.jsonl").read_bytes():
            await asyncio.sleep(0.005)
    assert calls(tmp_path / "trace.jsonl") == ["one"]


async def test_an_existing_log_is_continued_and_a_torn_last_line_closed(tmp_path, start):
    path = tmp_path / "trace.jsonl"
    path.write_bytes(b'{"call":"old"}\n{"call":"to')
    log = start(str(path))
    log.record(trace(permit(), ident="new"))
    log.close()
    lines = path.read_bytes().splitlines()
    assert lines[:2] == [b'{"call":"old"}', b'{"call":"to']
    assert json.loads(lines[2])["call"] == "new"


async def test_after_a_rotation_new_records_go_to_the_new_file(tmp_path, start):
    path = tmp_path / "trace.jsonl"
    log = start(str(path))
    log.record(trace(permit(), ident="before"))
    log.flush()
    until(lambda: log.status()["unwritten"] == 0)
    path.rename(tmp_path / "trace.1")
    log.record(trace(permit(), ident="after"))
    log.close()
    assert calls(tmp_path / "trace.1") == ["before"]
    assert calls(path) == ["after"]


async def test_a_rotation_in_the_middle_of_a_line_repeats_that_line_in_the_new_file(tmp_path, start):
    path, disk = tmp_path / "trace.jsonl", Disk()
    log = start(str(path), write=disk)
    disk.part, disk.error = 2000, errno.ENOSPC  # in the middle of the second line
    for ident in ("first", "second"):
        log.record(trace(permit(), ident=ident))
    log.flush()
    until(lambda: log.status()["error"])
    path.rename(tmp_path / "trace.1")
    disk.error = None
    log.close()
    assert json.loads((tmp_path / "trace.1").read_bytes().splitlines()[0])["call"] == "first"
    assert calls(path) == ["second"]


async def test_a_full_disk_keeps_records_and_writes_them_once_there_is_room(tmp_path, start, caplog):
    path, disk = tmp_path / "trace.jsonl", Disk()
    log = start(str(path), write=disk)
    disk.error = errno.ENOSPC
    log.record(trace(permit(), ident="kept"))
    log.flush()
    until(lambda: disk.tries >= 2)
    assert log.status()["error"] == os.strerror(errno.ENOSPC)
    assert log.status()["unwritten"] == 1
    disk.error = None
    until(lambda: log.status()["unwritten"] == 0)
    assert calls(path) == ["kept"]
    until(lambda: log.status()["error"] is None)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_drop_loses_only_new_records_at_capacity_and_counts_them(tmp_path, start):
    path, disk, seen = tmp_path / "trace.jsonl", Disk(), []
    disk.open.clear()
    log = start(str(path), "drop", 3, (seen.append,), write=disk)
    for number in range(5):
        log.record(trace(permit(), ident=str(number)))
        log.flush()
    assert log.available
    assert log.dropped == 2
    assert len(seen) == 5, "metrics count what the log dropped"
    disk.open.set()
    log.close()
    assert calls(path) == ["0", "1", "2"]


async def test_refuse_becomes_unavailable_at_capacity_and_available_again(tmp_path, start):
    path, disk = tmp_path / "trace.jsonl", Disk()
    disk.open.clear()
    log = start(str(path), "refuse", 2, write=disk)
    log.record(trace(permit(), ident="0"))
    assert log.available
    log.record(trace(permit(), ident="1"))
    assert not log.available, "what is not handed over yet counts too"
    log.flush()
    assert not log.available
    disk.open.set()
    until(lambda: log.available)


async def test_refuse_still_records_calls_let_through_before_but_not_its_own_refusals(tmp_path, start):
    path, disk = tmp_path / "trace.jsonl", Disk()
    disk.open.clear()
    log = start(str(path), "refuse", 1, write=disk)
    for ident, decision in (("0", permit()), ("refused", refusal(Reason.TRACE_UNAVAILABLE)), ("1", permit())):
        log.record(trace(decision, Outcome(200), ident=ident))
        log.flush()
    disk.open.set()
    log.close()
    assert calls(path) == ["0", "1"]
    assert log.dropped == 1


async def test_long_lines_fill_the_log_by_bytes_and_writing_makes_room(tmp_path, start, monkeypatch):
    monkeypatch.setattr(audit, "MOST_BYTES", 1500)
    disk = Disk()
    disk.open.clear()
    log = start(str(tmp_path / "trace.jsonl"), "refuse", write=disk)
    log.record(trace(permit(), target="/" + "x" * 2000))
    log.flush()
    assert not log.available
    disk.open.set()
    until(lambda: log.available)


async def test_close_gives_up_on_a_disk_that_stays_full(tmp_path, start):
    disk = Disk()
    disk.error = errno.ENOSPC
    log = start(str(tmp_path / "trace.jsonl"), write=disk)
    log.record(trace(permit()))
    assert log.close(0.3) == 1


async def test_one_record_that_cannot_be_encoded_does_not_lose_the_others(tmp_path, start, caplog):
    path = tmp_path / "trace.jsonl"
    log = start(str(path))
    broken = trace(permit(), ident="bad")
    for item in (trace(permit(), ident="0"), replace_wall(broken, float("nan")), trace(permit(), ident="1")):
        log.record(item)
    log.close()
    assert calls(path) == ["0", "1"]
    assert log.dropped == 1
    assert "call bad" in caplog.text


def replace_wall(item, wall):
    from msgspec.structs import replace

    return replace(item, wall=wall)


@pytest.mark.parametrize("path", ["no/such/folder/trace.jsonl", "."])
def test_a_file_that_cannot_be_opened_is_an_error_that_says_what_to_do(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"trace\.file: cannot write .*give a file in a folder that exists"):
        TraceLog(path)


async def test_a_named_pipe_takes_records(tmp_path, start):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = start(str(path))
    log.record(trace(permit(), ident="piped"))
    log.close()
    assert json.loads(os.read(reader, 65536))["call"] == "piped"
    os.close(reader)


def test_a_named_pipe_without_a_reader_is_an_error_and_not_a_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"cannot write"):
        TraceLog(str(tmp_path / "pipe"))


async def test_standard_output_takes_whole_lines(capfd, start):
    log = start("-")
    log.record(trace(permit(), ident="out"))
    log.close()
    assert json.loads(capfd.readouterr().out)["call"] == "out"


async def test_who_follows_gets_each_batch_of_lines(tmp_path):
    batches = []
    log = TraceLog(str(tmp_path / "trace.jsonl"), followers=(batches.append,))
    log.record(trace(permit()))
    log.record(trace(permit()))
    log.flush()
    log.close()
    assert [len(batch) for batch in batches] == [2]
    assert b"".join(batches[0]) == (tmp_path / "trace.jsonl").read_bytes()
