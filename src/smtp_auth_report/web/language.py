"""
In which language a page is: the one chosen in its foot, else what the browser asks for, else English.

    spoken        middleware
    /language     sets the cookie of the choice (Django's `set_language`), and leads back to the page

What programs read is in English always. This is done here and not by Django's LocaleMiddleware, which knows no such
exception, and leaves its language to whatever the thread does next.

See also
    words.py for messages from below the pages; docs/index.md for how a language is added
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override

from smtp_auth_report.web.errors import is_for_programs
from smtp_auth_report.words import ENGLISH, speaking


def spoken(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: everything further in speaks the reader's language."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        for_program = is_for_programs(request)
        language = ENGLISH if for_program else get_language_from_request(request)
        with override(language), speaking(language):
            response = respond(request)
        if not for_program:
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
            response.headers.setdefault("Content-Language", language)
        return response

    return middleware
