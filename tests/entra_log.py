"""
Sign-ins as Microsoft Entra writes them, and the ways in which they are packed.

    sign_in(ANNA)                               one, as a dict of Graph's JSON
    array(…), pretty(…), page(…), lines(…)      the same sign-ins in a file
    diagnostic(…), portal(…)                    as diagnostic settings and the portal's CSV have them
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_URL, uuid5

ANNA = "anna.berg@contoso.example"
Entry = dict[str, Any]

HEADER = (
    "Date (UTC),Request ID,User agent,Correlation ID,User ID,User,Username,User type,Cross tenant access type,Incoming token type,"
    "Authentication Protocol,Unique token identifier,Original transfer method,Client credential type,"
    "Token Protection - Sign In Session,Token Protection - Sign In Session StatusCode,Application,Application ID ,App owner tenant ID,"
    "Resource,Resource ID ,Resource tenant ID,Resource owner tenant ID,Home tenant ID,Home tenant name,IP address,Location,Status,"
    "Sign-in error code,Failure reason,Client app,Device ID,Browser,Operating System,Compliant,Managed,Join Type,"
    "Multifactor authentication result,Multifactor authentication auth method,Multifactor authentication auth detail,"
    "Authentication requirement,Sign-in identifier,Session ID,IP address (seen by resource),Through Global Secure Access,"
    "Global Secure Access IP address,Autonomous system  number,Flagged for review,Token issuer type,Incoming token type,"
    "Token issuer name,Latency,Conditional Access,Managed Identity type,Associated Resource Id,Federated Token Id,Federated Token Issuer"
)


def sign_in(account: str = ANNA, number: int = 1, **stated: Any) -> Entry:
    """Of one account, successful, by basic authentication; a second later for each number."""
    code = stated.pop("code", 0)
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{account} {number}")),
        "createdDateTime": f"2026-11-23T16:06:{4 + number:02}.1234567Z",
        "userDisplayName": "Anna Berg",
        "userPrincipalName": account,
        "userId": "b2d3f2a8-9a37-4ee0-a4bb-52d0b8f8a9f1",
        "appId": "00000002-0000-0ff1-ce00-000000000000",
        "appDisplayName": "Office 365 Exchange Online",
        "ipAddress": "192.0.2.10",
        "clientAppUsed": "Authenticated SMTP",
        "userAgent": "BAV2ROPC",
        "correlationId": "6f6a1b3c-0000-4000-8000-000000000001",
        "conditionalAccessStatus": "notApplied",
        "isInteractive": True,
        "resourceDisplayName": "Office 365 Exchange Online",
        "authenticationDetails": [{"authenticationMethod": "Password", "succeeded": code == 0}],
        "status": {
            "errorCode": code,
            "failureReason": "Other." if code == 0 else "Error validating credentials.",
            "additionalDetails": None,
        },
        "deviceDetail": {"deviceId": "", "displayName": None, "operatingSystem": "", "browser": ""},
        "location": {"city": "Oslo", "state": "Oslo", "countryOrRegion": "NO", "geoCoordinates": {"latitude": 59.9, "longitude": 10.7}},
    } | stated


def array(*entries: Entry) -> bytes:
    return json.dumps(entries, ensure_ascii=False).encode("utf-8", "surrogatepass")


def pretty(*entries: Entry) -> bytes:
    return (json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def page(*entries: Entry, indent: int | None = 4, following: str = "") -> bytes:
    """What Graph answers."""
    more = {"@odata.nextLink": following} if following else {}
    content = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#auditLogs/signIns", "value": entries, **more}
    return (json.dumps(content, indent=indent) + "\n").encode()


def flat_page(*entries: Entry) -> bytes:
    return page(*entries, indent=None)


def lines(*entries: Entry) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def diagnostic(*entries: Entry) -> bytes:
    """As diagnostic settings write to a storage account."""
    return lines(
        *(
            {
                "time": entry["createdDateTime"], "resourceId": "/tenants/x", "operationName": "Sign-in activity",
                "category": "SignInLogs", "resultType": str(entry["status"]["errorCode"]), "callerIpAddress": entry["ipAddress"],
                "properties": entry,
            }
            for entry in entries
        )
    )  # fmt: skip


def records(*entries: Entry) -> bytes:
    """As an event hub hands them on."""
    return json.dumps({"records": [json.loads(line) for line in diagnostic(*entries).splitlines()]}).encode() + b"\n"


def powershell(*entries: Entry) -> bytes:
    return pretty(*({name[:1].upper() + name[1:]: value for name, value in entry.items()} for entry in entries)).replace(b"\n", b"\r\n")


def portal(*entries: Entry, header: str = HEADER, date: Callable[[str], str] = lambda stamp: f"{stamp[:19]}Z") -> bytes:
    """The portal's CSV: with a byte order mark, and times in whole seconds."""
    names = header.split(",")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(names)
    for entry in entries:
        code = entry["status"]["errorCode"]
        told = {
            "Date (UTC)": date(entry["createdDateTime"]), "Request ID": entry["id"], "User agent": entry["userAgent"],
            "Username": entry["userPrincipalName"], "IP address": entry["ipAddress"], "Location": "Oslo, Oslo, NO",
            "Status": "Failure" if code else "Success", "Sign-in error code": code or "None", "Client app": entry["clientAppUsed"],
            "Authentication Protocol": entry.get("authenticationProtocol", "None"), "Failure reason": "Other.",
        }  # fmt: skip
        rows.writerow([told.get(name, "") for name in names])
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "surrogatepass")


FORMS: dict[str, Callable[..., bytes]] = {
    each.__name__: each for each in (array, pretty, page, flat_page, lines, diagnostic, records, powershell, portal)
}
