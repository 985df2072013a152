"""
A real Sendmail on loopback, in a temporary folder.

    with running(folder, 9) as server:
        ... server.ports["submission"] ...
    server.log                                  what came by syslog at this LogLevel, complete once it has stopped

Its accounts are in /etc/sasldb2, and it insists on a full name of the machine: both are bound over in a mount namespace
where nobody else sees it. Mail is accepted and stays in the queue.

What goes wrong
    `lacking()` says why this machine cannot run it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname

import alone
import mail_server
from alone import PACKAGES, Alone
from mail_server import PASSWORD, REFUSED_RECIPIENT, USERS, MailServer

PROGRAM = "/usr/libexec/sendmail/sendmail"
PACKAGE = "sendmail-bin"
ACCOUNTS = Path("/etc/sasldb2")
HOST = "mail.contoso.example"
SERVICES = ("submission", "smtps", "legacy")


def lacking() -> str | None:
    """Why this machine cannot run the server, None if it can."""
    program = alone.unpacked(PACKAGE, PROGRAM)
    if program is None or _macros() is None or "not found" in _linked(program):
        return f"{PACKAGE}, sendmail-cf and m4 not installed (Debian and Ubuntu: make test as root, which unpacks them)"
    if mail_server.program("saslpasswd2") is None or not ACCOUNTS.exists():
        return "sasl2-bin not installed"
    return "openssl not installed" if mail_server.program("openssl") is None else alone.lacking()


def _linked(program: Path) -> str:
    return subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout


def _macros() -> tuple[Path, Path] | None:
    """m4, and the folder of what it makes a configuration of."""
    m4, macros = alone.unpacked("m4", "/usr/bin/m4"), alone.unpacked("sendmail-cf", "/usr/share/sendmail/cf")
    return (m4, macros) if m4 and macros else None


@contextmanager
def running(folder: Path, level: int) -> Iterator[MailServer]:
    """The server with this LogLevel, started and stopped."""
    folder.chmod(0o755)
    ports = dict(zip(SERVICES, mail_server.free_ports(len(SERVICES)), strict=True))
    mail_server.certificate(folder)
    (folder / "server.key").chmod(0o600)
    _configure(folder, ports, level)
    command = [alone.unpacked(PACKAGE, PROGRAM) or "", "-bD", "-C", folder / "sendmail.cf"]
    with Alone(folder) as machine:
        environment = {"OPENSSL_CONF": str(folder / "openssl.cnf")}
        bound = {str(ACCOUNTS): folder / "sasldb2", "/etc/hosts": folder / "hosts"}
        with machine.running(command, bound, environment=environment) as process:
            mail_server.wait_for(lambda: all(map(mail_server.listens, ports.values())), "Sendmail does not listen", machine.log)
            yield MailServer(ports, machine.log)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")  # one for each session
            mail_server.wait_for(lambda: not children.read_text(encoding="ascii"), "Sendmail does not come to rest", machine.log)


def _configure(folder: Path, ports: dict[str, int], level: int) -> None:
    (folder / "queue").mkdir(mode=0o700)
    (folder / "empty").touch()
    (folder / "hosts").write_text(f"127.0.0.1 localhost {HOST}\n127.0.0.1 {gethostname()}.contoso.example {gethostname()}\n")
    for user in USERS:
        name, _, realm = user.partition("@")
        added = [mail_server.program("saslpasswd2") or "", "-c", "-p", "-f", folder / "sasldb2", "-u", realm or HOST, name]
        subprocess.run(added, input=PASSWORD.encode(), check=True)
    m4, macros = _macros() or (Path(), PACKAGES)
    source = SENDMAIL_MC.format(macros=macros, folder=folder, host=HOST, level=level, refused=REFUSED_RECIPIENT, **ports)
    (folder / "sendmail.mc").write_text(source, encoding="utf-8")
    made = subprocess.run([m4, f"-D_CF_DIR_={macros}/", folder / "sendmail.mc"], capture_output=True, check=True)
    (folder / "sendmail.cf").write_bytes(made.stdout)


SENDMAIL_MC = """\
include(`{macros}/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `{host}')dnl
define(`confLOG_LEVEL', `{level}')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`confPID_FILE', `{folder}/pid')dnl
define(`STATUS_FILE', `{folder}/statistics')dnl
define(`ALIAS_FILE', `text:{folder}/empty')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
define(`confCT_FILE', `{folder}/empty')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELIVERY_MODE', `queueonly')dnl
define(`confTO_IDENT', `0')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupReadableSASLDBFile,GroupReadableKeyFile,AssumeSafeChown,TrustStickyBit')dnl
define(`confAUTH_OPTIONS', `A')dnl
define(`confAUTH_REALM', `{host}')dnl
TRUST_AUTH_MECH(`PLAIN LOGIN CRAM-MD5')dnl
define(`confAUTH_MECHANISMS', `PLAIN LOGIN CRAM-MD5')dnl
define(`confCACERT', `{folder}/server.pem')dnl
define(`confCACERT_PATH', `{folder}')dnl
define(`confSERVER_CERT', `{folder}/server.pem')dnl
define(`confSERVER_KEY', `{folder}/server.key')dnl
define(`confCIPHER_LIST', `ALL:!aNULL:@SECLEVEL=0')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Family=inet, Name=MSA, Addr=127.0.0.1, Port={submission}, M=E')dnl
DAEMON_OPTIONS(`Family=inet, Name=TLSMTA, Addr=127.0.0.1, Port={smtps}, M=s')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Addr=127.0.0.1, Port={legacy}')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`nocanonify')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h 9')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_RULESETS
SLocal_check_rcpt
R$* {refused} $*\t$#error $@ 5.1.1 $: "550 5.1.1 User unknown"
R$* < {refused} > $*\t$#error $@ 5.1.1 $: "550 5.1.1 User unknown"
"""
