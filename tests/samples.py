"""
A log of one signed-in session and one failed sign-in for each kind of server, as that server writes it.

    SAMPLES["chasquid"].own            lines of its own file, b"" where it writes only to a syslog
    SAMPLES["chasquid"].program        its tag in a syslog, "" where it writes to none
    SAMPLES["chasquid"].bare           the same lines without stamps, as a syslog or a container has them

    docker(lines), compose(lines), …   the same inside a container's log
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

START = datetime(2026, 11, 23, 16, 6, 5, tzinfo=UTC)
UUID = "D02E7D25-73DE-4051-8E20-D4240EADD4E9"
ANNA = "anna.berg@contoso.example"


class Sample(NamedTuple):
    """Lines, a second apart."""

    own: tuple[str, ...]
    program: str
    bare: tuple[str, ...]
    newline: str = "\n"

    @property
    def file(self) -> bytes:
        return "".join(line + self.newline for line in self.own).encode()


def moments(lines: Sequence[str]) -> list[tuple[datetime, str]]:
    return [(START + timedelta(seconds=place), line) for place, line in enumerate(lines)]


def stamped(form: str, lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{at:{form}}{line}" for at, line in moments(lines))


HARAKA = (
    f"[NOTICE] [{UUID}] [core] connect ip=192.0.2.10 port=41251 local_ip=:: local_port=587",
    f"[INFO] [{UUID}] [tls] secured: cipher=TLS_AES_256_GCM_SHA384 version=TLSv1.3 verified=false",
    f"[NOTICE] [{UUID}] [auth/flat_file] delaying for 1 seconds",
    f'[INFO] [{UUID}] [core]  hook=unrecognized_command plugin=auth/flat_file function=f params=AUTH retval=OK msg=""',
    f'[INFO] [{UUID}] [core]  hook=unrecognized_command plugin=auth/flat_file function=f params=AUTH retval=OK msg=""',
    f'[NOTICE] [{UUID}.1] [core] sender <a.berg@contoso.example> code=CONT msg=""',
    f'[NOTICE] [{UUID}.1] [core] recipient <x@y.example> code=OK msg="" sender=a.berg@contoso.example',
    f'[NOTICE] [{UUID}.1] [core] message mid=<1@contoso.example> size=1253 rcpts=2/0/0 delay=0 code=CONT msg=""',
    f'[NOTICE] [{UUID}.1] [core] queue code=OK msg="Message Queued ({UUID}.1)"',
    (
        f"[NOTICE] [{UUID}.1] [core] disconnect ip=192.0.2.10 rdns=pc.contoso.example helo=pc relay=Y early=N esmtp=Y tls=Y pipe=N "
        'errors=0 txns=1 rcpts=2/0/0 msgs=1/0/0 bytes=1253 lr="" time=0.102'
    ),
)
MADDY = (
    "submission: listening on tcp://0.0.0.0:587\t",
    'submission/sasl: authentication failed\t{"reason":"unknown credentials","src_ip":"192.0.2.10:20724","username":"anna"}',
    (
        'submission: incoming message\t{"msg_id":"161c8b61","sender":"a.berg@contoso.example","src_host":"pc","src_ip":"192.0.2.10:20725",'
        f'"username":"{ANNA}"}}'
    ),
    'submission: RCPT ok\t{"msg_id":"161c8b61","rcpt":"x@y.example"}',
    'submission: RCPT ok\t{"msg_id":"161c8b61","rcpt":"z@y.example"}',
    'submission: accepted\t{"msg_id":"161c8b61"}',
)
CHASQUID = (
    "daemon listening on [::]:587",
    "192.0.2.10:44649 auth failed for anna@",
    f"192.0.2.10:44649 auth succeeded for {ANNA}",
    "xLj9LHu3KzM from=a.berg@contoso.example queued ip=192.0.2.10:44649 to=[x@y.example z@y.example]",
    "xLj9LHu3KzM from=a.berg@contoso.example to=x@y.example sent",
    "xLj9LHu3KzM from=a.berg@contoso.example all done",
)
SPAN = 'listenerId = "submission", localPort = 587, remoteIp = 192.0.2.10, remotePort = 51234'
STALWART = (
    f"DEBUG SMTP connection started (smtp.connection-start) {SPAN}",
    f'INFO SMTP EHLO command (smtp.ehlo) {SPAN}, domain = "pc"',
    f'INFO TLS handshake (tls.handshake) {SPAN}, listenerId = "submission", version = "TLSv1_3", details = "TLS13_AES_256_GCM_SHA384"',
    f'DEBUG Authentication failed (auth.failed) {SPAN}, remoteIp = 192.0.2.10, accountName = "anna"',
    f'INFO Authentication successful (auth.success) {SPAN}, accountName = "{ANNA}", accountId = 7',
    f'INFO SMTP MAIL FROM command (smtp.mail-from) {SPAN}, from = "a.berg@contoso.example"',
    f'INFO SMTP RCPT TO command (smtp.rcpt-to) {SPAN}, to = "x@y.example"',
    (
        f"INFO Queued message submission for delivery (queue.authenticated-message-queued) {SPAN}, queueId = 313394020497752067, "
        'from = "a.berg@contoso.example", to = ["x@y.example", "z@y.example"], size = 1253, nextRetry = 2026-11-23T16:06:12Z, '
        "nextDsn = 2026-11-24T16:06:12Z, expires = 2026-11-26T16:06:12Z"
    ),
    f"DEBUG SMTP connection ended (smtp.connection-end) {SPAN}, elapsed = 812ms",
)
EXIM = (
    "exim 4.96 daemon started: pid=5672, -q30m, listening for SMTP on port 25 (IPv6 and IPv4) port 587 (IPv6 and IPv4)",
    "plain_server authenticator failed for (pc) [192.0.2.10]: 535 Incorrect authentication data (set_id=anna)",
    (
        "1xVWeV-0001UI-2o <= a.berg@contoso.example H=pc.contoso.example (pc) [192.0.2.10] P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 "
        f"CV=no A=plain_server:{ANNA} S=1253 id=1@contoso.example for x@y.example z@y.example"
    ),
    '1xVWeV-0001UI-2o => x@y.example R=dnslookup T=remote_smtp H=mx.y.example [198.51.100.7] X=TLS1.3:A:256 CV=yes C="250 OK"',
    "1xVWeV-0001UI-2o Completed",
)
ID = "0000000000258B42.000000006B072179.00000174"
COURIER = (
    'courieresmtpd: error,relay=::ffff:192.0.2.10,port=57653,msg="535 Authentication failed.",cmd: AUTH LOGIN anna',
    "courieresmtpd: started,ip=[::ffff:192.0.2.10],port=[57654]",
    f"courierd: newmsg,id={ID}, auth={ANNA}: dns; pc (pc.contoso.example [::ffff:192.0.2.10])",
    f"courierd: started,id={ID},from=<a.berg@contoso.example>,module=esmtp,host=y.example,addr=<x@y.example>",
    f"courierd: started,id={ID},from=<a.berg@contoso.example>,module=esmtp,host=y.example,addr=<z@y.example>",
    f"courieresmtp: id={ID},from=<a.berg@contoso.example>,addr=<x@y.example>,size=1253,success: delivered: mx.y.example [198.51.100.7]",
    f"courierd: completed,id={ID}",
)


def hmailserver(*lines: tuple[str, str]) -> tuple[str, ...]:
    """Lines `(kind, text)`; of a conversation where the kind is SMTPD."""
    written = []
    for at, (kind, text) in zip((at for at, _ in moments([""] * len(lines))), lines, strict=True):
        session, client = ("\t154", '"192.0.2.10"\t') if kind == "SMTPD" else ("", "")
        written.append(f'"{kind}"\t4532{session}\t"{at:%Y-%m-%d %H:%M:%S}.000"\t{client}"{text}"')
    return tuple(written)


HANDSHAKE = (
    "TCPConnection - TLS/SSL handshake completed. Session Id: 154, Remote IP: 192.0.2.10, Version: TLSv1.2, Cipher: AES128-SHA, Bits: 128"
)
HMAILSERVER = hmailserver(
    ("TCPIP", "TCP - 192.0.2.10 connected to 10.0.0.1:587."),
    ("SMTPD", "SENT: 220 mail ESMTP"),
    ("SMTPD", "RECEIVED: EHLO pc"),
    ("SMTPD", "SENT: 250-mail[nl]250-SIZE 20480000[nl]250-STARTTLS[nl]250 HELP"),
    ("SMTPD", "RECEIVED: STARTTLS"),
    ("SMTPD", "SENT: 220 Ready to start TLS"),
    ("TCPIP", HANDSHAKE),
    ("SMTPD", "RECEIVED: EHLO pc"),
    ("SMTPD", "SENT: 250-mail[nl]250-AUTH LOGIN PLAIN[nl]250 HELP"),
    ("SMTPD", "RECEIVED: AUTH LOGIN"),
    ("SMTPD", "SENT: 334 VXNlcm5hbWU6"),
    ("SMTPD", "RECEIVED: YW5uYQ=="),
    ("SMTPD", "SENT: 334 UGFzc3dvcmQ6"),
    ("SMTPD", "RECEIVED: ***"),
    ("SMTPD", "SENT: 535 Authentication failed. Restarting authentication process."),
    ("SMTPD", "RECEIVED: AUTH PLAIN YW5uYS5iZXJnQGNvbnRvc28uZXhhbXBsZQ== ***"),
    ("SMTPD", "SENT: 235 authenticated."),
    ("SMTPD", "RECEIVED: MAIL FROM:<a.berg@contoso.example> SIZE=1253"),
    ("SMTPD", "SENT: 250 OK"),
    ("SMTPD", "RECEIVED: RCPT TO:<x@y.example>"),
    ("SMTPD", "SENT: 250 OK"),
    ("SMTPD", "RECEIVED: RCPT TO:<z@y.example>"),
    ("SMTPD", "SENT: 250 OK"),
    ("SMTPD", "RECEIVED: DATA"),
    ("SMTPD", "SENT: 354 OK, send."),
    ("SMTPD", "SENT: 250 Queued (0.016 seconds)"),
    ("SMTPD", "RECEIVED: QUIT"),
    ("SMTPD", "SENT: 221 goodbye"),
)
KERIO = (
    "Failed SMTP login from 192.0.2.10 with SASL method LOGIN.",
    (
        f"Recv: Queue-ID: 65ee8b47-00000009, Service: SMTP, From: <a.berg@contoso.example>, To: <x@y.example>, Size: 1253, "
        f"Sender-Host: 192.0.2.10, User: {ANNA}, SSL: yes, Subject: report, Msg-Id: <1@contoso.example>"
    ),
    (
        f"Recv: Queue-ID: 65ee8b47-00000009, Service: SMTP, From: <a.berg@contoso.example>, To: <z@y.example>, Size: 1253, "
        f"Sender-Host: 192.0.2.10, User: {ANNA}, SSL: yes, Subject: report, Msg-Id: <1@contoso.example>"
    ),
    "Sent: Queue-ID: 65ee8b47-00000009, Recipient: <x@y.example>, Result: delivered, Status: 2.0.0 , Remote-Host: 198.51.100.7",
)

ISO = "%Y-%m-%dT%H:%M:%S.000Z "
SAMPLES = {
    "exim": Sample(stamped("%Y-%m-%d %H:%M:%S ", EXIM), "exim", EXIM),
    "haraka": Sample(stamped(ISO, HARAKA), "haraka", HARAKA),
    "maddy": Sample(stamped(ISO, MADDY), "maddy", MADDY),
    "chasquid": Sample(stamped("%Y-%m-%d %H:%M:%S.000000 ", CHASQUID), "chasquid", CHASQUID),
    "stalwart": Sample(stamped("%Y-%m-%dT%H:%M:%SZ ", STALWART), "stalwart", STALWART),
    "courier": Sample((), "courierd", COURIER),
    "hmailserver": Sample(HMAILSERVER, "", (), "\r\n"),
    "kerio": Sample(stamped("[%d/%b/%Y %H:%M:%S] ", KERIO), "", ()),
}


def syslog(program: str, lines: Sequence[str]) -> bytes:
    """RFC 3164. Lines of several programs begin with their tags."""
    return "".join(f"{at:%b %d %H:%M:%S} mail {_tagged(program, line)}\n" for at, line in moments(lines)).encode()


def _tagged(program: str, line: str) -> str:
    return line if program == "courierd" else f"{program}[643]: {line}"


Wrap = Callable[[datetime, str], str]
CONTAINERS: dict[str, Wrap] = {
    "docker": lambda at, line: json.dumps({"log": line + "\n", "stream": "stderr", "time": f"{at:%Y-%m-%dT%H:%M:%S}.000000001Z"}),
    "kubernetes": lambda at, line: f"{at:%Y-%m-%dT%H:%M:%S}.000000001Z stdout F {line}",
    "compose": lambda at, line: f"mail-1  | {at:%Y-%m-%dT%H:%M:%S}.000000001Z {line}",
    "compose in colour": lambda at, line: f"\x1b[36mmail-1  |\x1b[0m {at:%Y-%m-%dT%H:%M:%S}.000000001Z {line}",
    "docker logs -t": lambda at, line: f"{at:%Y-%m-%dT%H:%M:%S}.000000001Z {line}",
    "swarm": lambda at, line: f"{at:%Y-%m-%dT%H:%M:%S}.000000001Z mail.1.id@node1    | {line}",
}


def wrapped(container: str, lines: Sequence[str]) -> bytes:
    """Lines in a container's log."""
    return "".join(CONTAINERS[container](at, line) + "\n" for at, line in moments(lines)).encode()
