"""Messages from below the pages, in the language of a thread or of the process."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from smtp_auth_report import words
from smtp_auth_report.words import language_of, speaking, translated, worded

UTF_8 = "fr_FR.UTF-8"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": UTF_8}, "fr"),
        ({"LANG": "fr"}, "fr"),
        ({"LANG": "fr_CA.UTF-8@euro"}, "fr"),
        ({"LANG": "eo"}, "en"),
        ({"LANG": "../../fr"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": UTF_8}, "fr"),
        ({"LC_MESSAGES": UTF_8, "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": UTF_8, "LC_ALL": ""}, "fr"),
        ({"LANG": "eo.UTF-8", "LANGUAGE": "eo:fr_BE:en"}, "fr"),
        ({"LANG": UTF_8, "LANGUAGE": "en:fr"}, "en"),
        ({"LANG": UTF_8, "LANGUAGE": ""}, "fr"),
        ({"LANG": "C", "LANGUAGE": "fr"}, "en"),
        ({"LANG": UTF_8, "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANGUAGE": "fr"}, "en"),
    ],
)
def test_the_environment_says_the_language(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    with speaking("fr"):
        assert translated("no size is in the log") == "aucune taille n\N{RIGHT SINGLE QUOTATION MARK}est dans le journal"
        assert worded("{n} of {m}", n="{m}", m="{n.__class__}") == "{m} of {n.__class__}"
        assert translated("") == ""
    assert translated("no size is in the log") == "no size is in the log"


def test_a_thread_speaks_for_itself() -> None:
    with speaking("fr"), ThreadPoolExecutor(1) as thread:
        assert thread.submit(translated, "File exists").result() == "File exists"
        assert translated("File exists") == "Le fichier existe"


def test_a_language_without_a_catalog_is_english() -> None:
    with speaking("eo"):
        assert worded("1,000.5") == "1,000.5"


def test_the_systems_words_are_translated() -> None:
    with speaking("fr"):
        assert words.why(OSError(errno.EACCES, os.strerror(errno.EACCES))) == "Permission refusée"
        assert words.why(OSError("odd")) == "OSError"
    assert {os.strerror(number) for number in (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EADDRINUSE)} <= set(words.REASONS)
