"""
The defences of the pages, each with the place in the package that is the defence, and the test that must fail without it.

    for defence in DEFENCES: copy the package, replace defence.there by defence.instead, run defence.test

A text stands in its file once, so that a defence that moves is missed and not forgotten.
"""

from __future__ import annotations

from typing import NamedTuple


class Defence(NamedTuple):
    """What is taken out where, and who must notice."""

    name: str
    file: str  # in the package
    there: str
    instead: str
    test: str  # of this folder
    along: tuple[str, str, str] | None = None  # file, there and instead of what would still keep it up
    quick: bool = False  # runs in `make test` too
    browser: bool = False


SECURITY = "test_security.py::"
HEADERS = SECURITY + "test_every_answer_has_the_headers"
COOKIES = SECURITY + "test_cookies_are_out_of_reach_of_scripts_and_of_plain_http"
LOG = SECURITY + "test_nothing_that_is_sent_forges_an_entry_of_our_log"
LENGTH = SECURITY + "test_a_length_is_what_every_server_takes_for_one"
HOSTILE = "test_exports.py::test_hostile_text_is_only_text"

NO_NEW_KEY = """request.session["_auth_user_id"] = str(person.pk)
    request.session["_auth_user_backend"] = "smtp_auth_report.web.people.Passwords"
    request.session["_auth_user_hash"] = person.get_session_auth_hash()"""
OF_ANY_NAME = """from django.http import FileResponse
    from smtp_auth_report.web.requested import folder
    return FileResponse((folder(site_of(request).settings) / identifier).open("rb"))"""

