"""
Why a TLS handshake failed, from the words of the library that a server uses, in ours.

    reason(b"error:0A0000C1:SSL routines::no shared cipher", OPENSSL)       "no_shared_cipher"
    reason(words, OPENSSL + LEFT)           where the words are the library's alone, and tell also how a client left
    reasons(OPENSSL)                        every reason that they give

The first words that are found count: what one side refused tells more than that the connection was closed.

What goes wrong
    "handshake_failed" where no word is known.
"""

from __future__ import annotations

Words = tuple[tuple[bytes, str], ...]

# error:0A0000C1:SSL routines::no shared cipher          SSL_accept error from unknown[192.0.2.10]: lost connection
OPENSSL: Words = (
    (b"no shared cipher", "no_shared_cipher"),
    (b"unsupported protocol", "version_refused"),
    (b"version too low", "version_refused"),
    (b"protocol version", "version_refused"),
    (b"unknown protocol", "not_tls"),
    (b"wrong version number", "not_tls"),
    (b"http request", "not_tls"),
    (b"unknown ca", "certificate_refused"),
    (b"certificate", "certificate_refused"),
    (b"lost connection", "connection_lost"),
    (b"connection reset", "connection_lost"),
    (b"timed out", "timeout"),
)
LEFT: Words = (
    (b"timed out", "timeout"),
    (b"timeout", "timeout"),
    (b"connection", "connection_lost"),
    (b"unexpected eof", "connection_lost"),
)
# No supported cipher suites have been found.            A TLS fatal alert has been received: Certificate is bad
OPENSSL_OR_GNUTLS: Words = (
    (b"cipher", "no_shared_cipher"),
    (b"shared group", "no_shared_cipher"),
    (b"unsupported protocol", "version_refused"),
    (b"unsupported version", "version_refused"),
    (b"version too low", "version_refused"),
    (b"protocol version", "version_refused"),
    (b"version packet", "version_refused"),
    (b"unknown protocol", "not_tls"),
    (b"wrong version number", "not_tls"),
    (b"unexpected tls packet", "not_tls"),
    (b"unexpected packet", "not_tls"),
    (b"http request", "not_tls"),
    (b"certificate", "certificate_refused"),
    (b"unknown ca", "certificate_refused"),
    (b"unknown_ca", "certificate_refused"),
    *LEFT,
    (b"closed by peer", "connection_lost"),
    (b"terminated", "connection_lost"),
    (b"push function", "connection_lost"),
    (b"pull function", "connection_lost"),
)
# reason = "received corrupt message of type InvalidContentType"
RUSTLS: Words = (
    (b"cipher", "no_shared_cipher"),
    (b"tls12", "version_refused"),
    (b"version", "version_refused"),
    (b"certificate", "certificate_refused"),
    (b"unknownca", "certificate_refused"),
    (b"corrupt message", "not_tls"),
    (b"invalidcontenttype", "not_tls"),
    (b"eof", "connection_lost"),
    (b"reset", "connection_lost"),
    (b"broken pipe", "connection_lost"),
    (b"timed out", "timeout"),
)


def reason(words: bytes, known: Words) -> str:
    """Why it failed."""
    lower = words.lower()
    return next((reason for needle, reason in known if needle in lower), "handshake_failed")


def reasons(known: Words) -> set[str]:
    """Every reason that these words give."""
    return {"handshake_failed", *(reason for _, reason in known)}
