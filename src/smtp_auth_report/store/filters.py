"""
What a selection's filters mean, as conditions on subjects, manners and clients.

    conditions = read_filters(selection, DUCKDB)
    conditions.of["subjects"]     "(sender_domain = $filter_0) AND (account_domain IN (SELECT unnest($scope)))"
    conditions.parameters         {"filter_0": "contoso.example", "scope": ["contoso.example", "fabrikam.example"]}
    conditions.networks           what is still to be resolved to addresses, where the engine cannot tell of an address

Values of one name are alternatives, names all hold. A value never becomes part of the SQL. "unknown" asks for rows
whose value was not logged.

What goes wrong
    SelectionError: a name that is no filter, or a value that it cannot have.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

from smtp_auth_report.errors import SelectionError
from smtp_auth_report.store.dialects import SAME_LETTER, Dialect
from smtp_auth_report.store.interface import FILTERS, Selection, Value
from smtp_auth_report.submission import AUTH_CLASSES, LEGACY_TLS, AuthClass, Outcome, Service, Tls
from smtp_auth_report.words import worded

UNKNOWN = "unknown"
NULL_SENDER = "<>"
LEGACY = ("legacy", "below-1.2")
ALL_ONES = 2**128  # above every address

SURROGATE = re.compile("[\ud800-\udfff]")

Network = IPv4Network | IPv6Network


@dataclass(slots=True)
class Conditions:
    """A condition for each table of dimensions, and the networks that clients must be in."""

    dialect: Dialect
    of: dict[str, str] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)  # that they look at
    parameters: dict[str, Value | list[str]] = field(default_factory=dict)
    client: bool = False  # asks for client addresses, which not all sums have
    addresses: set[str] = field(default_factory=set)
    networks: list[Network] = field(default_factory=list)
    no_address: bool = False  # rows without an address count too

    def add(self, table: str, column: str, values: Iterable[str | None], name: str) -> None:
        """Ask that the column has one of the values; None is a value that was not logged."""
        wanted = set(values)
        known = sorted(value for value in wanted if value is not None)
        test = f"= ${name}" if len(known) == 1 else self.dialect.member.format(f"${name}")
        alternatives = [f"{column} {test}"] if known else []
        alternatives += [f"{column} IS NULL"] if None in wanted else []
        self.require(table, " OR ".join(alternatives) or "FALSE")
        self.parameters[name] = known[0] if len(known) == 1 else known

    def require(self, table: str, condition: str) -> None:
        """Ask that this holds of a dimension."""
        before = f"{self.of[table]} AND " if table in self.of else ""
        self.of[table] = f"{before}({condition})"


def auth_class_case(mechanism: str) -> str:
    """SQL for the class of a mechanism, from the one table of classes."""
    branches = []
    for kind, names in AUTH_CLASSES.items():
        whole = ", ".join(f"'{name}'" for name in names if not name.endswith("*"))
        tests = [f"{mechanism} IN ({whole})"] if whole else []
        tests += [f"{mechanism} LIKE '{name[:-1]}%'" for name in names if name.endswith("*")]
        branches.append(f"WHEN {' OR '.join(tests)} THEN '{kind}'")
    return f"CASE {' '.join(branches)} ELSE '{AuthClass.OTHER}' END"


def _domain(value: str) -> list[str | None]:
    return [None if value == UNKNOWN else value.lower()]


def _account(value: str) -> list[str | None]:
    return [None if value == UNKNOWN else value.casefold()]


def _sender(value: str) -> list[str | None]:
    return [None if value == UNKNOWN else "" if value == NULL_SENDER else lowered(value)]


def _mechanism(value: str) -> list[str | None]:
    return [UNKNOWN if value.lower() == UNKNOWN else value.upper()]


def _tls(value: str) -> list[str | None]:
    if value.lower() in LEGACY:
        return list(LEGACY_TLS)
    return _one_of(Tls, "tls", value, LEGACY)


def _server(value: str) -> list[str | None]:
    return [lowered(value)]


def _one_of(kind: type[StrEnum], name: str, value: str, more: tuple[str, ...] = ()) -> list[str | None]:
    for member in kind:
        if member.lower() == value.lower():
            return [str(member)]
    raise SelectionError(
        worded("{name} {value!r} is not known; it is one of {known}", name=name, value=value, known=", ".join([*kind, *more]))
    )


READERS: Mapping[str, tuple[str, str, Callable[[str], list[str | None]]]] = {
    "domain": ("subjects", "sender_domain", _domain),
    "account": ("subjects", "account", _account),
    "sender": ("subjects", "sender", _sender),
    "service": ("manners", "service", lambda value: _one_of(Service, "service", value)),
    "tls": ("manners", "tls_version", _tls),
    "mechanism": ("manners", "mechanism", _mechanism),
    "auth-class": ("manners", auth_class_case("mechanism"), lambda value: _one_of(AuthClass, "auth-class", value)),
    "server": ("manners", "server", _server),
    "outcome": ("manners", "outcome", lambda value: _one_of(Outcome, "outcome", value)),
}
"""Filter -> the table and the expression it looks at, and what a value of it means there."""

IN_ANY_CASE = ("sender", "server")

COLUMNS = {
    "domain": "sender_domain",
    "account": "account",
    "sender": "sender",
    "client": "client_ip",
    "service": "service",
    "tls": "tls_version",
    "mechanism": "mechanism",
    "auth-class": "auth_class",
    "server": "server",
    "outcome": "outcome",
}
"""Filter -> column of the relations that holds its values."""


def read_filters(selection: Selection, dialect: Dialect) -> Conditions:
    """Conditions of a selection's filters and scope."""
    conditions = Conditions(dialect)
    for number, (name, values) in enumerate(sorted(selection.filters.items())):
        if name not in FILTERS:
            raise SelectionError(worded("there is no filter {name!r}; filters are {known}", name=name, known=", ".join(FILTERS)))
        cleaned = [clean(value) for value in values]
        if name == "client" and cleaned:
            _read_clients(conditions, cleaned)
        elif cleaned:
            table, column, read = READERS[name]
            column = conditions.dialect.lower.format(column) if name in IN_ANY_CASE else column
            conditions.add(table, column, (meant for value in cleaned for meant in read(value)), f"filter_{number}")
        if cleaned:
            conditions.columns.add(COLUMNS[name])
    if selection.scope is not None:
        conditions.columns.add("account_domain")
        conditions.add("subjects", "account_domain", selection.scope, "scope")
    return conditions


