"""
A server of ClickHouse for tests: HTTP in front of chDB, in a process of its own, with the troubles that a network has.

    with Bridge(tmp_path) as bridge:
        store = open_store(bridge.url(), state=…)            clickhouse://report:S3cr3t@127.0.0.1:PORT/default
        bridge.trouble("lost answer", "INSERT INTO submissions")   from now on, for statements that begin like this
        bridge.well()
        bridge.stop(); bridge.start()                         the same port, the same data

What speaks is the very protocol of clickhouse-connect: statements in the body or in a form, settings and parameters in the
address, Native blocks in chunks, compressed with lz4, sessions by their id, errors by their code in a header.

Troubles
    down before      the connection ends, nothing was done
    lost answer      it was done, the connection ends
    slow             answers after `SLOW` seconds
    disk full        code 243
    old              says that it is of version 24.3
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

USER, READER, PASSWORD = "report", "reader", "S3cr3t"
SLOW = 60.0
OLD = "24.3.18.7"

OF_THE_TRANSPORT = {
    "database", "query", "session_id", "session_timeout", "session_check", "query_id", "wait_end_of_query", "client_protocol_version",
    "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms", "role",
    "cancel_http_readonly_queries_on_client_close",
}  # fmt: skip
"""Of the address: what is no setting of the engine."""

INSERT = re.compile(rb"(INSERT INTO [^\n]*) FORMAT Native\n")
CODE = re.compile(r"Code: (\d+)")


class Bridge:
    """The process, and the folder that its data is in."""

    def __init__(self, folder: Path, *, certificate: Path | None = None) -> None:
        self._folder = folder
        self._certificate = certificate
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, password: str = PASSWORD, options: str = "", user: str = USER) -> str:
        return f"clickhouse://{user}:{password}@127.0.0.1:{self.port}/default{options}"

    def start(self) -> None:
        """At the port that it had, if it had one."""
        command = [sys.executable, __file__, str(self._folder), str(self.port), str(self._certificate or "")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """At once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def trouble(self, kind: str, statement: str = "") -> None:
        """For statements that begin like this, until all is well."""
        self._tell({"kind": kind, "statement": statement})

    def well(self) -> None:
        self._tell({})

    def asked(self) -> list[str]:
        """How statements began that came since the last `trouble` or `well`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/asked", timeout=60) as answer:
            found: list[str] = json.loads(answer.read())
        return found

    def _tell(self, trouble: dict[str, str]) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/trouble", data=json.dumps(trouble).encode())
        urllib.request.urlopen(request, timeout=60).close()


class _RefusedError(Exception):
    """What the server answers instead."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {words}")


class _Session:
    """What one client has: a connection of chDB, and what it has set."""

    def __init__(self, folder: str, readonly: str = "0") -> None:
        import chdb  # noqa: PLC0415 - of the process of the server alone

        self._connection = chdb.connect(folder)
        self._connection.query(f"SET readonly = {readonly}")  # 2: settings, and tables of the session, but no more
        self._set: dict[str, str] = {}
        self._lock = Lock()

    def run(self, body: bytes, settings: dict[str, str], parameters: dict[str, str]) -> bytes:
        with self._lock:
            for name in self._set.keys() - settings.keys():
                self._connection.query(f"SET {name} = DEFAULT")
            for name in (name for name, value in settings.items() if self._set.get(name) != value):
                self._connection.query(f"SET {name} = {_quoted(settings[name])}")
            self._set = dict(settings)
            found = INSERT.match(body)
            if not found:
                return self._connection.query(body.decode(), "TabSeparated", params=parameters).bytes() or b""
            with tempfile.NamedTemporaryFile(suffix=".native") as block:
                block.write(body[found.end() :])
                block.flush()
                self._connection.query(f"{found[1].decode()} FROM INFILE {_quoted(block.name)} FORMAT Native")
            return b""

    def close(self) -> None:
        self._connection.close()


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(json.dumps(self.server.asked).encode() if self.path == "/asked" else b"Ok.\n")

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/trouble":
            self.server.trouble = json.loads(body)
            self.server.asked = []
            self._answer(b"")
            return
        named = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if "multipart" in self.headers.get("Content-Type", ""):
            form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
            named |= {part.get_param("name", header="content-disposition"): part.get_content() for part in form.iter_parts()}
            body = b""
        statement = named.get("query", "").encode() + body
        try:
            answer = self._run(self._admit(), statement, named)
        except _RefusedError as error:
            self._answer(str(error).encode(), error=True)
        except RuntimeError as error:
            self._answer(str(error).encode(), error=True)
        else:
            if answer is not None:
                self._answer(answer)

    def _admit(self) -> str:
        user, _, password = base64.b64decode(self.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode().partition(":")
        if user not in (USER, READER) or password != PASSWORD:
            raise _RefusedError(516, f"{user}: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)")
        return user

    def _run(self, user: str, statement: bytes, named: dict[str, str]) -> bytes | None:
        """What is answered; None where nothing is."""
        trouble = self.server.trouble
        begins = " ".join(statement[:200].decode(errors="replace").replace("`", "").split())
        self.server.asked.append(begins[:60])
        kind = trouble.get("kind") if begins.startswith(trouble.get("statement", "")) else ""
        if kind == "slow":
            time.sleep(SLOW)
        if kind == "disk full":
            raise _RefusedError(243, "Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)")
        if kind == "old" and begins.startswith("SELECT version()"):
            return f"{OLD}\tUTC\n".encode()
        if kind != "down before":
            settings = {name: value for name, value in named.items() if name not in OF_THE_TRANSPORT and not name.startswith("param_")}
            parameters = {name.removeprefix("param_"): value for name, value in named.items() if name.startswith("param_")}
            answer = self.server.session(named.get("session_id", ""), user).run(statement, settings, parameters)
            if kind != "lost answer":
                return answer
        self.close_connection = True
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "lz4":
            import lz4.frame  # noqa: PLC0415 - of the process of the server alone

            body = lz4.frame.decompress(body)
        return body

    def _answer(self, content: bytes, *, error: bool = False) -> None:
        self.send_response(500 if error else 200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-ClickHouse-Format", "Native")
        if error and (code := CODE.search(content.decode(errors="replace"))):
            self.send_header("X-ClickHouse-Exception-Code", code[1])
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """What was asked is told by `asked`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: str, port: int, certificate: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._folder = folder
        self._sessions: dict[str, _Session] = {}
        self._lock = Lock()
        self._kept = _Session(folder)
        self.trouble: dict[str, str] = {}
        self.asked: list[str] = []
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def session(self, name: str, user: str) -> _Session:
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = _Session(self._folder, "2" if user == READER else "0")
            return self._sessions[name]

    def handle_error(self, *_: Any) -> None:
        """A client that has gone away is none."""


def serve(folder: str, port: str, certificate: str) -> None:
    """Until the process is ended, or the one that started it has."""
    with suppress(KeyboardInterrupt), _Server(folder, int(port), certificate) as server:
        os.write(1, f"{server.server_address[1]}\n".encode())
        server.serve_forever()


if __name__ == "__main__":
    serve(*sys.argv[1:])
