"""
A real Exim on loopback, in a temporary folder.

    with running(folder, "log_selector = +smtp_connection") as server:
        ... server.ports["submission"] ...
    server.log                                  its main log, complete once it has stopped
    folder / "syslog"                           the same by syslog, refusals twice

It asks for an account of the system's, which it gets in a mount namespace where nobody else sees it. Mail is accepted and
stays in the queue.

What goes wrong
    `lacking()` says why this machine cannot run it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alone
import mail_server
from alone import PACKAGES, Alone
from mail_server import PASSWORD, REFUSED_RECIPIENT, USERS, MailServer

PROGRAM = "/usr/sbin/exim4"
PACKAGE = "exim4-daemon-light"
LIBRARY = "libidn12"
OWNER = 59_003
SERVICES = ("submission", "smtps", "legacy")


def lacking() -> str | None:
    """Why this machine cannot run the server, None if it can."""
    program = alone.unpacked(PACKAGE, PROGRAM)
    if program is None or "not found" in _linked(program):
        return f"{PACKAGE} not installed (Debian and Ubuntu: make test as root, which unpacks it)"
    return "openssl not installed" if mail_server.program("openssl") is None else alone.lacking()


def _linked(program: Path) -> str:
    return subprocess.run(["ldd", program], capture_output=True, text=True, check=False, env=_libraries()).stdout


def _libraries() -> dict[str, str]:
    """Where the library is that came with it."""
    return {"LD_LIBRARY_PATH": ":".join(str(path.parent) for path in (PACKAGES / LIBRARY).rglob("*.so.*"))}


@contextmanager
def running(folder: Path, logging: str) -> Iterator[MailServer]:
    """The server with these settings of its log, started and stopped."""
    folder.chmod(0o755)
    ports = dict(zip(SERVICES, mail_server.free_ports(len(SERVICES)), strict=True))
    mail_server.certificate(folder)
    _configure(folder, ports, logging)
    bound = {"/etc/passwd": folder / "passwd", "/etc/group": folder / "group"}
    command = [alone.unpacked(PACKAGE, PROGRAM) or "", "-C", folder / "exim.conf", "-bdf"]
    log = folder / "log" / "mainlog"
    with Alone(folder) as machine, machine.running(command, bound, environment=_libraries()):
        mail_server.wait_for(lambda: all(map(mail_server.listens, ports.values())), "Exim does not listen", log)
        yield MailServer(ports, log)
        mail_server.wait_for(lambda: _ended(log), "Exim does not come to rest", log)


def _ended(log: Path) -> bool:
    """Every connection that began has ended, or its handshake has failed."""
    text = log.read_text(encoding="utf-8", errors="replace")
    begun = re.findall(r"SMTP connection from \[[\d.]+\]:(\d+) .*connection count", text)
    ended = re.findall(r"\[[\d.]+\]:(\d+) I=\S+ (?:closed by|lost|\(gnutls_handshake\))", text)
    return set(begun) <= set(ended)


def _configure(folder: Path, ports: dict[str, int], logging: str) -> None:
    for name in ("log", "spool"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    for name in ("passwd", "group"):
        own = Path("/etc", name).read_text(encoding="utf-8")
        line = "Debian-exim:x:{0}:{0}::/var/empty:/usr/sbin/nologin\n" if name == "passwd" else "Debian-exim:x:{0}:\n"
        (folder / name).write_text(own + line.format(OWNER), encoding="utf-8")
    for name in ("server.key", "server.pem"):
        (folder / name).chmod(0o644)
    keys = (user.replace("\\", "\\\\").replace('"', '\\"') for user in USERS)
    (folder / "users").write_text("".join(f'"{key}": {PASSWORD}\n' for key in keys), encoding="utf-8")
    (folder / "exim.conf").write_text(
        EXIM_CONF.format(folder=folder, refused=REFUSED_RECIPIENT, logging=logging, **ports), encoding="utf-8"
    )


EXIM_CONF = """\
primary_hostname = mail.contoso.example
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog : syslog
{logging}
daemon_smtp_ports = {submission} : {smtps} : {legacy}
tls_on_connect_ports = {smtps}
local_interfaces = 127.0.0.1
tls_certificate = {folder}/server.pem
tls_privatekey = {folder}/server.key
tls_advertise_hosts = *
tls_require_ciphers = NORMAL:-VERS-ALL:+VERS-TLS1.0:+VERS-TLS1.1:+VERS-TLS1.2:+VERS-TLS1.3
queue_only
helo_accept_junk_hosts = *
smtp_accept_max_per_host = 0
acl_smtp_rcpt = acl_rcpt
never_users = root
keep_environment =
begin acl
acl_rcpt:
  deny recipients = {refused}
       message = 5.1.1 User unknown
  accept authenticated = *
  deny message = relay not permitted
begin authenticators
plain_server:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if eq{{$auth3}}{{${{lookup{{$auth2}}lsearch{{{folder}/users}}{{$value}}fail}}}}}}
  server_set_id = $auth2
  server_prompts = :
login_server:
  driver = plaintext
  public_name = LOGIN
  server_prompts = "Username:: : Password::"
  server_condition = ${{if eq{{$auth2}}{{${{lookup{{$auth1}}lsearch{{{folder}/users}}{{$value}}fail}}}}}}
  server_set_id = $auth1
cram_md5_server:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{lookup{{$auth1}}lsearch{{{folder}/users}}{{$value}}fail}}
  server_set_id = $auth1
"""
