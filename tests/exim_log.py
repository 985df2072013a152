"""
Logs of Exim as tests use them: lines in, a file or a syslog out.

    text = mainlog(failed(), arrival(sender="anna@contoso.example"))      a main log, its lines a second apart
    text = syslog(text)                                                   the same as Exim would have written it to syslog
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

ANNA = "anna@contoso.example"
CIPHER = "ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM"
X = f" X=TLS1.3:{CIPHER}:256 CV=no"
PC = "(pc) [192.0.2.10]"
ID = "1xVWeV-0001UI-2o"
SHAKE = f"TLS error on connection from {PC} (gnutls_handshake): No supported cipher suites have been found."


def arrival(
    *,
    queue_id: str = ID,
    sender: str = ANNA,
    host: str = f"H={PC}",
    protocol: str = "esmtpsa",
    tls: str = X,
    auth: str = f" A=plain_server:{ANNA}",
    rest: str = " S=1253 id=1@contoso.example",
) -> str:
    return f"{queue_id} <= {sender} {host} P={protocol}{tls}{auth}{rest}"


def refused(
    recipient: str = "x@y.example", answer: str = "5.1.1 User unknown", *, sender: str = ANNA, user: str = ANNA, host: str = PC
) -> str:
    return f"H={host}{X} F=<{sender}> A=plain_server:{user} rejected RCPT <{recipient}>: {answer}"


def failed(user: str = "anna", host: str = PC) -> str:
    return f"plain_server authenticator failed for {host}: 535 Incorrect authentication data (set_id={user})"


def mainlog(*lines: str, form: str = "%Y-%m-%d %H:%M:%S ", every: int = 1) -> bytes:
    stamped = (
        f"{datetime.fromtimestamp(1_795_449_965 + place * every, ZoneInfo('UTC')):{form}}{line}\n" for place, line in enumerate(lines)
    )
    return "".join(stamped).encode("utf-8", "surrogateescape")


def syslog(
    text: bytes, *, stamps: bool = True, pids: bool = True, twice: bool = True, form: str = "%b %d %H:%M:%S mail exim[{pid}]: "
) -> bytes:
    """A main log as Exim would have written it to syslog: cut at 870 characters, refusals a second time for the reject log."""
    written = []
    for number, entry in enumerate(re.split(rb"\n(?=\d{4}-)", text.rstrip(b"\n"))):
        line = entry.split(b"\n")[0]
        at = datetime.fromisoformat(line[:19].decode())
        said = line if stamps else line[20:]
        rejects = re.search(rb" authenticator failed for | (?:temporarily )?rejected ", line) and b" <= " not in line
        dump = b"\nEnvelope-from: <x@y>\nEnvelope-to: <a@b>\nP Received: from x A=plain:ceo\n\tby y; z\nF From: x\n"
        for copy in (said, said + (dump if b"after DATA" in line else b""))[: 2 if rejects and twice else 1]:
            head = f"{at:{form}}".replace("{pid}", str(7000 + number) if pids else "7").encode()
            written += [head + part for part in parts_of(copy.rstrip(b"\n"))]
    return b"\n".join(written) + b"\n"


def parts_of(said: bytes) -> Iterator[bytes]:
    pieces = [(line[at : at + 870], at + 870 >= len(line)) for line in said.split(b"\n") for at in range(0, len(line), 870)]
    for number, (piece, ends) in enumerate(pieces, 1):
        sign = b"\\" if ends and number < len(pieces) else b"/"
        yield piece if len(pieces) == 1 else b"[%d%b%d] %b" % (number, sign, len(pieces), piece)
