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
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from smtp_auth_report.errors import SettingError
from smtp_auth_report.words import why, worded

CONFIG = Path("/etc/smtp-auth-report.toml")
PREFIX = "SMTP_AUTH_REPORT_"
HOST = r"(\[[0-9a-fA-F:.]+\]|[\w.%-]*)(:\d+)?"
# postgresql://user:password@host:5432/database?sslmode=verify-full
POSTGRESQL = re.compile(rf"postgres(ql)?://([^@/]*@)?{HOST}(,{HOST})*/[^/?@]+(\?.*)?")
SUBMISSIONS = 465  # RFC 8314
MAIL_TLS = ("", "implicit", "starttls", "none")


@dataclass(frozen=True, slots=True)
class Settings:
    """The values in force."""

    database: str
    database_password_file: str
    state: str
    listen: str
    host_names: str
    trusted_proxies: str
    user_header: str
    api_requests: str
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
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret_file: str
    oidc_scope: str
    oidc_claim: str
    oidc_groups_claim: str
    oidc_roles: str
    mail_server: str
    mail_tls: str
    mail_user: str
    mail_password_file: str
    mail_from: str
    mail_attachment_mb: str
    public_url: str

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return _host_and_port(self.listen)

    @property
    def mail_address(self) -> tuple[str, int]:
        """Host and port of `mail_server`."""
        return _host_and_port(self.mail_server)

    @property
    def mail_security(self) -> str:
        """How mail goes out: `mail_tls`, else what is usual at that host and port."""
        host, port = self.mail_address
        return self.mail_tls or ("implicit" if port == SUBMISSIONS else "none" if is_loopback(host) else "starttls")

    @property
    def hosts(self) -> list[str]:
        """Names under which the pages are opened, besides that of `listen`."""
        return _listed(self.host_names)

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """Who may say where a request comes from."""
        return [ip_network(entry) for entry in _listed(self.trusted_proxies)]

    @property
    def provider(self) -> str:
        """What people know the OpenID Connect provider by; "" where there is none."""
        return urlsplit(self.oidc_issuer).hostname or ""

    @property
    def group_roles(self) -> list[tuple[str, str]]:
        """What groups of the OpenID Connect provider give: administrator, reader, or a domain whose accounts are seen."""
        return _group_roles(self.oidc_roles)

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
    def state_url(self) -> str:
        """`state` where it is a database of PostgreSQL; may hold a password."""
        return self.state if "://" in self.state else ""

    @property
    def state_path(self) -> Path:
        """The SQLite file of people and requests. The site's key and requested files are beside it, also where there is none."""
        beside = Path(self.database.removeprefix("chdb://") if self.database.startswith("chdb://") else self.database)
        if "://" in self.database and not self.database.startswith("chdb://"):
            beside = Path(DEFAULT_DATABASE).expanduser()
        stated = self.state and not self.state_url
        return Path(self.state) if stated else beside.with_name(beside.name.removesuffix(".duckdb") + ".state.sqlite3")

    @property
    def state_place(self) -> str:
        """Where people and requests are, as it may be told."""
        return without_password(self.state_url) or str(self.state_path)


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


def is_loopback(host: str) -> bool:
    """Whether a host, as it is written, is this machine's loopback interface."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


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
    if not _has_port(value):
        raise ValueError(worded("is not an address and port; give them as 127.0.0.1:8025 or [::1]:8025"))
    return value


def _mail_server(value: str) -> str:
    if value and not _has_port(value):
        raise ValueError(worded("is not a host and port; give them as mail.example.org:465"))
    return value


def _has_port(value: str) -> bool:
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) <= 65535


def _mail_tls(value: str) -> str:
    if value not in MAIL_TLS:
        raise ValueError(worded("is none of {known}", known=", ".join(filter(None, MAIL_TLS))))
    return value


def _mailbox(value: str) -> str:
    if value and not re.fullmatch(r"""[^\s@<>",;:\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*""", value):
        raise ValueError(worded("is not an e-mail address; give it alone, as report@example.org"))
    return value


def _megabytes(value: str) -> str:
    if not value.isdecimal() or len(value) > 3:
        raise ValueError(worded("is not a number of megabytes below 1000"))
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


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]*", value):
        raise ValueError(worded("is not the name of a header, such as Remote-User; underscores are none of it"))
    return value


def _days(value: str) -> str:
    if not value.isdecimal() or len(value) > 5:
        raise ValueError(worded("is not a number of days"))
    return value


def _requests(value: str) -> str:
    if not value.isdecimal() or int(value) > 1_000_000:
        raise ValueError(worded("is not a number of requests in a minute, from 0 to 1000000"))
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


def _state(value: str) -> str:
    if "://" not in value:
        return _path(value)
    if not POSTGRESQL.fullmatch(value):
        raise ValueError(worded("is neither a path nor a database of PostgreSQL; give that as postgresql://user@host/database"))
    return value


def without_password(value: str) -> str:
    """A URL as it may be told."""
    return re.sub(r"(password=)[^&]*", r"\1…", re.sub(r"(?<=://)([^:@/?]*):.*@", r"\1@", value))


def _path(value: str) -> str:
    return str(Path(value).expanduser()) if value else ""


