"""Network addresses: where a server listens, which Host headers it accepts, and the URL that opens it."""

from __future__ import annotations

import errno
import ipaddress
import socket

import psutil

from explorer.errors import NotAvailable

LOOPBACK_HOST = "127.0.0.1"
_LOOPBACK = (LOOPBACK_HOST, "localhost", "::1")
_N_PORTS = 20
_BACKLOG = 128
_HTTP_PORT = 80


class NoPort(NotAvailable):
    """No port can be listened on."""


class _Taken(NoPort):
    """The port is in use, or reserved for privileged users."""


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address, is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str, port: int) -> frozenset[str]:
    """Return the accepted Host headers of a server on `host`: loopback names; else this machine's names as well."""
    names = set(_LOOPBACK)
    if not is_loopback(host):
        found = [address for addresses in psutil.net_if_addrs().values() for address in addresses]
        names |= {address.address for address in found if address.family in (socket.AF_INET, socket.AF_INET6)}
        names |= {host, socket.gethostname(), socket.getfqdn()}
    # Browsers leave out the port that HTTP has by itself.
    ends = (f":{port}", "") if port == _HTTP_PORT else (f":{port}",)
    return frozenset(f"{_bracketed(name)}{end}".lower() for name in names for end in ends)


def listening(host: str, port: int | None, default_port: int) -> socket.socket:
    """Return a socket that already listens, so that early connections wait instead of being refused.

    With `port` None, the default port or the next free one is taken. Raises NoPort.
    """
    if port is not None:
        return _bound(host, port)
    for candidate in range(default_port, default_port + _N_PORTS):
        try:
            return _bound(host, candidate)
        except _Taken:
            continue
    return _bound(host, 0)


def address_to_open(host: str, port: int) -> str:
    """Return the URL by which a browser on this machine reaches a server that listens on `host`."""
    if host in ("0.0.0.0", "::"):  # every address: loopback is one of them
        host = LOOPBACK_HOST if host == "0.0.0.0" else "::1"
    return f"http://{_bracketed(host.lower() if is_loopback(host) else host)}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise NoPort(f"--host {host}: expected a name or an address of this machine ({error.strerror})") from error
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise _Taken(
                f"port {port} of {host} is not available ({error.strerror}): choose another with --port, or leave "
                "--port out and the next free one is taken"
            ) from error
        raise NoPort(f"the server cannot listen on {host}, port {port}: {error.strerror}") from error
    return found


def _bracketed(host: str) -> str:
    """Return an address as it precedes a port: IPv6 in brackets, without the interface."""
    return f"[{host.partition('%')[0]}]" if ":" in host else host
