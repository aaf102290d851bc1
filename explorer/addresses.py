"""Addresses: where a server of this package listens, under which names it answers, and what opens it."""

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
    """There is no port to listen on."""


class _Taken(NoPort):
    """The port belongs to another program, or to a user with more rights."""


def is_loopback(host: str) -> bool:
    """Whether that name or address of this machine is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str, port: int) -> frozenset[str]:
    """What the Host header may say when the server listens on `host`: loopback; else this machine's names as well."""
    names = set(_LOOPBACK)
    if not is_loopback(host):
        found = [address for addresses in psutil.net_if_addrs().values() for address in addresses]
        names |= {address.address for address in found if address.family in (socket.AF_INET, socket.AF_INET6)}
        names |= {host, socket.gethostname(), socket.getfqdn()}
    # Browsers leave out the port that HTTP has by itself.
    ends = (f":{port}", "") if port == _HTTP_PORT else (f":{port}",)
    return frozenset(f"{_bracketed(name)}{end}".lower() for name in names for end in ends)


def listening(host: str, port: int | None, default_port: int) -> socket.socket:
    """A socket that listens already, so that who is faster than the server waits instead of being refused.

    `port` None: the default one, or the next that is free. Raises NoPort.
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
    """What a browser on this machine is to be given for a server that listens on `host`."""
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
                f"port {port} of {host} cannot be had ({error.strerror}): choose another with --port, or leave "
                "--port out and the next free one is taken"
            ) from error
        raise NoPort(f"the server cannot listen on {host}, port {port}: {error.strerror}") from error
    return found


def _bracketed(host: str) -> str:
    """An address as it stands before a port: IPv6 in brackets, without the interface."""
    return f"[{host.partition('%')[0]}]" if ":" in host else host