def _read_clients(conditions: Conditions, values: list[str]) -> None:
    conditions.client = True
    for value in values:
        if value == UNKNOWN:
            conditions.no_address = True
            continue
        try:
            network = _unwrapped_network(ip_network(value.strip(), strict=False))
        except ValueError:
            raise SelectionError(
                worded("client {value!r} is not an address or network; give it as 192.0.2.10 or 192.0.2.0/24", value=value)
            ) from None
        if network.num_addresses == 1:
            conditions.addresses.add(str(_unwrapped(network.network_address)))
        else:
            conditions.networks.append(network)
    conditions.networks = [
        *collapse_addresses(network for network in conditions.networks if isinstance(network, IPv4Network)),
        *collapse_addresses(network for network in conditions.networks if isinstance(network, IPv6Network)),
    ]


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that was written as IPv6, as IPv4."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _unwrapped_network(network: Network) -> Network:
    """A network of IPv4 addresses that was written as IPv6, as IPv4."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return ip_network((mapped, network.prefixlen - 96)) if mapped is not None and network.prefixlen >= 96 else network


def like(network: Network) -> str:
    """A pattern for LIKE that the text of every address of a network matches, and few others."""
    if isinstance(network, IPv6Network):
        return "%:%"
    whole = network.prefixlen // 8
    return "".join(f"{part}." for part in str(network.network_address).split(".")[:whole]) + "%"


def within(networks: list[Network], addresses: Iterable[str]) -> set[str]:
    """Those of the addresses that are in one of the networks, none of which is in another."""
    ordered = sorted((network.version, int(network.network_address), int(network.broadcast_address)) for network in networks)
    found = set()
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            continue
        place = bisect_right(ordered, (address.version, int(address), ALL_ONES))
        if place and ordered[place - 1][0] == address.version and int(address) <= ordered[place - 1][2]:
            found.add(text)
    return found


def clean(text: str) -> str:
    """Text that an engine can take: bytes that are not UTF-8 become a replacement character."""
    return text if text.isascii() else SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def lowered(text: str) -> str:
    """Text in lower case, as the engines have it."""
    found = clean(text).lower()
    for one, other in SAME_LETTER:
        found = found.replace(one, other)
    return found
