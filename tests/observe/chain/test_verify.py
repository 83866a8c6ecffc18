"""Every change of an audit is found, and its place named."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.observe.chain.folder import HEAD, forget, salts, segments
from gateway.observe.chain.records import Link, canonical, seal
from gateway.observe.chain.verify import prove, verify
from gateway.observe.chain.writer import AuditLog
from gateway.observe.trace import line_of
from tests.observe.support import until

from .support import KEY, made, written


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "audit"
    written(folder)
    assert verify(folder, KEY).whole
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "audit"))


def lines(folder: Path) -> list[tuple[Path, int]]:
    """Every line of the chain: its file, and its number in it from 0."""
    return [(path, at) for _, path in segments(folder) for at in range(len(path.read_bytes().splitlines()))]


def rewrite(path: Path, all_lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in all_lines))


def found(folder: Path, **options: object) -> list[str]:
    return [str(flaw) for flaw in verify(folder, KEY, **options).flaws]  # type: ignore[arg-type]


def test_a_whole_chain_is_found_whole(whole: Path) -> None:
    report = verify(whole, KEY)
    assert report.whole
    assert report.closed
    assert report.segments > 2
    assert report.last == report.checkpoint
    assert (report.tail, report.torn, report.unsigned) == (0, 0, 0)
    kinds = [orjson.loads(line)["record"]["kind"] for _, path in segments(whole) for line in path.open("rb")]
    assert {"opened", "call", "change", "checkpoint"} == set(kinds)


def test_every_single_deletion_is_found(whole: Path, tmp_path: Path) -> None:
    for number, (path, at) in enumerate(lines(whole)):
        folder = Path(shutil.copytree(whole, tmp_path / str(number)))
        kept = path.read_bytes().splitlines()
        del kept[at]
        rewrite(folder / path.name, kept)
        assert found(folder), (path.name, at)


def test_every_single_repetition_and_swap_is_found(whole: Path, tmp_path: Path) -> None:
    for number, (path, at) in enumerate(lines(whole)):
        told = path.read_bytes().splitlines()
        folder = Path(shutil.copytree(whole, tmp_path / f"r{number}"))
        rewrite(folder / path.name, [*told[: at + 1], told[at], *told[at + 1 :]])
        assert found(folder), (path.name, at)
        if at:
            folder = Path(shutil.copytree(whole, tmp_path / f"s{number}"))
            rewrite(folder / path.name, [*told[: at - 1], told[at], told[at - 1], *told[at + 1 :]])
            assert any(f"{path.name}:" in flaw for flaw in found(folder)), (path.name, at)


def test_every_truncation_is_found(whole: Path, tmp_path: Path) -> None:
    """At every line, whole segments too: the head knows how far the chain reached."""
    everything = [(path.name, path.read_bytes().splitlines()) for _, path in segments(whole)]
    for number, (path, at) in enumerate(lines(whole)):
        folder = Path(shutil.copytree(whole, tmp_path / str(number)))
        for name, told in everything:
            if name == path.name:
                rewrite(folder / name, told[:at])
            elif name > path.name:
                (folder / name).unlink()
        assert any("missing at the end" in flaw for flaw in found(folder)), (path.name, at)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_changed_byte_is_found(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any byte of the chain or the head, changed, removed or added."""
    files = [*(path for _, path in segments(whole)), whole / HEAD]
    path = data.draw(st.sampled_from(files), "file")
    told = path.read_bytes()
    at = data.draw(st.integers(0, len(told) - 1), "place")
    with_byte = bytes([data.draw(st.integers(0, 255).filter(lambda byte: byte != told[at]), "byte")])
    removed, before, after = told[at + 1 :], told[:at], told[at:]
    changed = before + data.draw(st.sampled_from([with_byte + removed, removed, with_byte + after]))
    if changed == told:
        return
    folder = Path(shutil.copytree(whole, tmp_path_factory.mktemp("changed") / "audit"))
    (folder / path.name).write_bytes(changed)
    report = verify(folder, KEY)
    assert report.flaws or report.torn
    assert not (report.whole and report.closed)


def test_an_edit_is_named_with_its_place(copy: Path) -> None:
    path, at = next((path, at) for path, at in lines(copy) if b'"call":"c3"' in path.read_bytes().splitlines()[at])
    told = path.read_bytes().splitlines()
    told[at] = told[at].replace(b'"refuse"', b'"allow"')
    rewrite(path, told)
    (flaw,) = found(copy)
    assert flaw.startswith(f"{path.name}:{at + 1}: record ")
    assert "was changed" in flaw


