"""
The second factor of a sign-in: codes of an app (TOTP, RFC 6238), and recovery codes for when the app is lost.

    salt = new_salt()                               nothing is switched on by it
    secret_of(site, person, salt)                   base32, for the app; `address_of` is the same for a QR code
    codes = switched_on(site, person, salt, code, …) recovery codes, shown once; None where the app's code does not fit
    how = accepted(site, person, code, address)      what it was, for the page of people; None where it is refused
    switch_off(person, now, by)

A secret is kept nowhere: it is made from the site's key, which is in a file of its own, and a random salt, which is in
the state database. Of recovery codes that database has digests, made with the key as well. So a copy of the state
database alone signs nobody in.

A code counts in its half minute, the one before and the one after. None is accepted twice, nor one that is older than
another that was accepted.

What goes wrong
    PeopleError: there is no second factor to switch off. HeldUpError: too many refusals.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from hashlib import blake2b

import pyotp
from pyotp.utils import strings_equal

from smtp_auth_report.moments import SECOND
from smtp_auth_report.site_key import site_key
from smtp_auth_report.web.detail import Detail, detail
from smtp_auth_report.web.models import Deed, Person, RecoveryCode
from smtp_auth_report.web.people import PeopleError, attempt, note
from smtp_auth_report.web.site import Site
from smtp_auth_report.web.state_database import alone
from smtp_auth_report.words import worded

ISSUER = "SMTP AUTH clients report"
STEP = 30 * SECOND
RECOVERY_CODES = 10
GROUPS, OF_LETTERS = 3, 4
"""How a recovery code is written: 60 random bits in base32."""


def new_salt() -> str:
    """What makes one secret differ from the next."""
    return secrets.token_hex(16)


def secret_of(site: Site, person: Person, salt: str) -> str:
    """In base32, as apps take it."""
    key = site_key(site.settings.state_path)
    return b32encode(blake2b(f"{person.pk} {salt}".encode(), key=key, person=b"second factor", digest_size=20).digest()).decode()


def address_of(site: Site, person: Person, salt: str) -> str:
    """The secret as an address of the kind that apps read from a QR code."""
    return pyotp.TOTP(secret_of(site, person, salt), name=person.name, issuer=ISSUER).provisioning_uri()


def switched_on(site: Site, person: Person, salt: str, code: str, address: str) -> list[str] | None:
    """From now on a code is asked for; the code of the app shows that it has the secret."""
    step = _step_of(site, person, salt, _bare(code))
    if step is None:
        return None
    with alone():
        if not Person.objects.filter(pk=person.pk, factor_salt="").update(factor_salt=salt, factor_step=step):
            return None
        person.factor_salt = salt
        note(Deed.CHANGED, site.clock(), detail("second factor switched on"), name=person.name, address=address)
        return _fresh_codes(site, person)


def switch_off(person: Person, now: int, by: str = "", address: str = "") -> None:
    """No code is asked for any more."""
    if not person.factor_salt:
        raise PeopleError(worded("{name} has no second factor", name=person.name))
    with alone():
        person.factor_salt = ""
        person.save(update_fields=["factor_salt"])
        person.recoverycode_set.all().delete()
        off = detail("second factor switched off by {name}", name=by) if by else detail("second factor switched off")
        note(Deed.CHANGED, now, off, name=person.name, address=address)


def new_codes(site: Site, person: Person, address: str) -> list[str]:
    """Other recovery codes, in place of those that were there."""
    with alone():
        note(Deed.CHANGED, site.clock(), detail("new recovery codes"), name=person.name, address=address)
        return _fresh_codes(site, person)


def accepted(site: Site, person: Person, code: str, address: str) -> Detail | None:
    """What kind of code it was. Every refusal is noted."""
    code = _bare(code)
    guess = attempt(site, person.name, address, Deed.CODE_REFUSED)
    if _is_of_app(site, person, code):
        how = detail("code of the app")
    elif RecoveryCode.objects.filter(person=person, digest=_digest(site, code)).delete()[0]:
        how = detail("recovery code; {left} left", left=person.recoverycode_set.count())
    else:
        return None
    guess.delete()
    return how


def _is_of_app(site: Site, person: Person, code: str) -> bool:
    """And was not accepted before."""
    step = _step_of(site, person, person.factor_salt, code)
    newer = Person.objects.filter(pk=person.pk, factor_salt=person.factor_salt, factor_step__lt=step or 0)
    return step is not None and newer.update(factor_step=step) == 1


def _step_of(site: Site, person: Person, salt: str, code: str) -> int | None:
    """The time step whose code this is."""
    totp, now = pyotp.TOTP(secret_of(site, person, salt)), site.clock() // STEP
    return next((step for step in (now, now - 1, now + 1) if strings_equal(totp.generate_otp(step), code)), None)


def _fresh_codes(site: Site, person: Person) -> list[str]:
    codes = [b32encode(secrets.token_bytes(8)).decode()[: GROUPS * OF_LETTERS] for _ in range(RECOVERY_CODES)]
    person.recoverycode_set.all().delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(person=person, digest=_digest(site, code)) for code in codes)
    return ["-".join(code[start : start + OF_LETTERS] for start in range(0, len(code), OF_LETTERS)) for code in codes]


def _bare(code: str) -> str:
    """As it was made: people type spaces, hyphens and small letters."""
    return "".join(code.split()).replace("-", "").upper()


def _digest(site: Site, code: str) -> str:
    key = site_key(site.settings.state_path)
    return blake2b(code.encode("utf-8", "surrogateescape"), key=key, person=b"recovery code", digest_size=32).hexdigest()