def is_private(address: str) -> bool:
    """Whether secrets may go there: over TLS, or within this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def secret_in(what: str, path: str) -> str:
    """The secret that a file holds and nothing else; `what` is said before the path where it cannot be read."""
    try:
        if Path(path).stat().st_mode & 0o007:
            raise SettingError(worded("{what} {path} is open to everybody; chmod 600 it", what=what, path=path))
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = why(error) if isinstance(error, OSError) else worded("is no text")
        raise SettingError(worded("{what} {path} cannot be read: {reason}", what=what, path=path, reason=reason)) from None
    if not secret:
        raise SettingError(worded("{what} {path} is empty", what=what, path=path))
    return secret


def database_password(settings: Settings, environment: Mapping[str, str]) -> str:
    """Of the user of ClickHouse; "" where there is none."""
    path = settings.database_password_file
    return secret_in("database_password_file", path) if path else environment.get(PREFIX + "DATABASE_PASSWORD", "")


def _service(value: str) -> str:
    """An address that secrets may go to."""
    return _issuer(value).rstrip("/")


def _issuer(value: str) -> str:
    """As `_service`, kept to the last slash."""
    parts = urlsplit(value)
    if not is_private(value):
        raise ValueError(worded("is not an address that begins with https://"))
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(worded("is not an address of a service, such as https://login.example.org"))
    return value


def _issuer_if_any(value: str) -> str:
    return _issuer(value) if value else ""


def _group_roles(value: str) -> list[tuple[str, str]]:
    pairs = [entry.rpartition("=") for entry in _listed(value)]
    return [(group.strip(), role.strip().lower()) for group, _, role in pairs]


def _roles(value: str) -> str:
    if not all(group and re.fullmatch(r"administrator|reader|[\w-]+(\.[\w-]+)+", role) for group, role in _group_roles(value)):
        raise ValueError(worded("is not a list of groups; give it as mail-team=administrator, helpdesk=reader, contoso=contoso.example"))
    return value


def _scope(value: str) -> str:
    if "openid" not in value.split():
        raise ValueError(worded("lacks openid; give it as openid email"))
    return value


def _site(value: str) -> str:
    """An address at which the pages are opened."""
    if value and (urlsplit(_service(value)).path or not value.isascii()):
        raise ValueError(worded("is not the address of a whole host; give it as https://report.example.org"))
    return value.rstrip("/")


DEFAULT_DATABASE = "~/.local/share/smtp-auth-report/mail.duckdb"

SETTINGS = (
    Setting(
        "database", _database, DEFAULT_DATABASE, "Path of the DuckDB file that holds the submissions, or clickhouse://user@host:8443/mail."
    ),
    Setting(
        "database_password_file",
        _path,
        "",
        "File that holds the password of a ClickHouse user; the environment variable is used when empty.",
    ),
    Setting("state", _state, "", "People and report requests: path of an SQLite file, or postgresql://…; beside the database when empty."),
    Setting("listen", _address, "127.0.0.1:8025", "Address and port of the web pages."),
    Setting("host_names", _hosts, "", "Names under which the pages are opened, besides the address of listen: NAME, …"),
    Setting("trusted_proxies", _networks, "", "Reverse proxies whose word is taken for where a request comes from: ADDRESS, …"),
    Setting("user_header", _header, "", "Header in which these proxies say who has signed in to them; none when empty."),
    Setting("api_requests", _requests, "600", "Requests to the API that a token, person or address may make in a minute. 0 is no limit."),
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
    Setting("oidc_issuer", _issuer_if_any, "", "OpenID Connect provider that people may sign in through; none when empty."),
    Setting("oidc_client_id", _text, "", "Client id of this program at the provider."),
    Setting("oidc_client_secret_file", _path, "", "File that holds the secret which the provider gave it; none for a public client."),
    Setting("oidc_scope", _scope, "openid email profile", "Scopes that the provider is asked for."),
    Setting("oidc_claim", _text, "email", "Claim that says whose sign-in it is: the name of somebody who was added."),
    Setting("oidc_groups_claim", _text, "groups", "Claim that says which groups somebody is in."),
    Setting(
        "oidc_roles",
        _roles,
        "",
        "Groups whose people need not be added, and what they may see: GROUP=administrator, GROUP=reader, GROUP=DOMAIN, …",
    ),
    Setting("mail_server", _mail_server, "", "SMTP server that takes mail of the report, HOST:PORT; no mail is sent when empty."),
    Setting("mail_tls", _mail_tls, "", "TLS to it: implicit, starttls or none; by host and port when empty."),
    Setting("mail_user", _text, "", "Account that signs in to it; nobody does when empty."),
    Setting("mail_password_file", _path, "", "File that holds its password; the environment variable is used when empty."),
    Setting("mail_from", _mailbox, "", "Address that mail of the report comes from."),
    Setting("mail_attachment_mb", _megabytes, "10", "Megabytes up to which a requested report is attached to mail; above, it is linked."),
    Setting("public_url", _site, "", "Where readers open the pages, for links in mail: https://NAME."),
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
        raise SettingError(f"{origin}: {setting.name} {without_password(value)!r} {error}") from None


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
