"""
What building the package does besides copying it: front-end files are collected, catalogs and inner loops are compiled.

    pip install .                       builds with it; also pip wheel ., pip install --editable .
    python hatch_build.py               compile in place, unless what is there is current; what `make` calls

The compiled modules are src/smtp_auth_report/sources/*.pyx. They are put beside their sources, so that an editable
installation has them too, and a wheel carries them. Each is optional: what it does is done line by line in Python where
it is not there, with the same results, and more slowly.

The catalogs are src/smtp_auth_report/locale/*/LC_MESSAGES/django.po. Each becomes a django.mo beside it, which is
what the program reads.

What goes wrong
    No C compiler, or no header files of Python: one line that says what is slower and how to mend it, and the package is
    built without.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where no package is being built
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

import frontend  # noqa: E402 - needs the path above

PACKAGE = "smtp_auth_report.sources"
SOURCES = ROOT / "src" / "smtp_auth_report" / "sources"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
MARK = SOURCES / f"compiled-from{SUFFIX}.txt"
FOR_COMPILING = ("cython>=3.1", "setuptools>=77")
LOCALE = ROOT / "src" / "smtp_auth_report" / "locale"
LOCALE_MARK = LOCALE / "compiled-from.txt"
FOR_CATALOGS = ("babel>=2.16",)


class BuildHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is there only while building
    """Makes what a wheel needs besides the files under version control."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What building needs besides."""
        return [*frontend.needed(), *FOR_COMPILING, *(() if catalogs_are_current() else FOR_CATALOGS)]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        frontend.bring_up_to_date()
        compile_catalogs()
        if self.target_name == "wheel" and compiled():
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["artifacts"] += [f"src/smtp_auth_report/sources/*{SUFFIX}"]


def compiled() -> bool:
    """Compile what has changed; whether it is there now."""
    if not is_current():
        for old in (MARK, *SOURCES.glob(f"*{SUFFIX}")):
            old.unlink(missing_ok=True)
        if not _compile():
            return False
        MARK.write_text(_digest(), encoding="ascii")
    return True


def is_current() -> bool:
    """Whether what is there was compiled from what is there now."""
    return MARK.is_file() and MARK.read_text(encoding="ascii") == _digest()


def compile_catalogs() -> None:
    """Translations in the form that Django reads, where one has changed."""
    if catalogs_are_current():
        return
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - installed only where a catalog has changed
    from babel.messages.pofile import read_po  # noqa: PLC0415 - installed only where a catalog has changed

    for source in _catalogs():
        with source.open("rb") as opened, source.with_suffix(".mo").open("wb") as written:
            write_mo(written, read_po(opened, locale=source.parent.parent.name))
    LOCALE_MARK.write_text(_digest_of(_catalogs()), encoding="ascii")


def catalogs_are_current() -> bool:
    """Whether every catalog was compiled from what is there now."""
    compiled_all = LOCALE_MARK.is_file() and all(path.with_suffix(".mo").is_file() for path in _catalogs())
    return compiled_all and LOCALE_MARK.read_text(encoding="ascii") == _digest_of(_catalogs())


def _catalogs() -> list[Path]:
    return sorted(LOCALE.glob("*/LC_MESSAGES/django.po"))


def _digest() -> str:
    return _digest_of([Path(__file__), *sorted(SOURCES.glob("*.p[xy][dx]"))])


def _digest_of(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _compile() -> bool:
    from Cython.Build import cythonize  # noqa: PLC0415 - only where something is to be compiled
    from setuptools import Distribution, Extension  # noqa: PLC0415 - only where something is to be compiled
    from setuptools.errors import CCompilerError, ExecError, PlatformError  # noqa: PLC0415 - only where something is to be compiled

    extensions = [Extension(f"{PACKAGE}.{path.stem}", [str(path)]) for path in sorted(SOURCES.glob("*.pyx"))]
    with tempfile.TemporaryDirectory() as folder:
        try:
            modules = cythonize(extensions, build_dir=folder, include_path=[str(ROOT / "src")], quiet=True)
            command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
            command.build_lib = command.build_temp = folder
            command.ensure_finalized()
            command.run()
        except (CCompilerError, ExecError, PlatformError) as error:
            print(f"hatch_build.py: not compiled, so large logs are read more slowly: {error}", file=sys.stderr)
            print("hatch_build.py: install a C compiler and Python's header files (gcc, python3-dev), then install again", file=sys.stderr)
            return False
        for path in Path(folder).rglob(f"*{SUFFIX}"):
            shutil.copy2(path, SOURCES / path.name)
    return True


if __name__ == "__main__":
    compiled()
    compile_catalogs()
