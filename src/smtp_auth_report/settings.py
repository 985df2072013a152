"""
One table of settings: name, type, default, help.

    settings = load(flags={"database": "mail.duckdb"})

A value comes from the configuration file, or the environment, which wins over the file, or a flag, which wins over
both. The file is TOML with the names of the table; it is read from `--config`, else $SMTP_AUTH_REPORT_CONFIG, else
/etc/smtp-auth-report.toml where that exists. An environment variable is SMTP_AUTH_REPORT_ and the name in capitals.

What goes wrong
    SettingError: a name that is not in the table, or a value that cannot be used, with the place it came from.

See also
    docs/settings.md and etc/smtp-auth-report.toml, which a test holds against this table
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from smtp_auth_report.errors import SettingError
from smtp_auth_report.words import worded

CONFIG = Path("/etc/smtp-auth-report.toml")
PREFIX = "SMTP_AUTH_REPORT_"


@dataclass(frozen=True, slots=True)
class Settings:
    """The values in force."""

    database: str
    state: str
    listen: str
    host_names: str
    trusted_proxies: str
    timezone: str
    display_timezone: str
    default_domain: str
    server: str
    exim_authenticators: str
    retention_days: str
    notice: str
    graph_tenant: str
    graph_client: str
    graph_secret_file: str
    graph_url: str
    graph_authority: str

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def hosts(self) -> list[str]:
        """Names under which the pages are opened, besides that of `listen`."""
        return _listed(self.host_names)

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """Who may say where a request comes from."""
        return [ip_network(entry) for entry in _listed(self.trusted_proxies)]

    @property
    def environment(self) -> dict[str, str]:
        """These settings as variables, for a process that is to have the same."""
        return {f"{PREFIX}{field.name.upper()}": getattr(self, field.name) for field in fields(self)}

    @property
    def timezone_given(self) -> bool:
        """Whether the zone of log stamps was stated, so that evidence in a log does not overrule it."""
        return bool(self.timezone)

    @property
    def log_zone(self) -> ZoneInfo:
        """Zone of log stamps that carry none."""
        return ZoneInfo(self.timezone or machine_zone())

    @property
    def authenticators(self) -> dict[str, str]:
        """Mechanisms of Exim's authenticators, by their names."""
        return dict(_pairs(self.exim_authenticators))

    @property
    def state_path(self) -> Path:
        """Where users, requests and keys live: `state`, else beside the database."""
        beside = Path(self.database)
        return Path(self.state) if self.state else beside.with_name(beside.name.removesuffix(".duckdb") + ".state.sqlite3")


class Setting(NamedTuple):
    """One row of the table."""

    name: str
    read: Callable[[str], str]
    default: str
    help: str


