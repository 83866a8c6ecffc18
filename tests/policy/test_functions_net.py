"""``cidr()``, ``domain()`` and ``host_class()``: one answer, or none where clients differ."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.functions_net import cidr, domain, host_class
from gateway.policy.functions_text import FunctionError


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM:443/x?y#z", "example.com"),
        ("http://example.com.", "example.com"),
        ("http://a@b.com", "b.com"),
        ("http://user:p%40ss@b.com:80/", "b.com"),
        ("http://a.com/?@b.com", "a.com"),
        ("http://a.com/#@b", "a.com"),
        ("http://a.com/\\@b", "a.com"),
        ("http://a.com:", "a.com"),
        ("http://a_b.internal", "a_b.internal"),
        ("http://xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("http://1.2.3.4./", "1.2.3.4"),
        ("http://[::1]:8/x", "::1"),
        ("http://[2001:DB8:0::1]", "2001:db8::1"),
        ("http://[::ffff:10.0.0.1]/x", "10.0.0.1"),
        ("ftp://host/x", "host"),
    ],
)
def test_a_domain_is_the_host_that_is_connected_to(url: str, host: str) -> None:
    assert domain(url) == host


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no absolute URL"),
        ("a.com", "no absolute URL"),
        ("//a.com/b", "no absolute URL"),
        ("http:/a.com", "no absolute URL"),
        ("http:a.com", "no absolute URL"),
        ("http:\\\\a.com", "no absolute URL"),
        (" http://a.com", "no absolute URL"),
        ("javascript:alert(1)", "no absolute URL"),
        ("http:///a.com", "no host"),
        ("file:///etc/passwd", "no host"),
        ("http://a.com\\@b.com/", "backslash"),
        ("http://b.com\\.a.com", "backslash"),
        ("http://a.com#@b.com", "where some clients look"),
        ("http://a.com?@b.com", "where some clients look"),
        ("http://a@b@c", "before @"),
        ("http://a.com @b.com", "before @"),
        ("http://a.com:80:90", "host and port"),
        ("http://a.com:65536", "host and port"),
        ("http://a.com:8o", "host and port"),
        ("http://[::1]a", "host and port"),
        ("http://[::1", "host and port"),
        ("http://a\tb.com", "control character"),
        ("http://a.com\n.b.com", "control character"),
        ("http://a.com/\x00", "control character"),
        ("http://127.1", "address to some"),
        ("http://2130706433", "address to some"),
        ("http://0x7f.0.0.1", "address to some"),
        ("http://0x7f000001", "address to some"),
        ("http://0177.0.0.1", "address to some"),
        ("http://1.2.3.4.5", "address to some"),
        ("http://[fe80::1%eth0]/", "zone"),
        ("http://[::1%25eth0]", "zone"),
        ("http://[v1.x]", "no IPv6"),
        ("http://[::ffff:999.0.0.1]", "no IPv6"),
        ("http://m\u00fcnchen.de", "beyond ASCII"),
        ("http://a\u3002com", "beyond ASCII"),
        ("http://\uff41.com", "beyond ASCII"),
        ("http://\u212a.com", "beyond ASCII"),
        ("http://a%2ecom", "no host"),
        ("http://a b.com", "no host"),
        ("http://a..b", "no host"),
        ("http://-a.com", "no host"),
        ("http://" + "a." * 127 + "com", "no host"),
        ("http://a/" + "x" * 8192, "more than"),
    ],
)
def test_where_clients_differ_there_is_no_domain(url: str, why: str) -> None:
    with pytest.raises(FunctionError, match=why):
        domain(url)


@given(st.text(alphabet="htp:/\\@#?[]%.aB0x1 -_\t\u00fc;&=", max_size=30).map("http://".__add__))
def test_a_domain_is_what_the_standard_library_says_too(url: str) -> None:
    try:
        host = domain(url)
    except FunctionError:
        return
    assert host == (urlsplit(url).hostname or "").removesuffix(".")


@pytest.mark.parametrize(
    ("ip", "network", "inside"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("fd00::1", "fd00::/8", True),
        ("::1", "10.0.0.0/8", False),
        ("10.0.0.1", "::/0", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:a01:203", "10.0.0.0/8", True),
        ("10.1.2.3", "::ffff:10.0.0.0/104", True),
        ("11.1.2.3", "::ffff:10.0.0.0/104", False),
    ],
)
def test_an_address_lies_in_a_range(ip: str, network: str, inside: bool) -> None:
    assert cidr(ip, network) is inside


@pytest.mark.parametrize(
    ("ip", "network", "why"),
    [
        ("x", "10.0.0.0/8", "no IP address"),
        ("", "10.0.0.0/8", "no IP address"),
        ("010.0.0.1", "10.0.0.0/8", "no IP address"),
        ("127.1", "127.0.0.0/8", "no IP address"),
        ("10.0.0.1\0", "10.0.0.0/8", "no IP address"),
        ("10.0.0.1 ", "10.0.0.0/8", "no IP address"),
        ("\u0661\u0660.0.0.1", "10.0.0.0/8", "no IP address"),
        ("fe80::1%eth0", "fe80::/10", "zone"),
        ("fe80::1", "fe80::%eth0/10", "zone"),
        ("10.0.0.1", "10.0.0.1/8", r"write 10\.0\.0\.0/8"),
        ("10.0.0.1", "10.0.0.0/33", "write such as"),
        ("10.0.0.1", "", "no range"),
        ("1" * 65, "10.0.0.0/8", "more than 64"),
        ("10.0.0.1", "1" * 65, "more than 64"),
    ],
)
def test_what_is_no_address_or_no_range_is_an_error(ip: str, network: str, why: str) -> None:
    with pytest.raises(FunctionError, match=why):
        cidr(ip, network)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_a_mapped_address_is_the_address_that_it_stands_for(ip: int, base: int, prefix: int) -> None:
    network = ip_network((base >> (32 - prefix) << (32 - prefix), prefix))
    plain, mapped = str(ip_address(ip)), f"::ffff:{ip >> 16:x}:{ip & 0xFFFF:x}"
    inside = ip_address(ip) in network
    assert cidr(plain, str(network)) is inside
    assert cidr(mapped, str(network)) is inside
    assert cidr(plain, f"::ffff:{network.network_address}/{prefix + 96}") is inside


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("example.com", "public"),
        ("8.8.8.8", "public"),
        ("[2606:4700::1111]", "public"),
        ("[2002:808:808::]", "public"),
        ("internal.example.com", "public"),
        ("notnip.io", "public"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "private"),
        ("127.8.9.1", "private"),
        ("198.18.0.1", "private"),
        ("[::1]", "private"),
        ("[::ffff:192.168.0.1]", "private"),
        ("[::ffff:0:10.0.0.1]", "private"),
        ("[::10.0.0.1]", "private"),
        ("[64:ff9b::10.0.0.1]", "private"),
        ("[64:ff9b:1::1]", "private"),
        ("[2002:a00:1::]", "private"),
        ("[fd00::1]", "private"),
        ("[fec0::1]", "private"),
        ("169.254.169.254", "reserved"),
        ("100.100.100.200", "reserved"),
        ("0.0.0.0", "reserved"),
        ("224.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("[::]", "reserved"),
        ("[fe80::1]", "reserved"),
        ("[fd00:ec2::254]", "reserved"),
        ("[::ffff:169.254.169.254]", "reserved"),
        ("[2002:a9fe:a9fe::]", "reserved"),
        ("[ff02::1]", "reserved"),
        ("localhost", "inside"),
        ("LOCALHOST.", "inside"),
        ("db", "inside"),
        ("vault.internal", "inside"),
        ("a.ns.svc.cluster.local", "inside"),
        ("a.ns.svc", "inside"),
        ("router.home.arpa", "inside"),
        ("10-0-0-1.sslip.io", "inside"),
        ("nip.io", "inside"),
    ],
)
def test_a_host_is_what_is_written(host: str, what: str) -> None:
    assert host_class(f"https://{host}:8443/x") == what


@pytest.mark.parametrize("url", ["http://127.1/", "http://2130706433/", "10.0.0.1", "http://[fe80::1%25eth0]/"])
def test_where_clients_differ_a_host_is_nothing(url: str) -> None:
    with pytest.raises(FunctionError):
        host_class(url)
