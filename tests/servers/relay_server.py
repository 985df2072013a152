"""
Dovecot's submission service in front of Postfix, on loopback, in a temporary folder; both write to one syslog.

    with relaying(folder, trusted=True) as server:
        ... server.ports["submission"] ...
    server.log                                  complete once it has stopped

Trusted: Dovecot tells Postfix who the client is (XCLIENT). Else Postfix takes Dovecot for any client of this machine.

What goes wrong
    `lacking()` says why this machine cannot run it. A server that does not come up is a RuntimeError with what it logged.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import alone
import mail_server
from alone import Alone
from mail_server import DOVECOT_CONF, MAIN_CF, MASTER_CF, MailServer

LOGIN, SERVICE = (f"/usr/lib/dovecot/{program}" for program in ("submission-login", "submission"))
PACKAGE = "dovecot-submissiond"


def lacking() -> str | None:
    """Why this machine cannot run the servers, None if it can."""
    if alone.unpacked(PACKAGE, LOGIN) is None:
        return f"{PACKAGE} not installed (Debian and Ubuntu: apt-get install {PACKAGE}, or make test as root, which unpacks it)"
    return mail_server.lacking() or alone.lacking()


@contextmanager
def relaying(folder: Path, *, trusted: bool) -> Iterator[MailServer]:
    """Both servers, started and stopped."""
    folder.chmod(0o755)
    names = ("submission", "smtps", "relay")
    ports = dict(zip(names, mail_server.free_ports(len(names)), strict=True))
    mail_server.certificate(folder)
    _configure_postfix(folder, ports["relay"], trusted=trusted)
    _configure_dovecot(folder, ports, trusted=trusted)
    with Alone(folder) as machine, ExitStack() as stack:
        server = MailServer(ports, machine.log)
        environment = {"OPENSSL_CONF": str(folder / "openssl.cnf")}
        postfix = (mail_server.program("postfix") or "", "-c", folder / "etc")
        stack.enter_context(machine.running([*postfix, "start-fg"], environment=environment))
        stack.callback(subprocess.run, [*postfix, "stop"], capture_output=True, check=False)  # its master outlives the script around it
        stack.enter_context(
            machine.running([mail_server.program("dovecot") or "", "-F", "-c", folder / "dovecot.conf"], environment=environment)
        )
        mail_server.wait_for(lambda: all(map(mail_server.listens, ports.values())), "the servers do not listen", machine.log)
        yield server
        mail_server.wait_for(lambda: mail_server.idle(machine.log) and _ended(machine.log), "the servers do not come to rest", machine.log)


def _ended(log: Path) -> bool:
    """Every client that signed in has left."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return text.count("submission-login: Login: ") == text.count(">: Disconnected: ")


def _configure_postfix(folder: Path, port: int, *, trusted: bool) -> None:
    etc = folder / "etc"
    for made in (etc, folder / "spool", folder / "lib"):
        made.mkdir()
    shutil.chown(folder / "lib", "postfix")
    postconf = [mail_server.program("postconf") or "", "-dh", "daemon_directory", "command_directory"]
    daemons, commands = subprocess.run(postconf, capture_output=True, text=True, check=True).stdout.split()
    main = MAIN_CF.format(folder=folder, daemons=daemons, commands=commands, refused=mail_server.REFUSED_RECIPIENT)
    own = [line for line in main.splitlines() if not line.startswith(("maillog_file", "smtpd_sasl", "smtpd_relay", "mynetworks"))]
    own += ["mynetworks = 127.0.0.0/8", "smtpd_relay_restrictions = permit_mynetworks, reject", "smtpd_tls_security_level = none"]
    own += ["smtpd_authorized_xclient_hosts = 127.0.0.1"] if trusted else []
    (etc / "main.cf").write_text("\n".join(own) + "\n", encoding="utf-8")
    shared = MASTER_CF.partition("postlog ")[0]
    (etc / "master.cf").write_text(f"{shared}127.0.0.1:{port} inet n - n - - smtpd\n  -o syslog_name=postfix/relay-in\n", encoding="utf-8")


def _configure_dovecot(folder: Path, ports: dict[str, int], *, trusted: bool) -> None:
    mail_server.configure_dovecot(folder)
    for made in (folder / "home", folder / "spool" / "private"):
        made.mkdir()
        shutil.chown(made, "postfix", "postfix")
    base = DOVECOT_CONF.format(folder=folder)
    own = [line for line in base.splitlines() if not line.startswith(("protocols", "log_path", "ssl ="))]
    text = "\n".join(own).replace(f"home={folder}", f"home={folder}/home")
    login, service = (alone.unpacked(PACKAGE, program) for program in (LOGIN, SERVICE))
    settings = SUBMISSION_CONF.format(folder=folder, login=login, service=service, trusted="yes" if trusted else "no", **ports)
    (folder / "dovecot.conf").write_text(text + "\n" + settings, encoding="utf-8")


SUBMISSION_CONF = """\
version_ignore = yes
protocols = submission
first_valid_uid = 1
mail_location = maildir:~/Maildir
hostname = mail.contoso.example
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
ssl_min_protocol = TLSv1
ssl_cipher_list = ALL:!aNULL:@SECLEVEL=0
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_trusted = {trusted}
login_log_format_elements = user=<%u> method=%m rip=%r lip=%l mpid=%e %c %k session=<%{{session}}>
mail_max_userip_connections = 100
service submission-login {{
  executable = {login}
  chroot =
  inet_listener submission {{
    address = 127.0.0.1
    port = {submission}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {smtps}
    ssl = yes
  }}
}}
service submission {{
  executable = {service}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
