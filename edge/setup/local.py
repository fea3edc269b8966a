"""Who is near enough: addresses of the local link, and nobody beyond it. Pure functions, but for ``on``.

The only user of ifaddr.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import ifaddr

from edge.errors import VidikError

FIRST = "169.254.10.20"  # which a camera takes where no DHCP answers (IPv4LLStartAddress= in its network file)
PORT = 8443
_LOOPBACK = "lo"
_LOCAL = [
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "fe80::/10", "fc00::/7",
        "::1/128",
    )
]  # fmt: skip

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class NotLocal(VidikError):
    """The local link cannot be served on."""


@dataclass(frozen=True, slots=True)
class Place:
    """One address to serve on. ``scope``: the number of its network interface, for link-local IPv6."""

    interface: Interface
    scope: int = 0

    @property
    def host(self) -> str:
        """As it stands in an address bar, without brackets."""
        return str(self.interface.ip)


def on(wanted: Sequence[str] | None) -> list[Place]:
    """The addresses, local by their kind, of the network interfaces ``wanted``; by default of all but the loopback.

    There may be none yet. Raises ``NotLocal`` when there is no such interface.
    """
    adapters = {adapter.name: adapter for adapter in ifaddr.get_adapters()}
    chosen = [name for name in adapters if name != _LOOPBACK] if wanted is None else wanted
    missing = [name for name in chosen if name not in adapters]
    if missing:
        raise NotLocal(f"There is no network interface {missing[0]}. Name the one for setup with --interface.")
    found = []
    for address in (address for name in chosen for address in adapters[name].ips):
        plain, scope = (address.ip, 0) if isinstance(address.ip, str) else (address.ip[0], address.ip[2])
        interface = ipaddress.ip_interface(f"{plain}/{address.network_prefix}")
        if is_local(interface.ip):
            found.append(Place(interface, scope if interface.ip.is_link_local else 0))
    return found


def is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether ``address`` is of a kind that routers of the internet do not carry: private, link-local or loopback."""
    return any(address in network for network in _LOCAL if network.version == address.version)


def is_near(peer: str, places: Collection[Place]) -> bool:
    """Whether the address ``peer`` lies on the same link as one of ``places``."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return is_local(address) and any(
        address.version == place.interface.version and address in place.interface.network for place in places
    )


def names(places: Collection[Place], port: int) -> frozenset[str]:
    """What a request may name as its host: our addresses, nothing that a name server answers for (DNS rebinding)."""
    hosts = [f"[{place.host}]" if place.interface.version == 6 else place.host for place in places]
    if any(place.interface.ip.is_loopback for place in places):
        hosts.append("localhost")
    return frozenset(f"{host}:{port}" for host in hosts) | (frozenset(hosts) if port == 443 else frozenset())
