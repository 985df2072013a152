"""
One sign-in as Microsoft Entra writes it: JSON of Graph and of diagnostic settings, or a row of the portal's CSV.

    {"id": "66ea54eb-…", "createdDateTime": "2026-11-23T16:06:05Z", "userPrincipalName": "anna@contoso.example",
     "clientAppUsed": "Authenticated SMTP", "ipAddress": "192.0.2.10", "userAgent": "BAV2ROPC", "status": {"errorCode": 0}}
    {"time": "2026-11-23T16:06:05Z", "category": "SignInLogs", "properties": {"id": "66ea54eb-…", …}}
    Date (UTC),Request ID,User agent,…,Username,…,IP address,Location,Status,Sign-in error code,Failure reason,Client app,…
    2026-11-23T16:06:05Z,66ea54eb-…,BAV2ROPC,…,anna@contoso.example,…,192.0.2.10,"Oslo, NO",Success,None,Other.,Authenticated SMTP,…

All times are UTC, whether they say so or not. PowerShell begins names with capitals, so names are told apart without case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from smtp_auth_report.sources import values
from smtp_auth_report.sources.csv_log import Columns
from smtp_auth_report.sources.portal_dates import stamp_of

SMTP_CLIENTS = frozenset({"authenticated smtp", "smtp"})

DATE, ID, ACCOUNT, CLIENT, ADDRESS, STATUS = "date (utc)", "request id", "username", "client app", "ip address", "status"
AGENT, PROTOCOL, CODE = "user agent", "authentication protocol", "sign-in error code"
NEEDED = (DATE, ID, ACCOUNT, ADDRESS, STATUS, CLIENT)
"""Columns of the portal's CSV without which a row cannot be read."""

# Each as Microsoft documents it, https://learn.microsoft.com/entra/identity-platform/reference-error-codes
REASON_OF_CODE: Mapping[int, str] = {
    50034: "bad_credentials",  # no such user
    50056: "bad_credentials",  # no password is set
    50126: "bad_credentials",  # wrong user name or password
    50053: "account_locked",  # too many attempts, or from an address that is known for attacks
    50057: "account_disabled",
    50055: "password_expired",
    50144: "password_expired",  # of Active Directory
    50072: "second_factor_needed",  # has to be set up first
    50074: "second_factor_needed",
    50076: "second_factor_needed",
    50079: "second_factor_needed",
    50158: "second_factor_needed",  # an external one
    500121: "second_factor_needed",  # was not passed
    50097: "policy_refused",  # a known device is needed
    50105: "policy_refused",  # not assigned to the application
    50131: "policy_refused",
    53000: "policy_refused",  # conditional access
    53001: "policy_refused",
    53002: "policy_refused",
    53003: "policy_refused",
    53004: "policy_refused",
    53011: "policy_refused",
    530032: "policy_refused",
    530034: "policy_refused",
    530035: "policy_refused",  # security defaults
    65001: "policy_refused",  # no consent
    70008: "token_expired",
    70043: "token_expired",
    700082: "token_expired",
    50173: "token_expired",
    50196: "rate_limited",
    90033: "server_error",
    90038: "server_error",
    90100: "server_error",
}
OTHER_FAILURE = "sign_in_refused"
UNEXPLAINED = -1
"""Instead of the error code of a failure that has none."""

REASONS = tuple(sorted({*REASON_OF_CODE.values(), OTHER_FAILURE}))


class SignIn(NamedTuple):
    """One sign-in."""

    id: str
    stamp: bytes  # with its zone; b"" where it cannot be read
    client: str
    account: str
    address: str
    agent: str
    protocol: str
    code: int | None  # 0 is success; None is not told

    @property
    def by_smtp(self) -> bool:
        return self.client.strip().casefold() in SMTP_CLIENTS

    @property
    def mechanism(self) -> str:
        """The log tells what kind of secret was shown, and not by which of its mechanisms."""
        if self.agent.strip() == "BAV2ROPC" or self.protocol.casefold() in {"ropc", "resource owner password credential"}:
            return "BASIC"
        return "OAUTH" if self.protocol.casefold() in {"oauth2", "oauth 2.0", "devicecode", "device code"} else "unknown"

    @property
    def reason(self) -> str | None:
        return None if self.code == 0 else REASON_OF_CODE.get(self.code or UNEXPLAINED, OTHER_FAILURE)


def of_entry(entry: Mapping[str, Any]) -> SignIn | None:
    """A sign-in out of JSON; None where it is something else."""
    outer = {name.casefold(): value for name, value in entry.items()}
    inside = outer.get("properties")
    told = {name.casefold(): value for name, value in inside.items()} if isinstance(inside, dict) else outer
    if "createddatetime" not in told or not told.keys() & {"clientappused", "userprincipalname"}:
        return None
    status = told.get("status")
    status = {name.casefold(): value for name, value in status.items()} if isinstance(status, dict) else {}
    return SignIn(
        id=_word(told.get("id")),
        stamp=stamp_of(_word(told["createddatetime"]), None),
        client=_word(told.get("clientappused")),
        account=_word(told.get("userprincipalname")),
        address=_word(told.get("ipaddress")),
        agent=_word(told.get("useragent")),
        protocol=_word(told.get("authenticationprotocol")),
        code=_number(status.get("errorcode", outer.get("resulttype"))),
    )


def of_row(columns: Columns, record: Sequence[bytes], day_first: bool | None) -> SignIn:
    """A sign-in out of the portal's CSV."""

    def of(name: str) -> str:
        return values.text(columns.of(record, name)).strip()

    status = of(STATUS).casefold()
    failed = (_number(of(CODE)) or UNEXPLAINED) if status in {"failure", "interrupted"} else None
    return SignIn(
        id=of(ID),
        stamp=stamp_of(of(DATE), day_first),
        client=of(CLIENT),
        account=of(ACCOUNT),
        address=of(ADDRESS),
        agent=of(AGENT),
        protocol=of(PROTOCOL),
        code=0 if status == "success" else failed,
    )


def _word(value: object) -> str:
    return values.plain(value).strip() if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else None
