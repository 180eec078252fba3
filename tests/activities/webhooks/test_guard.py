"""Where webhooks may lead."""

from ipaddress import ip_address, ip_network

import pytest

from activities.webhooks.guard import AddressRefusedError, Guard, UrlRefusedError

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104 - nothing listens
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a00:1::1",
]
PUBLIC = ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(AddressRefusedError, match="not public"):
        Guard().check_addresses([ip_address("8.8.8.8"), ip_address(address)], is_plain=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_accepted_with_tls_alone(address: str) -> None:
    guard = Guard([ip_network("10.0.0.0/8")])
    guard.check_addresses([ip_address(address)], is_plain=False)
    with pytest.raises(AddressRefusedError, match="use https://"):
        guard.check_addresses([ip_address(address)], is_plain=True)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::7"])
def test_a_network_of_the_setting_is_accepted_with_tls_and_without(address: str) -> None:
    guard = Guard([ip_network("10.1.0.0/16"), ip_network("fd00::/64")])
    for is_plain in (False, True):
        guard.check_addresses([ip_address(address)], is_plain=is_plain)
    with pytest.raises(AddressRefusedError):
        guard.check_addresses([ip_address("10.2.0.1")], is_plain=False)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://example.com/", "must be a URL like https://"),
        ("https://", "must be a URL like https://"),
        ("example.com/events", "must be a URL like https://"),
        ("https://example.com:99999/", "must be a URL like https://"),
        ("https://exa\nmple.com/", "must be a URL like https://"),
        ("http://example.com/", "WEBHOOK_ALLOWED_NETWORKS"),
        ("https://user:password@example.com/", "must not hold credentials"),
        ("https://user@example.com/", "must not hold credentials"),
        ("https://example.com/#part", "must not have a fragment"),
        ("https://10.0.0.1/", "not public"),
        ("https://[::ffff:10.0.0.1]/", "not public"),
        (f"https://example.com/{'a' * 2000}", "at most 2000 characters"),
    ],
)
def test_a_url_that_can_never_be_used_is_refused_at_once(url: str, problem: str) -> None:
    with pytest.raises(UrlRefusedError, match=problem) as caught:
        Guard().check_url(url)
    assert "password@" not in str(caught.value)


def test_other_urls_are_accepted() -> None:
    assert Guard().check_url("https://example.com:8443/events?key=value").port == 8443
    assert Guard([ip_network("10.0.0.0/8")]).check_url("http://10.0.0.1/events").scheme == "http"
