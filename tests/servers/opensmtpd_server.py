"""
A real OpenSMTPD on loopback, in a temporary folder.

    with running(folder) as server:
        ... server.ports["submission"] ...
    server.log                                  complete once it has stopped

It asks for accounts and folders of the system's: it gets those in a mount namespace, where nobody else sees them. Mail is
accepted and waits for a relay that does not answer.

What goes wrong
    `lacking()` says why this machine cannot run it. Some builds complete no TLS handshake (Debian 12's): `speaks_tls`.
"""

from __future__ import annotations

import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alone
import mail_server
from alone import Alone
from mail_server import PASSWORD, USERS, MailServer
from smtp_client import unchecked

PROGRAM = "/usr/sbin/smtpd"
PACKAGE = "opensmtpd"
OWNERS = {"opensmtpd": 59_001, "opensmtpq": 59_002, "_smtpd": 59_001, "_smtpq": 59_002}


def lacking() -> str | None:
    """Why this machine cannot run the server, None if it can."""
    if alone.unpacked(PACKAGE, PROGRAM) is None:
        return f"{PACKAGE} not installed (Debian and Ubuntu: make test as root, which unpacks it)"
    return "openssl not installed" if mail_server.program("openssl") is None else alone.lacking()


@contextmanager
def running(folder: Path) -> Iterator[MailServer]:
    """The server, started and stopped."""
    folder.chmod(0o755)
    names = ("submission", "smtps", "legacy")
    ports = dict(zip(names, mail_server.free_ports(len(names)), strict=True))
    mail_server.certificate(folder)
    (folder / "server.key").chmod(0o600)
    _configure(folder, ports)
    bound = {"/etc/passwd": folder / "passwd", "/etc/group": folder / "group", "/run": folder / "run"}
    made = ("/var/spool/smtpd", "/var/lib/opensmtpd/empty", "/var/empty", "/usr/libexec/opensmtpd")
    command = [alone.unpacked(PACKAGE, PROGRAM) or "", "-F", "-f", folder / "smtpd.conf"]
    with Alone(folder) as machine:
        emptied = [place for place in ("/var/spool", "/var/lib", "/var/empty", "/usr/libexec") if Path(place).is_dir()]
        environment = {"OPENSSL_CONF": str(folder / "openssl.cnf")}
        with machine.running(command, bound, emptied, [place for place in made if Path(place).parent.parent.is_dir()], environment):
            mail_server.wait_for(lambda: all(map(mail_server.listens, ports.values())), "OpenSMTPD does not listen", machine.log)
            yield MailServer(ports, machine.log)
            mail_server.wait_for(lambda: _ended(machine.log), "OpenSMTPD does not come to rest", machine.log)


def speaks_tls(server: MailServer) -> bool:
    """Whether a handshake succeeds at all."""
    with smtplib.SMTP("127.0.0.1", server.ports["submission"], "probe.contoso.example", mail_server.PATIENCE) as session:
        try:
            session.starttls(context=unchecked("TLSv1.3"))
        except ssl.SSLError:
            session.close()
            return False
    return True


def _ended(log: Path) -> bool:
    text = log.read_text(encoding="utf-8", errors="replace")
    return text.count(" smtp connected ") == text.count(" smtp disconnected ")


def _configure(folder: Path, ports: dict[str, int]) -> None:
    (folder / "run").mkdir()
    for name in ("passwd", "group"):
        own = Path("/etc", name).read_text(encoding="utf-8")
        line = "{0}:x:{1}:{1}::/var/empty:/usr/sbin/nologin\n" if name == "passwd" else "{0}:x:{1}:\n"
        (folder / name).write_text(own + "".join(line.format(*owner) for owner in OWNERS.items()), encoding="utf-8")
    secret = subprocess.run([mail_server.program("openssl") or "", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True)
    creds = "".join(f"{user}\t{secret.stdout}" for user in USERS if "," not in user)
    (folder / "creds").write_text(creds, encoding="utf-8")
    (folder / "refused").write_text(mail_server.REFUSED_RECIPIENT + "\n", encoding="utf-8")
    (folder / "smtpd.conf").write_text(SMTPD_CONF.format(folder=folder, **ports), encoding="utf-8")


SMTPD_CONF = """\
pki mail.contoso.example cert "{folder}/server.pem"
pki mail.contoso.example key "{folder}/server.key"
table creds file:{folder}/creds
table refused file:{folder}/refused
listen on 127.0.0.1 port {submission} tls-require pki mail.contoso.example auth <creds> hostname mail.contoso.example
listen on 127.0.0.1 port {smtps} smtps pki mail.contoso.example auth <creds> hostname mail.contoso.example
listen on 127.0.0.1 port {legacy} tls pki mail.contoso.example auth-optional <creds> hostname mail.contoso.example
action "out" relay host "smtp+notls://127.0.0.1:9"
match from any for rcpt-to <refused> reject
match from any for any action "out"
"""
