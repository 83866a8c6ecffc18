"""The demo's folder and ports."""

from __future__ import annotations

import socket

import yaml

from gateway.demo.stage import ADMIN, AGENTS, choose_folder, free_port, write_files


def test_the_files_name_the_ports_in_use_and_an_absolute_trace_file(tmp_path):
    config = yaml.safe_load(write_files(tmp_path, {AGENTS: 5001, ADMIN: 5002, 7101: 5003}).read_text())
    assert config["listen"] == "127.0.0.1:5001"
    assert config["admin"] == "127.0.0.1:5002"
    assert config["tools"]["notes"]["url"] == "http://127.0.0.1:5003"
    assert config["tools"]["bank"]["url"] == "http://127.0.0.1:7102"
    assert config["trace"]["file"] == str(tmp_path / "trace.jsonl")
    names = {path.name for path in (tmp_path / "policies").iterdir()}
    assert names == {"access.yaml", "governors.yaml", "payments.yaml", "limits.yaml", "models.yaml", "origins.yaml"}


def test_a_changed_file_is_kept_beside_the_new_one(tmp_path):
    write_files(tmp_path, {})
    policy = tmp_path / "policies" / "access.yaml"
    original = policy.read_text()
    policy.write_text("mine")
    write_files(tmp_path, {})
    assert policy.read_text() == original
    assert (tmp_path / "policies" / "access.yaml.old").read_text() == "mine"
    assert not (tmp_path / "policies" / "limits.yaml.old").exists()


def test_a_port_in_use_gives_another():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_the_folder_is_made_here_or_elsewhere_where_here_is_read_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert choose_folder(None) == tmp_path / "toolgate-demo"
    assert choose_folder(tmp_path / "a" / "b").is_dir()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    elsewhere = choose_folder(None)
    assert elsewhere.is_dir()
    assert tmp_path not in elsewhere.parents or elsewhere.parent != tmp_path
    elsewhere.rmdir()
