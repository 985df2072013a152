"""
Names of databases that are not paths of files: where such a database is.

    place = placed("clickhouse://report@ch.example:8443/mail?secure=1")     or chdb:///var/lib/smtp-auth-report/mail
    is_clickhouse("mail.duckdb")                                            False

What goes wrong
    SettingError: a name that says neither where a server is nor where a folder is.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from smtp_auth_report.errors import SettingError
from smtp_auth_report.settings import without_password
from smtp_auth_report.words import worded

SCHEMES = ("clickhouse", "chdb")
OPTIONS = ("secure", "verify", "ca_cert", "client_cert", "client_cert_key", "server_host_name", "timeout", "cluster")
ON = ("1", "true", "yes", "on")
OFF = ("0", "false", "no", "off")
CLUSTER = re.compile(r"[\w.-]+", re.ASCII)


class Place(NamedTuple):
    """Where a database is."""

    name: str  # as it may be told: without a password
    folder: str = ""  # of the engine inside this process; "" for a server
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    database: str = ""
    secure: bool = False
    options: tuple[tuple[str, str], ...] = ()  # of the connection
    cluster: str = ""  # whose tables are replicated and distributed


def is_clickhouse(database: str) -> bool:
    """Whether a name is one of these databases."""
    return database.partition("://")[0] in SCHEMES


def placed(database: str) -> Place:
    """Where the database of that name is."""
    told, parts = without_password(database), urlsplit(database)
    if parts.scheme == "chdb":
        folder = unquote(parts.path)
        if parts.netloc or folder in ("", "/"):
            raise SettingError(worded("{database}: give the folder as chdb:///folder", database=told))
        return Place(told, folder=folder)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme not in SCHEMES or not host or not options.keys() <= {*OPTIONS} or "/" in parts.path[1:]:
        raise SettingError(
            worded(
                "{database}: give it as clickhouse://user@host:8443/database?secure=1; options are {known}",
                database=told,
                known=", ".join(OPTIONS),
            )
        )
    secure = _switch(told, "secure", options.pop("secure", "1" if port in (443, 8443) else "0"))
    verify = _switch(told, "verify", options.pop("verify", "1"))
    cluster, timeout = options.pop("cluster", ""), options.pop("timeout", "")
    if timeout and not (timeout.isascii() and timeout.isdigit() and int(timeout)):
        raise SettingError(worded("{database}: timeout is a number of seconds", database=told))
    if cluster and not CLUSTER.fullmatch(cluster):
        raise SettingError(worded("{database}: cluster is the name of a cluster of the server", database=told))
    return Place(
        name=told,
        host=host,
        port=port or (8443 if secure else 8123),
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=unquote(parts.path[1:]) or "default",
        secure=secure,
        options=(
            *options.items(),
            *([] if verify else [("verify", "false")]),
            *([("send_receive_timeout", timeout)] if timeout else []),
        ),
        cluster=cluster,
    )


def _switch(told: str, name: str, value: str) -> bool:
    if value.lower() not in ON + OFF:
        raise SettingError(worded("{database}: {name} is 1 or 0", database=told, name=name))
    return value.lower() in ON
