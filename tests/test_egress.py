"""Which addresses connections may go to, by what the tool's URL says of itself."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.model.egress import Egress, is_inside

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]
PRIVATE = ["10.1.2.3", "172.16.0.1", "192.168.7.7", "100.64.1.1", "127.0.0.1", "127.9.9.9", "::1", "fd12::1"]
NEVER = ["169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "::", "224.0.0.1", "ff02::1"]
FORMS = ["::ffff:{}", "64:ff9b::{}", "::{}"]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_fine_for_everybody(address: str) -> None:
    assert Egress().refusal("api.example.com", address) == ""
    assert Egress().refusal("tools", address) == ""


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("host", ["tools", "localhost", "db.svc.cluster.local", "a.svc", "printer.local", "10.0.0.1"])
def test_a_private_address_is_fine_where_the_url_is_inside_itself(address: str, host: str) -> None:
    assert Egress().refusal(host, address) == ""


@pytest.mark.parametrize("address", PRIVATE)
def test_a_public_name_does_not_lead_inside(address: str) -> None:
    assert Egress().refusal("api.example.com", address) != ""
    assert Egress("allow").refusal("api.example.com", address) == ""
    assert Egress("deny").refusal("localhost", address) != ""


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("private", ["auto", "allow"])
def test_where_clouds_keep_credentials_nobody_gets(address: str, private: str) -> None:
    assert Egress(private).refusal("tools", address) != ""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "127.0.0.1"])
def test_an_address_within_another_counts(form: str, address: str) -> None:
    assert Egress().refusal("api.example.com", form.format(address)) != ""


def test_6to4_and_teredo_lead_where_they_lead() -> None:
    assert Egress().refusal("api.example.com", "2002:a9fe:a9fe::1") != ""
    assert Egress().refusal("api.example.com", "2002:5db8:d822::1") == ""


def test_allow_wins_over_all_and_deny_over_the_rest() -> None:
    one = Egress(allow=(ip_network("169.254.169.254/32"),), deny=(ip_network("0.0.0.0/0"),))
    assert one.refusal("api.example.com", "169.254.169.254") == ""
    assert one.refusal("api.example.com", "93.184.216.34") != ""


@pytest.mark.parametrize("host", ["example.com", "local.example.com", "svc.example.com", "8.8.8.8"])
def test_what_looks_public_is_not_inside(host: str) -> None:
    assert not is_inside(host)


def test_what_is_no_address_is_refused() -> None:
    assert Egress().refusal("tools", "not an address") != ""
