"""
Messages in the language of whoever reads them.

    raise InputError(worded("{path}: no such file", path=path))
    UNDATED = marked("line without a stamp")        told later, perhaps in several languages:
    translated(UNDATED)
    count(1234567)                                  1,234,567, or as the language writes it

    speak_as(os.environ)                            the process, as LANGUAGE, LC_ALL, LC_MESSAGES and LANG say
    with speaking("fr"): ...                        this thread, as the reader of a page asks

English stands in the code; each other language is one catalog, locale/*/LC_MESSAGES/django.po, which the pages share.
A process that speaks English opens none.

What goes wrong
    A message that a catalog lacks, or a language that has none, is English. tests/test_language.py lets neither happen.

See also
    docs/index.md for how a language is added; web/language.py for which one a page is in
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
ENGLISH = "en"
DOMAIN = "django"  # Django asks for this name

Lookup = Callable[[str], str]

_chosen: ContextVar[str] = ContextVar("language")
_of_process = [ENGLISH]
"""What threads speak that chose nothing."""


def worded(text: str, /, **values: object) -> str:
    """A text, translated, with `{name}` in it replaced by what is given for it."""
    found = translated(text)
    return found.format(**values) if values else found


def marked(text: str) -> str:
    """A text as it is, which catalogs have, and `translated` gets later."""
    return text


def translated(text: str) -> str:
    """A text that was marked; any other is given back as it is."""
    spoken = language()
    return text if spoken == ENGLISH or not text else _catalog(spoken)(text)


def count(number: float) -> str:
    """A number, with the language's marks between thousands and before decimals."""
    written = worded("1,000.5")
    return f"{number:,}".translate(str.maketrans(",.", written[1] + written[5]))


def why(error: OSError) -> str:
    """Why the system refused."""
    said = error.strerror or type(error).__name__
    return translated(said.partition(" (while attempting to bind")[0])  # socket.create_server says once more where


REASONS = (
    marked("Permission denied"),
    marked("No such file or directory"),
    marked("Is a directory"),
    marked("Not a directory"),
    marked("File exists"),
    marked("No space left on device"),
    marked("Disk quota exceeded"),
    marked("Read-only file system"),
    marked("Input/output error"),
    marked("File name too long"),
    marked("Too many open files"),
    marked("Too many levels of symbolic links"),
    marked("Address already in use"),
    marked("Cannot assign requested address"),
)
"""What the system says most often, in its words."""


def language() -> str:
    """What this thread speaks."""
    return _chosen.get(_of_process[0])


@contextmanager
def speaking(chosen: str) -> Iterator[None]:
    """Let this thread speak a language until the block ends."""
    token = _chosen.set(chosen)
    try:
        yield
    finally:
        _chosen.reset(token)


def speak_as(environment: Mapping[str, str], encoding: str = "utf-8") -> None:
    """The language of the process from now on: that of its environment, where what is written can have all letters."""
    _of_process[0] = language_of(environment) if encoding.lower().replace("_", "-") == "utf-8" else ENGLISH
    if language() != ENGLISH:
        import gettext  # noqa: PLC0415 - English needs none

        gettext.bindtextdomain(DOMAIN, str(LOCALE))  # click's own words are looked up there
        gettext.textdomain(DOMAIN)


def language_of(environment: Mapping[str, str]) -> str:
    """The first language that is asked for and has a catalog; where the locale is C or POSIX, LANGUAGE asks for nothing."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environment.get(name))), "C")
    if _code(locale) in {"c", "posix"}:
        return ENGLISH
    for asked in (environment.get("LANGUAGE") or locale).split(":"):
        code = _code(asked)
        for spoken in (code, code.partition("-")[0]):
            if spoken == ENGLISH or spoken in languages():
                return spoken
    return ENGLISH


def _code(locale: str) -> str:
    """Language and country of fr_FR.UTF-8@euro, as fr-fr."""
    return locale.partition(".")[0].partition("@")[0].replace("_", "-").lower()


@cache
def languages(folder: Path = LOCALE) -> Mapping[str, str]:
    """Languages that have a catalog, such as pt-br -> the name of its folder, pt_BR."""
    names = sorted(path.parent.parent.name for path in folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))
    return {_code(name): name for name in names}


@cache
def _catalog(spoken: str) -> Lookup:
    if spoken not in languages():
        return str
    from gettext import translation  # noqa: PLC0415 - English needs none

    return translation(DOMAIN, LOCALE, [languages()[spoken]]).gettext
