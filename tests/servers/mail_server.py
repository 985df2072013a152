"""
A real Postfix with Dovecot for SASL, on loopback, in a temporary folder.

    with running(folder) as server:
        ... server.ports["submission"] ...
    server.log                                  complete once it has stopped

Nothing outside the folder is read or written but the programs themselves: own configuration, queue, certificate and
users, ports that were free. Mail is accepted and thrown away. TLS 1.0 and 1.1 are on, which takes OpenSSL's lowest
security level.

What goes wrong
    `lacking()` says why this machine cannot run it. A server that does not come up is a RuntimeError with what it logged.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

PASSWORD = "Correct-Horse-7"  # of accounts that exist for seconds
USERS = (
    "anna.berg@contoso.example",
    "jürgen@münchen.example",
    "TAILSPIN\\backup_job",
    "scanner",
    "crm@fabrikam.example",
    "o'neil, pat@contoso.example",
)
TOKEN_KEY = b"a key that only these tests use"
SERVICES = ("submission", "smtps", "legacy", "quiet")
REFUSED_RECIPIENT = "nobody@contoso.example"

PROGRAMS = ("postfix", "dovecot", "openssl")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
PATIENCE = 60.0  # seconds for a server to come up, to stop, or to log what it must


class MailServer(NamedTuple):
    """Where it listens and logs."""

    ports: Mapping[str, int]
    log: Path


def insist(lacks: str | None) -> None:
    """Skip what cannot run for what the machine lacks: it is told at the end of the run, and in CI the run has failed."""
    if lacks:
        pytest.skip(lacks)  # which program is missing; told at the end, and in CI the run has failed


def lacking() -> str | None:
    """Why this machine cannot run the servers, None if it can."""
    missing = [name for name in PROGRAMS if program(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (Debian and Ubuntu: apt-get install postfix dovecot-core openssl)"
    if os.geteuid() != 0:
        return "Postfix can only be started by root"
    version = subprocess.run([program("dovecot") or "", "--version"], capture_output=True, text=True, check=True).stdout
    return None if version.startswith("2.3.") else f"Dovecot {version.split()[0]} is installed; the configuration here is for 2.3"


def program(name: str) -> str | None:
    """Where it is installed."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":" + SBIN)


@contextmanager
def running(folder: Path) -> Iterator[MailServer]:
    """Both servers, started and stopped."""
    folder.chmod(0o755)  # the servers drop their privileges and must still get in
    server = MailServer(dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True)), folder / "mail.log")
    certificate(folder)
    _configure_postfix(folder, server)
    configure_dovecot(folder)
    with ExitStack() as stack:
        stack.enter_context(_dovecot(folder))
        stack.enter_context(_postfix(folder))
        yield server
        wait_for(lambda: idle(server.log), "Postfix does not come to rest", server.log)


def free_ports(count: int) -> list[int]:
    """Ports where nothing listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [port for _, port in (listening.getsockname() for listening in sockets)]


def idle(log: Path) -> bool:
    """Every session that began has ended, and every message has left the queue."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    sessions = sum(": connect from " in line for line in lines) - sum(": disconnect from " in line for line in lines)
    queued = {line.split(": ")[1] for line in lines if line.endswith("(queue active)")}
    removed = {line.split(": ")[1] for line in lines if line.endswith(": removed")}
    return sessions == 0 and queued == removed


def listens(port: int) -> bool:
    """Whether a server takes connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE):
        return True
    return False


def wait_for(condition: Callable[[], bool], complaint: str, log: Path) -> None:
    """Until it is so; RuntimeError with the complaint and the log if it does not come to be."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"{complaint}; it logged:\n{log.read_text(errors='replace') if log.exists() else 'nothing'}")
        time.sleep(0.05)


