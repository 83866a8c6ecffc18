"""``toolgate redirect``: the rules that it writes, and what it says where they cannot be had."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import redirect as command
from gateway.cli.redirect_rules import Direct, nameservers, read_direct, ruleset
from gateway.cli.root import toolgate


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(toolgate, ["redirect", *arguments])


def chain(script: str, name: str) -> list[str]:
    """The rules of one chain, in order."""
    inside = script.partition(f"\tchain {name} {{\n")[2].partition("\t}\n")[0]
    return [line.strip() for line in inside.splitlines()]


def test_the_gateway_and_names_pass_and_the_rest_of_tcp_is_led() -> None:
    done = invoke("print", "--uid", "10001", "--dns", "10.96.0.10", "--dns", "fd00::a")
    assert done.exit_code == 0
    assert chain(done.stdout, "lead") == [
        "type nat hook output priority -100; policy accept;",
        'oif "lo" return comment "what stays on this machine"',
        'meta skuid 10001 return comment "the gateway"',
        "ip daddr 10.96.0.10 meta l4proto { tcp, udp } th dport 53 return",
        "ip6 daddr fd00::a meta l4proto { tcp, udp } th dport 53 return",
        "meta l4proto tcp redirect to :15001",
    ]


def test_what_is_not_named_is_refused() -> None:
    """The last rule refuses all that is left, and the policy drops what comes before the rules are whole."""
    first, *_, last = chain(ruleset(10001, 15001, ["10.96.0.10"]), "hold")
    assert first.endswith("policy drop;")
    assert last.startswith("reject ")


def test_rules_replace_those_of_before_in_one_step() -> None:
    assert ruleset(1, 2, []).startswith("table inet toolgate\ndelete table inet toolgate\ntable inet toolgate {\n")


@pytest.mark.parametrize(
    ("text", "network", "port", "match"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", 0, "ip daddr 10.0.0.0/8"),
        ("10.1.2.3:5432", "10.1.2.3/32", 5432, "ip daddr 10.1.2.3/32 tcp dport 5432"),
        ("10.1.0.0/16:5432", "10.1.0.0/16", 5432, "ip daddr 10.1.0.0/16 tcp dport 5432"),
        ("fd00::/8", "fd00::/8", 0, "ip6 daddr fd00::/8"),
        ("[fd00::1]:5432", "fd00::1/128", 5432, "ip6 daddr fd00::1/128 tcp dport 5432"),
        ("[fd00::/8]:5432", "fd00::/8", 5432, "ip6 daddr fd00::/8 tcp dport 5432"),
        ("[fd00::]/8:5432", "fd00::/8", 5432, "ip6 daddr fd00::/8 tcp dport 5432"),
        ("[fd00::1]", "fd00::1/128", 0, "ip6 daddr fd00::1/128"),
    ],
)
def test_places_that_are_let_out(text: str, network: str, port: int, match: str) -> None:
    found = read_direct(text)
    assert (found, found.match) == (Direct(ip_network(network), port), match)
    done = invoke("print", "--uid", "7", "--no-dns", "--direct", text)
    assert f"{match} return" in chain(done.stdout, "lead")
    assert f"{match} accept" in chain(done.stdout, "hold")


@given(st.text(max_size=30))
def test_whatever_is_written_is_an_address_or_refused(text: str) -> None:
    """So that nothing but addresses and numbers comes into a script that root runs."""
    try:
        match = read_direct(text).match
    except ValueError:
        return
    assert set(match) <= set("0123456789abcdef:./ ipdrtco")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--no-dns"], "Missing option '--uid'"),
        (["--uid", "0", "--no-dns"], "0 is not in the range"),
        (["--uid", "1", "--no-dns", "--dns", "10.0.0.1"], "give one of them"),
        (["--uid", "1", "--dns", "kube-dns"], "'kube-dns' is no address"),
        (["--uid", "1", "--dns", "10.0.0.1 accept"], "is no address"),
        (["--uid", "1", "--no-dns", "--direct", "db:5432"], "write 10.0.0.0/8, 10.1.2.3:5432 or [fd00::/8]:5432"),
        (["--uid", "1", "--no-dns", "--direct", "10.0.0.1:0"], "'0' is no port"),
        (["--uid", "1", "--no-dns", "--direct", "10.0.0.1/8"], "has host bits set"),
    ],
)
def test_mistakes_are_told(arguments: list[str], told: str) -> None:
    done = invoke("print", *arguments)
    assert done.exit_code == 2
    assert told in done.stderr


def test_the_nameservers_of_the_pod_are_asked() -> None:
    conf = (
        "search a.svc\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\nnameserver\nnameserver x\n# nameserver 1.1.1.1\n"
    )
    assert nameservers(conf) == ["10.96.0.10", "fe80::1"]


def test_without_nft_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.shutil, "which", lambda *_, **__: None)
    for arguments in (["apply", "--uid", "1", "--no-dns"], ["remove"]):
        done = invoke(*arguments)
        assert done.exit_code == 1
        assert "there is no nft here; install nftables" in done.stderr


@pytest.mark.parametrize(("uid", "why"), [(0, ""), (7, "; it needs CAP_NET_ADMIN")])
def test_rules_that_the_kernel_does_not_take_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, why: str
) -> None:
    nft = tmp_path / "nft"
    nft.write_text("#!/bin/sh\ncat > /dev/null\necho 'Operation not permitted' >&2\nexit 1\n")
    nft.chmod(0o755)
    monkeypatch.setattr(command.shutil, "which", lambda *_, **__: str(nft))
    monkeypatch.setattr(command.os, "getuid", lambda: uid)
    done = invoke("apply", "--uid", "1", "--no-dns")
    assert done.exit_code == 1
    assert f"nft changed nothing: Operation not permitted{why}" in done.stderr