def machine_zone() -> str:
    """IANA name of the machine's zone: $TZ, else /etc/timezone, else where /etc/localtime points, else UTC."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    timezone, localtime = Path("/etc/timezone"), Path("/etc/localtime")
    if timezone.is_file():
        candidates.append(timezone.read_text(encoding="utf-8").strip())
    if localtime.exists():
        candidates.append(str(localtime.resolve()).partition("zoneinfo/")[2])
    for name in filter(None, candidates):
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return "UTC"


def _text(value: str) -> str:
    return value


def _zone(value: str) -> str:
    try:
        return ZoneInfo(value).key if value else ""
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(worded("is not a time zone; give an IANA name such as Europe/Paris")) from None


def _display_zone(value: str) -> str:
    return _zone(value) or machine_zone()


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(worded("is not an address and port; give them as 127.0.0.1:8025 or [::1]:8025"))
    return value


def _listed(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def _hosts(value: str) -> str:
    if not all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", entry) for entry in _listed(value.lower())):
        raise ValueError(worded("is not a list of host names; give it as report.example.org, report.example.net"))
    return value.lower()


def _networks(value: str) -> str:
    try:
        for entry in _listed(value):
            ip_network(entry)
    except ValueError:
        raise ValueError(worded("is not a list of addresses or networks; give it as 127.0.0.1, 2001:db8::/64")) from None
    return value


def _days(value: str) -> str:
    if not value.isdecimal() or len(value) > 5:
        raise ValueError(worded("is not a number of days"))
    return value


def _pairs(value: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    return [(name.strip(), mechanism.strip().upper()) for name, _, mechanism in pairs]


def _authenticators(value: str) -> str:
    if not all(re.fullmatch(r"\w+", name) and re.fullmatch(r"[A-Z0-9_-]{1,20}", mechanism) for name, mechanism in _pairs(value)):
        raise ValueError(worded("is not a list of authenticators; give it as mail_auth=PLAIN, old_auth=LOGIN"))
    return value


def _database(value: str) -> str:
    return str(Path(value).expanduser()) if value and "://" not in value else value


def _path(value: str) -> str:
    return str(Path(value).expanduser()) if value else ""


def _service(value: str) -> str:
    """An address that secrets may go to."""
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}):
        raise ValueError(worded("is not an address that begins with https://"))
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(worded("is not an address of a service, such as https://graph.microsoft.com/v1.0"))
    return value.rstrip("/")


DEFAULT_DATABASE = "~/.local/share/smtp-auth-report/mail.duckdb"

SETTINGS = (
    Setting("database", _database, DEFAULT_DATABASE, "Path of the DuckDB file that holds the submissions."),
    Setting("state", _database, "", "Path of the SQLite file of people and report requests; beside the database when empty."),
    Setting("listen", _address, "127.0.0.1:8025", "Address and port of the web pages."),
    Setting("host_names", _hosts, "", "Names under which the pages are opened, besides the address of listen: NAME, …"),
    Setting("trusted_proxies", _networks, "", "Reverse proxies whose word is taken for where a request comes from: ADDRESS, …"),
    Setting("timezone", _zone, "", "Zone of log stamps that carry none; the machine's when empty."),
    Setting("display_timezone", _display_zone, "", "Zone that defines days and in which times are shown; the machine's when empty."),
    Setting("default_domain", str.lower, "", "Domain of accounts that sign in with a bare name."),
    Setting("server", _text, "localhost", "Host name for logs that carry none."),
    Setting("exim_authenticators", _authenticators, "", "Mechanisms of Exim's authenticators whose names do not tell: NAME=MECHANISM, …"),
    Setting("retention_days", _days, "400", "Days that rows with client addresses are kept; sums stay. 0 keeps them for ever."),
    Setting("notice", _text, "", "A sentence shown at the top of every page, for example that the data is a sample."),
    Setting("graph_tenant", _text, "", "Tenant id of the app registration that reads sign-ins from Microsoft Graph."),
    Setting("graph_client", _text, "", "Application (client) id of the app registration."),
    Setting("graph_secret_file", _path, "", "File that holds its secret; the environment variable is used when empty."),
    Setting("graph_url", _service, "https://graph.microsoft.com/v1.0", "Microsoft Graph, with its version."),
    Setting("graph_authority", _service, "https://login.microsoftonline.com", "Where the app registration signs in."),
)
"""What can be set. `default` is read like any other value."""


def load(flags: Mapping[str, str | None] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings in force; `flags` may name a `config` file besides."""
    flags = dict(flags or {})
    environment = os.environ if environment is None else environment
    stated = flags.pop("config", None) or environment.get(PREFIX + "CONFIG")
    values = _from_file(Path(stated) if stated else CONFIG, required=bool(stated))
    values |= {
        s.name: (environment[PREFIX + s.name.upper()], PREFIX + s.name.upper()) for s in SETTINGS if PREFIX + s.name.upper() in environment
    }
    values |= {name: (value, "--" + name.replace("_", "-")) for name, value in flags.items() if value is not None}
    return Settings(**{setting.name: _read(setting, *values.get(setting.name, (setting.default, "the default"))) for setting in SETTINGS})


def _read(setting: Setting, value: str, origin: str) -> str:
    try:
        return setting.read(value)
    except ValueError as error:
        raise SettingError(f"{origin}: {setting.name} {value!r} {error}") from None


def _from_file(path: Path, *, required: bool) -> dict[str, tuple[str, str]]:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise SettingError(worded("{path}: no such configuration file", path=path)) from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(worded("{path}: cannot be read: {error}", path=path, error=error)) from None
    known = {setting.name for setting in SETTINGS}
    for name, value in content.items():
        if name not in known:
            raise SettingError(
                worded("{path}: unknown setting {name!r}; known are {known}", path=path, name=name, known=", ".join(sorted(known)))
            )
        if not isinstance(value, str):
            raise SettingError(worded("{path}: {name} must be a text in quotes", path=path, name=name))
    return {name: (value, str(path)) for name, value in content.items()}
