"""Which URLs a webhook may have, and which addresses its requests may go to."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx

MAX_URL_LENGTH = 2000
MAX_PORT = 65_535

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Networks whose addresses stand for IPv4 addresses, and the position of those in the address, in bits from its end.
_EMBEDDING = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
# Not reachable from everywhere, although Python calls some of them global.
_NEVER_PUBLIC = (
    # Services of clouds, which know secrets of the machine.
    IPv4Network("168.63.129.16/32"),
    IPv4Network("192.0.0.0/24"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("2001::/32"),
    IPv6Network("fec0::/10"),
)


class UrlRefusedError(Exception):
    """A webhook can't have this URL; the message says what to change."""


class AddressRefusedError(Exception):
    """The name of a URL leads to an address that requests may not go to."""


class Guard:
    """Allows public addresses, and others if an operator has named their network."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed: Sequence[Network] = tuple(allowed)

    def check_url(self, url: str) -> httpx.URL:
        """Return the parsed URL; raises `UrlRefusedError`. The addresses of a name are checked by each connection."""
        if len(url) > MAX_URL_LENGTH:
            raise UrlRefusedError(f"must have at most {MAX_URL_LENGTH} characters")
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            raise UrlRefusedError("must be a URL like https://example.com/events") from None
        if parsed.scheme not in {"https", "http"} or not parsed.host or (parsed.port or 0) > MAX_PORT:
            raise UrlRefusedError("must be a URL like https://example.com/events")
        if parsed.userinfo:
            raise UrlRefusedError("must not hold credentials; requests are signed instead")
        if "#" in url:
            raise UrlRefusedError("must not have a fragment (#…), because it is not sent")
        is_plain = parsed.scheme == "http"
        if is_plain and not self._allowed:
            raise UrlRefusedError(
                "must begin with https://; http:// is only for networks in WEBHOOK_ALLOWED_NETWORKS, which is not set"
            )
        try:
            literal = ip_address(parsed.host)
        except ValueError:
            return parsed
        try:
            self.check_addresses([literal], is_plain=is_plain)
        except AddressRefusedError as error:
            raise UrlRefusedError(str(error)) from None
        return parsed

    def check_addresses(self, addresses: Iterable[Address], *, is_plain: bool) -> None:
        """Raise `AddressRefusedError` unless requests, without TLS if `is_plain`, may go to all of them."""
        for address in addresses:
            meant = _meant(address)
            if self._is_allowed(address) or (meant != address and self._is_allowed(meant)):
                continue
            if is_plain:
                raise AddressRefusedError("http:// is only for networks in WEBHOOK_ALLOWED_NETWORKS; use https://")
            if not _is_public(meant):
                raise AddressRefusedError(
                    "the host has an address that is not public, in a network that WEBHOOK_ALLOWED_NETWORKS lacks"
                )

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed if network.version == address.version)


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or else the address itself."""
    if isinstance(address, IPv6Address):
        for network, shift in _EMBEDDING:
            # `::` and `::1` are no IPv4 addresses.
            if address in network and int(address) > 1:
                return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    return not any(address in network for network in _NEVER_PUBLIC if network.version == address.version)
