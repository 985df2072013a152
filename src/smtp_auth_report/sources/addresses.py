"""
Client addresses, as servers write them, to one form.

    address("IPv6:2001:db8::1")      "2001:db8::1"
    address("::ffff:192.0.2.1")      "192.0.2.1": a client over IPv4
    address("fe80::1%eth0")          "fe80::1"
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)


@lru_cache(maxsize=65_536)
def address(written: str) -> str | None:
    """The address; IPv4-mapped IPv6 unwrapped, zone left out; None for what is none."""
    if _IPV4.fullmatch(written):
        return written
    plain = written.strip("[]").partition("%")[0]
    if plain[:5].casefold() == "ipv6:":
        plain = plain[5:]
    try:
        ip = ipaddress.ip_address(plain)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)