def certificate(folder: Path) -> None:
    """One that no client knows, and its key."""
    made = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.pem")]
    named = ["-subj", "/CN=mail.contoso.example", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command = [program("openssl") or "", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made, *named]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OPENSSL_CONF": str(_openssl(folder))})


def _openssl(folder: Path) -> Path:
    path = folder / "openssl.cnf"
    path.write_text(OPENSSL, encoding="utf-8")
    return path


def _configure_postfix(folder: Path, server: MailServer) -> None:
    etc = folder / "etc"
    for made in (etc, folder / "spool", folder / "lib"):
        made.mkdir()
    shutil.chown(folder / "lib", "postfix")
    defaults = subprocess.run(
        [program("postconf") or "", "-dh", "daemon_directory", "command_directory"], capture_output=True, text=True, check=True
    )
    daemons, commands = defaults.stdout.split()
    (etc / "main.cf").write_text(
        MAIN_CF.format(folder=folder, daemons=daemons, commands=commands, refused=REFUSED_RECIPIENT), encoding="utf-8"
    )
    (etc / "master.cf").write_text(MASTER_CF.format(**server.ports), encoding="utf-8")


def configure_dovecot(folder: Path) -> None:
    """Its accounts, and its configuration as Postfix's authentication server."""
    (folder / "dovecot").mkdir()
    keys = folder / "keys" / "default" / "HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_bytes(base64.b64encode(TOKEN_KEY))
    (folder / "users").write_text("".join(f"{_escaped(user)}:{{PLAIN}}{PASSWORD}\n" for user in USERS), encoding="utf-8")
    (folder / "oauth2.conf.ext").write_text(OAUTH2_CONF.format(folder=folder), encoding="utf-8")
    (folder / "dovecot.conf").write_text(DOVECOT_CONF.format(folder=folder), encoding="utf-8")


def _escaped(user: str) -> str:
    """As Dovecot looks it up in a file."""
    return re.sub(r"""(['"\\])""", r"\\\1", user)


@contextmanager
def _dovecot(folder: Path) -> Iterator[None]:
    socket_path = folder / "spool" / "private" / "auth"
    socket_path.parent.mkdir()
    shutil.chown(socket_path.parent, "postfix")
    socket_path.parent.chmod(0o700)
    process = subprocess.Popen([program("dovecot") or "", "-F", "-c", str(folder / "dovecot.conf")])
    try:
        wait_for(lambda: socket_path.exists() or process.poll() is not None, "Dovecot does not listen", folder / "dovecot.log")
        if process.poll() is not None:
            raise RuntimeError(f"Dovecot ended; it logged:\n{(folder / 'dovecot.log').read_text(errors='replace')}")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def _postfix(folder: Path) -> Iterator[None]:
    command = [program("postfix") or "", "-c", str(folder / "etc")]
    started = subprocess.run([*command, "start"], capture_output=True, text=True, check=False)
    if started.returncode:
        logged = (folder / "mail.log").read_text(errors="replace") if (folder / "mail.log").exists() else ""
        raise RuntimeError(f"Postfix does not start: {started.stderr}{started.stdout}{logged}")
    try:
        yield
    finally:
        subprocess.run([*command, "stop"], capture_output=True, check=False, timeout=PATIENCE * 2)


OPENSSL = """\
openssl_conf = settings
[settings]
ssl_conf = ssl
[ssl]
system_default = lowest
[lowest]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
[req]
distinguished_name = name
[name]
"""

MAIN_CF = """\
compatibility_level = 3.6
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
queue_directory = {folder}/spool
data_directory = {folder}/lib
daemon_directory = {daemons}
command_directory = {commands}
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME OPENSSL_CONF={folder}/openssl.cnf
myhostname = mail.contoso.example
mydestination =
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = discard:
relay_transport = discard:
local_transport = discard:
disable_dns_lookups = yes
smtputf8_enable = yes
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.key
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_protocols = >=TLSv1
smtpd_tls_mandatory_protocols = >=TLSv1
tls_medium_cipherlist = ALL:!aNULL:@SECLEVEL=0
tls_high_cipherlist = ALL:!aNULL:@SECLEVEL=0
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ {refused} = REJECT }} }}
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
"""

MASTER_CF = """\
pickup     unix       n - n 60    1 pickup
cleanup    unix       n - n -     0 cleanup
qmgr       unix       n - n 300   1 qmgr
tlsmgr     unix       - - n 1000? 1 tlsmgr
rewrite    unix       - - n -     - trivial-rewrite
bounce     unix       - - n -     0 bounce
defer      unix       - - n -     0 bounce
trace      unix       - - n -     0 bounce
verify     unix       - - n -     1 verify
flush      unix       n - n 1000? 0 flush
proxymap   unix       - - n -     - proxymap
proxywrite unix       - - n -     1 proxymap
showq      unix       n - n -     - showq
error      unix       - - n -     - error
retry      unix       - - n -     - error
discard    unix       - - n -     - discard
anvil      unix       - - n -     1 anvil
scache     unix       - - n -     1 scache
postlog    unix-dgram n - n -     1 postlogd
127.0.0.1:{submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
127.0.0.1:{smtps} inet n - n - - smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
127.0.0.1:{legacy} inet n - n - - smtpd
  -o smtpd_tls_security_level=may
  -o smtpd_sasl_auth_enable=yes
127.0.0.1:{quiet} inet n - n - - smtpd
  -o syslog_name=postfix/submission-quiet
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_loglevel=0
  -o smtpd_sasl_auth_enable=yes
"""

DOVECOT_CONF = """\
protocols =
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = {folder}/dovecot.log
auth_mechanisms = plain login cram-md5 xoauth2
disable_plaintext_auth = no
auth_username_chars =
auth_username_format = %u
auth_failure_delay = 0
ssl = no
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5
  args = scheme=PLAIN username_format=%u {folder}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf.ext
}}
userdb {{
  driver = static
  args = uid=postfix gid=postfix home={folder}
}}
service auth {{
  unix_listener {folder}/spool/private/auth {{
    mode = 0600
    user = postfix
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""

OAUTH2_CONF = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = email
username_format = %u
"""
