"""The store's thread: what it is given is stored, whatever the disk does; what is old or too much goes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest

from gateway.errors import ConfigError
from gateway.observe.audit import TraceLog
from gateway.observe.store import thread, writing
from gateway.observe.store.file import StoreError, open_for_reading, open_for_writing
from gateway.observe.store.found import Filter
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.rows import stored
from gateway.observe.store.thread import TraceStore
from tests.observe.support import permit, trace, until

from .support import START, kept, made

EVER = 1e10
"""Seconds to keep a record that must not go."""


@pytest.fixture
def start(tmp_path):
    """Make stores that end with the test."""
    stores = []

    def make(keep=EVER, max_size=1 << 30, **options):
        stores.append(TraceStore(str(tmp_path / "traces.db"), keep, max_size, **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close(2)


@pytest.fixture
def reader(tmp_path):
    """A reader of the store, as another process has one."""
    readers = []

    def make():
        readers.append(TraceReader(open_for_reading(tmp_path / "traces.db")))
        return readers[-1]

    yield make
    for one in readers:
        one.close()


def numbers(reader: TraceReader, wanted: Filter = Filter()) -> list[int]:
    return sorted(int(row.call[1:]) for row in reader.calls(wanted, limit=100_000))


class Disk:
    """Inserts as ``writing.insert``, but fails as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.tries = 0

    def __call__(self, connection, batch):
        self.tries += 1
        if self.error is not None:
            raise self.error
        writing.insert(connection, batch)


def test_what_is_put_is_stored_in_order_and_read_while_the_writer_lives(start, reader):
    store = start()
    for number in range(0, 300, 100):
        store.put(kept(*(made(number + at) for at in range(100))))
    until(lambda: store.waiting == 0)
    asked = reader()
    assert numbers(asked) == list(range(300))
    store.put(kept(made(300)))
    until(lambda: store.waiting == 0)
    assert [row.call for row in asked.calls(limit=2)] == ["c300", "c299"]
    assert asked.last() == 301


async def test_the_log_hands_over_the_records_that_it_writes(tmp_path, start, reader):
    log = TraceLog(str(tmp_path / "trace.jsonl"), store=start())
    for number in range(5):
        log.record(trace(permit(), ident=f"c{number}"))
    assert log.status()["store"]["dropped"] == 0
    assert log.close() == 0
    lines = (tmp_path / "trace.jsonl").read_bytes().splitlines()
    rows = reader().calls()
    assert [row.record for row in reversed(rows)] == [orjson.loads(line) for line in lines]


def test_ids_are_not_used_again_when_everything_has_gone(start, reader):
    store = start()
    store.put(kept(made(0), made(1)))
    assert store.close(5) == 0
    connection = open_for_writing(store.path)
    assert writing.forget(connection, 1 << 60) == 2
    connection.close()
    start().put(kept(made(2)))
    until(lambda: reader().last() == 3)


def test_without_room_records_are_lost_and_counted_and_nobody_waits(start, reader, monkeypatch):
    disk = Disk(sqlite3.OperationalError("database or disk is full"))
    store = start(most_records=10, insert=disk)
    for number in range(0, 30, 5):
        store.put(kept(*(made(number + at) for at in range(5))))
    assert (store.waiting, store.dropped) == (10, 20)
    until(lambda: store.error)
    assert store.status()["error"] == "database or disk is full"
    disk.error = None
    until(lambda: store.waiting == 0)
    assert (store.error, store.dropped) == ("", 20)
    assert numbers(reader()) == list(range(10))


def test_bytes_are_bounded_too(start, monkeypatch):
    monkeypatch.setattr(thread, "MOST_BYTES", 2500)
    store = start(insert=Disk(sqlite3.OperationalError("locked")))
    for _ in range(4):
        store.put([stored(made(), b"x" * 1000)])
    assert (store.waiting, store.dropped) == (2, 2)


def test_a_record_that_can_never_be_stored_is_lost_and_the_next_ones_are_not(start, reader):
    store = start()
    good, bad = kept(made(0), made(1))
    bad = type(bad)(bad.line, (object(), *bad.values[1:]))
    store.put([bad])
    until(lambda: store.dropped == 1)
    store.put([good])
    until(lambda: store.waiting == 0)
    assert numbers(reader()) == [0]


def test_closing_gives_up_where_the_disk_stays_full(start):
    store = start(insert=Disk(sqlite3.OperationalError("database or disk is full")))
    store.put(kept(made(0), made(1)))
    until(lambda: store.error)
    assert store.close(0.2) == 2


def test_what_is_older_than_it_is_kept_goes(start, reader):
    now = time.time()
    first = start()
    first.put(kept(*(made(number, wall=now - (100 if number < 700 else 0)) for number in range(720))))
    assert first.close(5) == 0
    start(keep=50)
    asked = reader()
    until(lambda: asked.extent().calls == 20)
    assert numbers(asked) == list(range(700, 720))


