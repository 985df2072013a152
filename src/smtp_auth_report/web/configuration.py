"""
Django's settings, as far as they are the same on every site.

What differs from site to site (the secret key, the state database, the host names, the zone) is put in by
`application`, from the program's own settings. Of Django's parts it takes sign-in, sessions and password hashing; there
are no e-mails and no admin pages.

See also
    docs/settings.md for what an administrator can set
"""

from __future__ import annotations

from pathlib import Path

from django.conf import locale

from smtp_auth_report.words import LOCALE, languages

HERE = Path(__file__).parent


def _translated(folder: Path) -> list[tuple[str, str]]:
    """Languages that have a catalog, by their own names."""
    return [(code, locale.LANG_INFO[code]["name_local"].capitalize()) for code in languages(folder)]


DEBUG = False
SECRET_KEY = "replaced by the site's own key"  # noqa: S105 - application() replaces it
ALLOWED_HOSTS: list[str] = []
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "smtp_auth_report.web.application.Pages",
]
AUTH_USER_MODEL = "web.Person"
AUTHENTICATION_BACKENDS = ["smtp_auth_report.web.people.Passwords"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("name",)}},
]
MIDDLEWARE = [
    "smtp_auth_report.web.guard.guard",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "smtp_auth_report.web.language.spoken",
    "django.middleware.csrf.CsrfViewMiddleware",
    "smtp_auth_report.web.rate_limit.limited",
    "smtp_auth_report.web.sign_in.known",
    "smtp_auth_report.web.errors.answer_errors",
]
ROOT_URLCONF = "smtp_auth_report.web.urls"
APPEND_SLASH = False

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
        "OPTIONS": {
            "autoescape": True,
            "builtins": ["django.templatetags.i18n", "django.templatetags.static", "smtp_auth_report.web.templatetags.show"],
            "context_processors": ["django.template.context_processors.request", "smtp_auth_report.web.header.header"],
            "loaders": [("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])],
        },
    },
]

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LOCALE_PATHS = [LOCALE]
LANGUAGES = [("en", "English"), *_translated(LOCALE)]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600  # seconds
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"

STATIC_URL = "/static/"
STATIC_ROOT = HERE / "assets"
STATICFILES_DIRS = [HERE / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

CSRF_FAILURE_VIEW = "smtp_auth_report.web.errors.refused_form"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_NAME = "session"
SESSION_COOKIE_AGE = 14 * 24 * 3600  # seconds
LOGGING_CONFIG = None
