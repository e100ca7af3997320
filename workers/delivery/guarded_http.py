"""HTTP to addresses that we have looked at: what is resolved, checked and connected to is one and the same answer.

A URL in a setting must not become a way into the network around us (server-side request forgery): its name may resolve
to a private address, today or only at the second look, or its server may redirect there. So every address of the
answer is checked, the connection goes to the checked address itself, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from workers.delivery.sender import NeverAgain, NotNow, WrongSetting

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: The addresses of a host; raises OSError where it has none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

RESOLVE_SECONDS = 5
CONNECT_SECONDS = 5
ANSWER_SECONDS = 10

#: A name with more addresses than this is tried no further; the next attempt gets them in another order.
ADDRESSES_TRIED = 3

#: IPv6-only networks reach IPv4 through this prefix (RFC 6052); the address within is the one that counts.
NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Guard:
    """Which addresses may be connected to. Public ones may; others where the setting NOTIFY_ALLOW vouches for them.

    A listed network vouches for its addresses. A listed host vouches for a private or loopback address, as of an
    application beside us, but not for a link-local one, where clouds keep their credentials.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    production: bool = True

    @classmethod
    def of(cls, allowed: Sequence[str], *, production: bool) -> Guard:
        """From the entries of NOTIFY_ALLOW: host names, addresses and networks (``10.1.0.0/16``)."""
        hosts, networks = set(), []
        for entry in allowed:
            try:
                networks.append(ip_network(entry))
            except ValueError:
                if not entry or "/" in entry or ":" in entry:
                    raise WrongSetting("NOTIFY_ALLOW takes host names, addresses and networks") from None
                hosts.add(entry.lower())
        return cls(frozenset(hosts), tuple(networks), production)

    def check(self, url: httpx.URL, addresses: Sequence[str]) -> None:
        """Refuse the whole answer if one of its addresses is not permitted: the others are no better than it."""
        for text in addresses:
            address = ip_address(text)
            vouched = self._is_vouched_for(url.host, address)
            if not vouched and not _is_public(address) and not self._is_own_machine(address):
                raise NeverAgain("its host resolves to a private address, which NOTIFY_ALLOW does not list")
            if self.production and url.scheme != "https" and not vouched:
                raise NeverAgain("plain http is refused in production, unless NOTIFY_ALLOW lists the host")

    def may_be_plain(self, url: httpx.URL) -> bool:
        """Whether plain http to this URL can pass at all; with networks listed, only its addresses will tell."""
        return not self.production or url.host in self.hosts or bool(self.networks)

    def _is_vouched_for(self, host: str, address: Address) -> bool:
        if any(address in network for network in self.networks):
            return True
        return host in self.hosts and not address.is_link_local and not address.is_multicast

    def _is_own_machine(self, address: Address) -> bool:
        return not self.production and address.is_loopback


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.sixtofour is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of the host, as the system's resolver gives them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to checked addresses only, under the name that was asked for (Host, SNI and certificate)."""

    def __init__(self, guard: Guard, resolve: Resolve = resolve) -> None:
        self._guard = guard
        self._resolve = resolve
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=5, keepalive_expiry=30)
        self._inner = httpx.AsyncHTTPTransport(limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        addresses = await self._look_up(request.url)
        self._guard.check(request.url, addresses)
        *before, last = addresses[:ADDRESSES_TRIED]
        for address in before:
            try:
                return await self._inner.handle_async_request(_at(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent yet, so the next address is no repeat
        return await self._inner.handle_async_request(_at(request, last))

    async def _look_up(self, url: httpx.URL) -> Sequence[str]:
        host = url.raw_host.decode("ascii")
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError, TimeoutError):
            addresses = ()
        if not addresses:
            raise NotNow("its host could not be resolved")
        return addresses

    async def aclose(self) -> None:
        await self._inner.aclose()


def _at(request: httpx.Request, address: str) -> httpx.Request:
    """The same request, to this very address; Host stays, and TLS asks for the name."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
    )


def open_client(guard: Guard, resolve: Resolve = resolve) -> httpx.AsyncClient:
    """A client for one receiver, with a limit on every wait. No environment: a proxy or a .netrc would bypass us."""
    return httpx.AsyncClient(
        transport=GuardedTransport(guard, resolve),
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # nothing of one answer goes into the next request
    )
