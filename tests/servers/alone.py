"""
Servers that write to the syslog of a machine of their own.

    with Alone(folder) as machine:
        with machine.running(["dovecot", "-F", "-c", "…"]):
            ...
    machine.log                                 what they logged, as a syslog daemon writes it

A mount namespace gives them a /dev of their own, whose `log` is read here; whatever else they must not share with the
machine is bound over in the same way. Nothing of the machine itself changes.

What goes wrong
    `lacking()` says why this machine cannot do it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

PACKAGES = Path(__file__).resolve().parents[2] / ".run" / "packages"
"""Where tests/setup/packages.sh unpacks what would exclude another package if it were installed."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PATIENCE = 60.0
# <22>Nov 25 18:57:12 dovecot: submission-login: Login: …
DATAGRAM = re.compile(rb"<\d+>(?P<stamp>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<line>.*)", re.DOTALL)
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def unpacked(package: str, program: str) -> Path | None:
    """A program of a package that is installed, or that was only unpacked; None where it is neither."""
    return next((path for path in (Path(program), PACKAGES / package / program.lstrip("/")) if path.exists()), None)


def lacking() -> str | None:
    """Why this machine cannot run servers so, None if it can."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "mount namespaces need root and unshare (Debian and Ubuntu: util-linux)"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"no mount namespaces here: {done.stderr.strip()}" if done.returncode else None


class Alone:
    """A machine of their own, in a folder."""

    def __init__(self, folder: Path, host: str = "mail") -> None:
        self.log = folder / "syslog"
        self._dev = folder / "dev"
        self._host = host.encode()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._dev.mkdir()
        for device in DEVICES:
            subprocess.run(["cp", "--archive", f"/dev/{device}", self._dev], check=True)
        self.log.touch()
        self._socket.bind(str(self._dev / "log"))
        (self._dev / "log").chmod(0o666)
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self._dev / "log"))
        self._thread.join(PATIENCE)
        self._socket.close()

    def _read(self) -> None:
        with self.log.open("ab", buffering=0) as out:
            while datagram := self._socket.recv(65_536):
                found = DATAGRAM.fullmatch(datagram.rstrip(b"\n\0"))
                if found:
                    text = CONTROL.sub(lambda character: b"#%03o" % character[0][0], found["line"])  # as rsyslog does
                    out.write(b"%b %b %b\n" % (found["stamp"], self._host, text))

    @contextmanager
    def running(
        self,
        command: Sequence[str | Path],
        bound: Mapping[str, Path] | None = None,
        emptied: Sequence[str] = (),
        made: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program in the foreground, with files and folders `bound` over, folders `emptied`, and others `made` in these."""
        steps = [f"mount --bind '{self._dev}' /dev"]
        steps += [f"mount --bind '{path}' '{place}'" for place, path in (bound or {}).items()]
        steps += [f"mount -t tmpfs none '{place}'" for place in emptied]
        steps += [f"mkdir -p -m 711 '{place}'" for place in made]
        script = "\n".join([*steps, 'exec "$@"'])
        wrapped = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", *map(str, command)]
        process = subprocess.Popen(wrapped, env={**os.environ, **(environment or {})})
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)