def test_who_seals_everything_anew_without_the_key_is_found_by_checkpoints_and_head(copy: Path) -> None:
    """An edit, and every hash after it made right again: only the key, or somebody who kept a hash, can tell."""
    kept = verify(copy, KEY).last.hash
    link = Link()
    for _, path in segments(copy):
        anew = []
        for line in path.read_bytes().splitlines():
            record = orjson.loads(line)["record"]
            if record.get("call") == "c3":
                record["decision"] = "allow"
            sealed, link = seal(record, link)
            anew.append(sealed[:-1])
        rewrite(path, anew)
    told = orjson.loads((copy / HEAD).read_bytes())
    (copy / HEAD).write_bytes(canonical({**told, "hash": link.hash}) + b"\n")
    assert verify(copy).whole, "without the key, this is a whole chain"
    assert [flaw for flaw in found(copy) if "not signed with this key" in flaw]
    assert [flaw for flaw in found(copy) if HEAD in flaw]
    assert [flaw for flaw in verify(copy, expect=kept).flaws if "expected" in flaw.what]


def test_an_older_head_with_a_shorter_chain_is_found_only_by_a_hash_that_was_kept(tmp_path: Path) -> None:
    """What the documentation warns of: who can put back an older state of all files can cut the end off."""
    folder = tmp_path / "audit"
    written(folder, calls=2)
    older = Path(shutil.copytree(folder, tmp_path / "older"))
    written(folder, calls=2)
    kept = verify(folder, KEY).last.hash
    assert verify(older, KEY).whole
    assert not verify(older, KEY, expect=kept).whole
    assert verify(folder, KEY, expect=kept).whole


def test_segments_that_were_moved_away_are_missed_unless_that_is_said(copy: Path) -> None:
    first = segments(copy)[0][1]
    last = orjson.loads(first.read_bytes().splitlines()[-1])["hash"]
    first.unlink()
    assert any("what came before it is missing" in flaw for flaw in found(copy))
    assert not found(copy, begins=last)
    assert found(copy, begins="ab" * 32)


def test_a_segment_that_is_missing_in_between_is_found(copy: Path) -> None:
    segments(copy)[1][1].unlink()
    flaws = found(copy)
    assert any("there is no segment 2" in flaw for flaw in flaws)
    assert any("are missing before record" in flaw for flaw in flaws)


def test_a_missing_head_is_found(copy: Path) -> None:
    (copy / HEAD).unlink()
    assert found(copy) == [f"{HEAD}:1: it is missing"]


def test_unsigned_checkpoints_where_a_key_is_given_are_flaws(tmp_path: Path) -> None:
    written(tmp_path / "audit", key=None)
    report = verify(tmp_path / "audit")
    assert report.whole
    assert report.unsigned > 0
    assert any("is not signed" in flaw for flaw in found(tmp_path / "audit"))


# -- going on -----------------------------------------------------------------------------------------------------


