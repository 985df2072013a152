"""
What servers write, each in its own way, to one form.

    address("IPv6:2001:db8::1")      "2001:db8::1"
    address("::ffff:192.0.2.1")      "192.0.2.1": a client over IPv4
    tls_version("TLS1.0")            Tls.TLS_1_0
    mechanism("plain")               "PLAIN"
    text(b"j\\xc3\\xbcrgen")           "jürgen"
    xtext(b"jonas+2Blist")           "jonas+list": RFC 3461
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from smtp_auth_report.submission import UNKNOWN_MECHANISM, Tls

_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")
# TLSv1.2, TLS1.2, TLSv1_2, SP_PROT_TLS1_2_SERVER, TLSv1
_TLS = re.compile(r"(?:SP_PROT_)?TLSv?1(?:[._]?(?P<minor>[0-3]))?(?:_SERVER)?", re.ASCII | re.IGNORECASE)
_SSL = re.compile(r"(?:SP_PROT_)?SSLv?[23](?:_SERVER)?", re.ASCII | re.IGNORECASE)
_XTEXT = re.compile(rb"\+([0-9A-Fa-f]{2})")
_MINORS = {None: Tls.TLS_1_0, "0": Tls.TLS_1_0, "1": Tls.TLS_1_1, "2": Tls.TLS_1_2, "3": Tls.TLS_1_3}


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


@lru_cache(maxsize=4096)
def tls_version(written: str) -> Tls:
    """Version of TLS; "tls" for a name that tells none, or more than one."""
    found = _TLS.fullmatch(written)
    if found:
        return _MINORS[found["minor"]]
    return Tls.SSLV3 if _SSL.fullmatch(written) else Tls.UNVERSIONED


@lru_cache(maxsize=4096)
def mechanism(written: str) -> str:
    """IANA name of a mechanism; "unknown" for what is none."""
    name = written.upper()
    return name if _MECHANISM.fullmatch(name) else UNKNOWN_MECHANISM


def text(raw: bytes) -> str:
    """Text as logged; bytes that are not UTF-8 stay visible as \\\\xNN."""
    return raw.decode("utf-8", "backslashreplace")


def xtext(raw: bytes) -> str:
    """Text in the encoding of RFC 3461."""
    return text(_XTEXT.sub(lambda found: bytes([int(found[1], 16)]), raw) if b"+" in raw else raw)


def plain(told: str) -> str:
    """Text that JSON gave: half a surrogate pair, which is no text, stays visible as \\uNNNN."""
    return told.encode("utf-8", "backslashreplace").decode()