def test_the_oldest_go_where_records_take_too_much(start, reader):
    first = start()
    first.put(kept(*(made(number) for number in range(3000))))
    assert first.close(5) == 0
    second = start(max_size=1 << 20)
    asked = reader()
    until(lambda: 0 < second.size <= 1 << 20)
    left = numbers(asked)
    assert left == list(range(left[0], 3000))
    assert 300 < len(left) < 2500


def test_free_pages_are_given_back(tmp_path):
    connection = open_for_writing(str(tmp_path / "traces.db"))
    writing.insert(connection, kept(*(made(number) for number in range(3000))))
    before = connection.execute("PRAGMA page_count").fetchone()[0]
    while writing.forget(connection, 1 << 60):
        pass
    while writing.release(connection, 16):
        pass
    assert connection.execute("PRAGMA page_count").fetchone()[0] < before / 10
    connection.close()


def test_words_are_indexed_when_there_is_time(tmp_path, start):
    store = start()
    store.put(kept(*(made(number) for number in range(600))))
    asked = open_for_reading(tmp_path / "traces.db")
    until(lambda: asked.execute("SELECT value FROM marks WHERE name = 'worded'").fetchone()[0] == 600)
    asked.close()


def test_two_processes_may_write_one_store(start, reader):
    one, two = start(), start()
    one.put(kept(*(made(number) for number in range(100))))
    two.put(kept(*(made(number) for number in range(100, 200))))
    until(lambda: one.waiting == two.waiting == 0)
    assert numbers(reader()) == list(range(200))


def test_a_store_that_is_moved_away_while_it_is_written_is_made_anew(tmp_path, start, reader, monkeypatch):
    monkeypatch.setattr(thread, "_TIDY", 0.0)
    store = start()
    store.put(kept(made(0)))
    until(lambda: store.waiting == 0)
    for file in list(tmp_path.iterdir()):
        file.rename(tmp_path / ("moved" + file.name))
    until(lambda: opens(tmp_path / "traces.db"))
    store.put(kept(made(1)))
    until(lambda: numbers(reader()) == [1])
    moved = TraceReader(open_for_reading(tmp_path / "movedtraces.db"))
    assert numbers(moved)[:1] == [0]
    moved.close()


def opens(path: Path) -> bool:
    try:
        open_for_reading(path).close()
    except StoreError:
        return False
    return True


def test_of_several_processes_that_start_at_once_one_makes_the_store(tmp_path):
    failed = []

    def begin():
        try:
            open_for_writing(str(tmp_path / "traces.db")).close()
        except ConfigError as error:
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    assert opens(tmp_path / "traces.db")


WRITER = """
import sys, time
from gateway.observe.store.thread import TraceStore
from tests.observe.store.support import kept, made
store = TraceStore(sys.argv[1], 1e10, 1 << 30)
number = 0
while True:
    store.put(kept(*(made(number + at) for at in range(50))))
    number += 50
    while store.waiting > 500:
        time.sleep(0.001)
    print(number - store.waiting, flush=True)
"""


def test_kill_9_loses_the_tail_only(tmp_path, start, reader):
    path = tmp_path / "traces.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert writer.stdout is not None
    told = 0
    while told < 3000:
        told = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    told = int((writer.stdout.read().splitlines() or [b"0"])[-1]) or told
    writer.stdout.close()
    writer.wait()
    connection = open_for_writing(str(path))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    found = numbers(reader())
    assert found == list(range(len(found)))
    assert len(found) >= told - 50
    store = start()
    store.put(kept(made(len(found))))
    assert store.close(5) == 0
    assert numbers(reader()) == list(range(len(found) + 1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a database at all, by far" * 50, "file is not a database"),
        (b"", ""),
        ("CREATE TABLE users (id)", "is a database, but no trace store"),
        ("PRAGMA application_id = 1413955924; PRAGMA user_version = 99; CREATE TABLE calls (id)", "version 99, not 2"),
    ],
)
def test_a_file_that_is_no_store_is_told_at_the_start(tmp_path, content, said):
    path = tmp_path / "traces.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        connection = sqlite3.connect(path)
        connection.executescript(content)
        connection.close()
    if not said:
        open_for_writing(str(path)).close()  # an empty file becomes one
        return
    with pytest.raises(ConfigError) as caught:
        TraceStore(str(path), 1, 1 << 20)
    assert said in str(caught.value)
    assert "move the file away" in str(caught.value)


def test_a_folder_that_is_not_there_is_told_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="give a file in a folder that exists"):
        TraceStore(str(tmp_path / "missing" / "traces.db"), 1, 1 << 20)


def test_readers_see_whole_transactions_while_the_store_is_written(start, reader):
    store, asked, ended = start(), reader(), threading.Event()

    def write():
        for number in range(0, 4000, 40):
            store.put(kept(*(made(number + at) for at in range(40))))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not (ended.is_set() and store.waiting == 0):
        counted = asked.extent().calls
        assert counted >= seen
        assert counted % 40 == 0
        seen = counted
        time.sleep(0.005)
    writer.join()
    assert asked.extent().calls == 4000
    assert asked.calls(limit=1)[0].at == START + 3999