def test_the_next_process_goes_on_with_the_chain(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    written(folder, calls=2)
    before = verify(folder, KEY)
    written(folder, calls=2)
    after = verify(folder, KEY)
    assert after.whole
    assert after.last.seq > before.last.seq
    opened = [record for record in records(folder) if record["kind"] == "opened"]
    assert [record["after"] for record in opened] == ["nothing", "close"]


def records(folder: Path) -> list[dict]:
    whole = [line for _, path in segments(folder) for line in path.open("rb") if line.endswith(b"\n")]
    return [orjson.loads(line)["record"] for line in whole]


@pytest.mark.parametrize("crashes", [1, 2])
def test_a_torn_end_is_told_by_the_next_process_and_stays_as_it_was(tmp_path: Path, crashes: int) -> None:
    folder = tmp_path / "audit"
    written(folder, calls=3)
    for _ in range(crashes):
        last = segments(folder)[-1][1]
        if crashes == 2 and _ == 1:
            last = folder / f"audit-{segments(folder)[-1][0] + 1:08}.jsonl"  # killed while it wrote its first line
        torn = last.read_bytes() if last.exists() else b""
        line, _link = seal({"kind": "call"}, verify(folder, KEY).last)
        last.write_bytes(torn + line[:40])
    report = verify(folder, KEY)
    assert (report.whole, report.closed, report.torn) == (True, False, 40 * crashes)
    written(folder, calls=1)
    report = verify(folder, KEY)
    assert (report.whole, report.closed, report.torn) == (True, True, 0)
    last.write_bytes(last.read_bytes() + b"x")
    assert any("does not say so" in flaw for flaw in found(folder))


def test_a_record_after_the_end_of_a_gateway_is_found_unless_another_began(copy: Path) -> None:
    last = segments(copy)[-1][1]
    line, _ = seal({"kind": "call", "call": "late"}, verify(copy, KEY).last)
    last.write_bytes(last.read_bytes() + line)
    (flaw,) = found(copy)
    assert flaw.startswith(f"{last.name}:{len(last.read_bytes().splitlines())}: ")
    assert "was added" in flaw


def test_records_after_the_last_checkpoint_are_counted(copy: Path) -> None:
    last = segments(copy)[-1][1]
    line, _ = seal({"kind": "opened", "after": "close"}, verify(copy, KEY).last)
    last.write_bytes(last.read_bytes() + line)
    report = verify(copy, KEY)
    assert (report.whole, report.closed, report.tail) == (True, False, 1)


def test_a_chain_that_is_not_whole_is_not_gone_on_with(copy: Path) -> None:
    last = segments(copy)[-1][1]
    told = last.read_bytes()
    for wrong in (told.replace(b'"closing":true', b'"closing":trux'), b"".join(told.splitlines(keepends=True)[:-1])):
        last.write_bytes(wrong)
        with pytest.raises(ConfigError, match="toolgate verify"):
            AuditLog(str(copy), KEY)


def test_two_processes_do_not_write_one_audit(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit"), KEY)
    with pytest.raises(ConfigError, match="another process"):
        AuditLog(str(tmp_path / "audit"), KEY)
    log.close()


def test_a_head_of_another_key_is_not_gone_on_with(copy: Path) -> None:
    with pytest.raises(ConfigError, match="whoever has the key"):
        AuditLog(str(copy), b"other" * 8)


# -- the disk fails -----------------------------------------------------------------------------------------------


class Disk:
    """Takes what it has room for."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, file: int, data: bytes) -> int:
        import os

        if self.room <= 0:
            raise OSError(28, "No space left on device")
        done = os.write(file, data[: self.room])
        self.room -= done
        return done


@pytest.mark.parametrize("room", [700, 1000, 1500])
def test_a_full_disk_refuses_calls_and_loses_nothing(tmp_path: Path, room: int) -> None:
    disk = Disk(room)
    log = AuditLog(str(tmp_path / "audit"), KEY, write=disk)
    for number in range(5):
        log.put([(made(number), line_of(made(number)))])
    until(lambda: bool(log.error))
    assert not log.available
    assert log.status()["error"] == "No space left on device"
    disk.room = 1 << 20
    until(lambda: log.available and log.unwritten == 0)
    assert log.close() == 0
    assert verify(tmp_path / "audit", KEY).closed
    assert verify(tmp_path / "audit", KEY).whole


def test_what_is_beyond_the_capacity_is_lost_counted_and_on_record(tmp_path: Path) -> None:
    disk = Disk(0)
    log = AuditLog(str(tmp_path / "audit"), KEY, refuses=False, capacity=3, write=disk)
    until(lambda: bool(log.error))
    for number in range(6):
        log.put([(made(number), line_of(made(number)))])
    assert log.available, "calls go on"
    assert (log.unwritten, log.dropped) == (3, 3)
    disk.room = 1 << 20
    until(lambda: log.unwritten == 0)
    assert log.close() == 0
    assert [record["calls"] for record in records(tmp_path / "audit") if record["kind"] == "lost"] == [3]


def test_permitted_calls_are_taken_beyond_the_capacity_where_none_may_go_unrecorded(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit"), KEY, capacity=1, write=Disk(0))
    until(lambda: bool(log.error))
    log.put([(made(number), line_of(made(number))) for number in range(6)])
    assert (log.unwritten, log.dropped) == (4, 2), "two were refusals"
    assert not log.available
    assert log.close(0.2) == 4


# -- proof, and forgetting ------------------------------------------------------------------------------------------


def test_records_of_the_trace_are_proven_and_changes_of_them_found(copy: Path, tmp_path: Path) -> None:
    told = [line_of(made(number)) for number in range(6)]
    log = tmp_path / "trace.jsonl"
    log.write_bytes(b"".join(told) + line_of(made(99)))
    proofs = prove(copy, [log])
    assert (proofs.proven, proofs.unknown, proofs.changed) == (6, 1, ())
    log.write_bytes(b"".join(told).replace(b'"detail":"no"', b'"detail":"yes"', 1))
    proofs = prove(copy, [log])
    assert proofs.proven == 5
    assert [str(flaw) for flaw in proofs.changed] == ["trace.jsonl:1: the record of call c0 was changed"]


def test_what_is_forgotten_proves_nothing_any_more_and_the_chain_still_holds(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    written(folder, calls=3, run="r1")
    written(folder, calls=3, run="r2")
    log = tmp_path / "trace.jsonl"
    log.write_bytes(b"".join(line_of(made(number, "r2")) for number in range(3)))
    before = salts(folder)
    assert len(before) == 6
    assert forget(folder, run="r1", agent="somebody") == 0
    assert forget(folder, run="r2") == 3
    assert forget(folder, run="r2") == 0
    assert len(salts(folder)) == 3
    on_disk = b"".join(path.read_bytes() for path in folder.glob("salts-*"))
    gone = [salt for seq, salt in before.items() if seq not in salts(folder)]
    assert len(gone) == 3
    assert not [salt for salt in gone if salt.hex().encode() in on_disk]
    assert prove(folder, [log]).forgotten == 3
    assert verify(folder, KEY).whole
    assert forget(folder, agent=made(0).agent.id) == 3
    with pytest.raises(ValueError):
        forget(folder)