DEFENCES = (
    Defence("headers", "web/guard.py", "response.headers[name] = value", "pass", HEADERS),
    Defence(
        "scripts of this server alone", "web/guard.py", '"script-src": "\'self\'"', "\"script-src\": \"'self' 'unsafe-inline'\"", HEADERS
    ),
    Defence("no frame", "web/guard.py", '    "X-Frame-Options": "DENY",\n', "", HEADERS),
    Defence("referrer", "web/guard.py", '    "Referrer-Policy": "same-origin",\n', "", HEADERS),
    Defence("TLS alone", "web/guard.py", 'response.headers["Strict-Transport-Security"] = f"max-age={YEAR}"', "pass", HEADERS),
    Defence("cookies by TLS alone", "web/guard.py", 'cookie["secure"] = True', "pass", COOKIES),
    Defence("cookies out of reach", "web/configuration.py", "CSRF_COOKIE_HTTPONLY = True", "CSRF_COOKIE_HTTPONLY = False", COOKIES),
    Defence(
        "forms of these pages alone",
        "web/configuration.py",
        '    "django.middleware.csrf.CsrfViewMiddleware",\n',
        "",
        SECURITY + "test_no_form_from_elsewhere_is_taken",
    ),
    Defence(
        "a new key after sign-in",
        "web/sign_in.py",
        'request.session.flush()\n    login(request, person, "smtp_auth_report.web.people.Passwords")',
        NO_NEW_KEY,
        SECURITY + "test_a_session_has_another_key_after_sign_in",
        along=("web/sign_in.py", "request.session.flush()\n    if not person", "if not person"),
    ),
    Defence(
        "redirects to this site alone",
        "web/sign_in.py",
        'return there if url_has_allowed_host_and_scheme(there, allowed_hosts=None) else "/"',
        "return there",
        SECURITY + "test_nothing_leads_elsewhere",
    ),
    Defence(
        "files by their numbers alone",
        "web/request_pages.py",
        "return _download(request, get_object_or_404(requests_of(site_of(request)), pk=identifier, progress=Progress.DONE))",
        OF_ANY_NAME,
        SECURITY + "test_no_path_leads_out_of_its_folder",
        along=("web/urls.py", "requests/<uuid:identifier>/file", "requests/<path:identifier>/file"),
    ),
    Defence("no formula in a CSV file", "exports/csv_file.py", "plain(value) or nothing", "value or nothing", HOSTILE, quick=True),
    Defence("no formula in a workbook", "exports/xlsx_sheet.py", "text = plain(value)", "text = value", HOSTILE),
    Defence(
        "no formula in a report's CSV",
        "reports/render.py",
        'return f"\'{text}" if text.startswith(FORMULA_STARTS) else text',
        "return text",
        SECURITY + "test_no_table_that_a_spreadsheet_opens_has_a_formula",
    ),
    Defence(
        "no markup of a name",
        "web/configuration.py",
        '"autoescape": True',
        '"autoescape": False',
        "browser/test_hostile.py::test_no_name_of_a_log_is_markup_or_script",
        browser=True,
    ),
    Defence("one line in our log", "web/own_log.py", "{one_line(record.getMessage())}", "{record.getMessage()}", LOG),
    Defence("one line of a traceback", "web/own_log.py", "INDENT + indent + one_line(line)", "INDENT + indent + line", LOG),
    Defence(
        "that form of our log",
        "web/own_log.py",
        "handler.setFormatter(OneLine())",
        "pass",
        SECURITY + "test_a_served_site_writes_its_log_so",
    ),
    Defence(
        "one line on the terminal",
        "cli.py",
        "click.echo(one_line(text), err=True)",
        "click.echo(text, err=True)",
        SECURITY + "test_no_argument_forges_a_line_on_the_terminal",
        quick=True,
    ),
    Defence(
        "as much work for a name that nobody has",
        "web/people.py",
        "make_password(password)\n        return None",
        "return None",
        SECURITY + "test_a_name_that_nobody_has_costs_as_much_as_one_that_somebody_has",
    ),
    Defence("a length is digits", "web/application.py", "not value.isdigit()", "False", LENGTH),
    Defence("no blank that is none", "web/application.py", r'rb"[\x00\x0b\x0c\r]"', r'rb"[^\s\S]"', LENGTH),
    Defence(
        "a header stands once",
        "web/application.py",
        "if name in once and name in self:",
        "if False:",
        "test_user_header.py::test_the_server_takes_no_header_that_looks_alike_or_stands_twice",
    ),
    Defence(
        "proxies that are trusted alone",
        "web/guard.py",
        "if not _among(address, proxies):\n        return",
        "pass",
        "test_user_header.py::test_nobody_else_is_believed",
    ),
    Defence(
        "refusals are held up",
        "web/people.py",
        'raise HeldUpError(worded("there were too many refusals; wait a quarter of an hour"))',
        "pass",
        "test_people.py::test_refusals_are_held_up_and_told",
    ),
    Defence(
        "each role its pages",
        "web/sign_in.py",
        "if not site_of(request).reader.may(area):",
        "if False:",
        "test_people.py::test_each_role_has_its_pages",
    ),
    Defence(
        "a reader of domains sees them alone",
        "web/site.py",
        "store=whole if reader.scope is None else ScopedStore(whole, reader.scope)",
        "store=whole",
        "test_people.py::test_a_reader_of_one_domain_finds_nothing_foreign_on_any_route",
    ),
    Defence(
        "no pages for a network without an administrator",
        "web/application.py",
        "if open_to_network and not Person.objects.filter(role=Role.ADMINISTRATOR).exists():",
        "if False:",
        "test_people.py::test_pages_for_a_network_are_not_served_until_there_is_an_administrator",
    ),
    Defence(
        "mail by certificates that are trusted",
        "outgoing.py",
        "context = ssl.create_default_context()",
        "context = ssl._create_unverified_context()",
        "test_mail.py::test_a_certificate_that_is_not_trusted_gets_neither_password_nor_mail",
    ),
    Defence(
        "a mailed link for those whom it was sent to",
        "web/mailed_report.py",
        "return mail.request if for_them or requests_of(site).filter(pk=mail.request.pk).exists() else None",
        "return mail.request",
        "test_mail.py::test_a_large_file_is_a_link_for_those_whom_it_was_sent_to",
    ),
)
