#!/usr/bin/env bash
# Installs the system packages that tests need: real mail servers, PostgreSQL, a browser, compressors.
#
#   tests/setup/packages.sh           all of them
#   tests/setup/packages.sh build     a compiler and parts of Python, without which .venv cannot be set up
#
# As root on Debian or Ubuntu it installs what is missing and starts no service. Elsewhere it says what is missing
# and goes on: the tests that need it are then skipped, and named at the end. Mail servers that Debian does not install
# side by side are only unpacked, in .run/packages.
set -eu

# package: a program or file that shows it is there; several packages may stand for one browser
needed="systemd-journal-remote:/lib/systemd/systemd-journal-remote postfix:postconf dovecot-core:doveadm sasl2-bin:saslpasswd2 openssl:openssl xz-utils:xz zstd:zstd"
modules=/usr/lib/*/sasl2/libplain.so

PATH=$PATH:/usr/sbin:/sbin
missing=""
python=${PYTHON:-python3}
command -v gcc >/dev/null || missing="$missing gcc"
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
"$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || missing="$missing python3-dev"

look_for_the_rest() {
    for pair in $needed; do
        command -v "${pair#*:}" >/dev/null || missing="$missing ${pair%:*}"
    done
    # shellcheck disable=SC2086  # a pattern
    ls $modules >/dev/null 2>&1 || missing="$missing libsasl2-modules"
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$missing postgresql"
    [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing="$missing fonts-dejavu-core"
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing="$missing chromium"
}

unpack() {
    folder=$(mktemp -d)
    if (cd "$folder" && apt-get download --quiet "$1" && dpkg -x "$1"_*.deb unpacked) >"$folder/log" 2>&1; then
        mkdir -p .run/packages && mv "$folder/unpacked" ".run/packages/$1"
    else
        echo "apt-get could not download $1; tests that need it are skipped"
    fi
    rm -rf "$folder"
}
if [ "${1:-all}" = all ]; then
    look_for_the_rest
    if command -v apt-get >/dev/null; then
        [ -e .run/packages/opensmtpd ] || unpack opensmtpd
        [ -e .run/packages/exim4-daemon-light ] || unpack exim4-daemon-light
        [ -e .run/packages/libidn12 ] || unpack libidn12
        [ -e .run/packages/sendmail-bin ] || unpack sendmail-bin
        [ -e .run/packages/sendmail-cf ] || unpack sendmail-cf
        [ -e /usr/bin/m4 ] || [ -e .run/packages/m4 ] || unpack m4
        [ -e /usr/lib/dovecot/submission-login ] || [ -e .run/packages/dovecot-submissiond ] || unpack dovecot-submissiond
    fi
fi

[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and tests that need them are skipped:$missing"
    echo "Mend it with: sudo apt-get install$missing"
    exit 0
fi

# invoke-rc.d asks this file before it starts a service
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
echo "Installing$missing"
log=$(mktemp)
install() {
    # shellcheck disable=SC2086  # a list
    apt-get install --yes --quiet --no-install-recommends $missing >"$log" 2>&1
}
install || { apt-get update --quiet >"$log" 2>&1 && install; } || {
    tail -n 15 "$log"
    echo "apt-get could not install$missing; tests that need them are skipped"
}
rm -f "$log"
