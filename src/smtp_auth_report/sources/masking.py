"""
A line that could not be read, made fit to be shown: the server's own words stay, everything a person typed goes.

    masked(b"warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: x, sasl_username=hunter2")
    warning: unknown[…]: SASL PLAIN authentication failed: …

Failed user names are often passwords, so nothing behind the first name, address, bracket or result is kept, and of the
words before it only those that Postfix itself uses.
"""

from __future__ import annotations

import re

LENGTH = 160
_CUT = re.compile(r"(sasl_username=|authentication failed|authentication aborted|failed:|user=|authid=|set_id=|helo=|from=<|to=<)")
_BRACKETS = re.compile(r"[<\[(\"'].*?[>\])\"']")
_WORD = re.compile(r"[^\s:;,=/]+")
_KNOWN = frozenset(
    """
    warning error fatal panic sasl authentication failed aborted client connect disconnect from to established tls connection with cipher
    anonymous untrusted trusted verified sasl_method sasl_username sasl_sender queue active size nrcpt reject milter-reject proxy-reject
    proxy-accept noqueue rcpt mail data end-of-message plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer ntlm
    gssapi tlsv1 tlsv1.1 tlsv1.2 tlsv1.3 sslv3 ehlo starttls auth quit rset commands smtpd smtps submission submissions cleanup qmgr postfix
    removed lost timeout after message-id sender address rejected recipient user unknown
    """.split()
)


def masked(line: bytes) -> str:
    """At most 160 characters, printable, without names, addresses and secrets."""
    shown = line[:2000].decode("ascii", "replace")
    cut = _CUT.search(shown)
    if cut:
        shown = shown[: cut.end()] + " …"
    shown = _BRACKETS.sub("[…]", shown)
    shown = _WORD.sub(lambda word: word[0] if word[0].lower() in _KNOWN else "…", shown)
    shown = "".join(character if character.isprintable() else " " for character in shown)
    return re.sub(r"(?:… ?){2,}", "… ", shown)[:LENGTH].strip()
