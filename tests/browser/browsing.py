"""
What tests in a browser have in common: the browser, and a site served to it.
"""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cheroot.wsgi import Server

from sites import ROOT
from smtp_auth_report.web.application import Site, application

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = ROOT / "build" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SHEET = {"width": 1032, "height": 703}  # A4 in landscape without its margins

IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Playwright's own pipes, and cheroot's open connections
]


def served(site: Site) -> tuple[Server, str]:
    with ThreadPoolExecutor(1) as thread:  # Playwright's loop runs in this one, where Django refuses to open a database
        pages = thread.submit(application, site).result()
    server = Server(("127.0.0.1", 0), pages, numthreads=4)
    server.prepare()
    threading.Thread(target=server.serve, daemon=True).start()
    return server, f"http://127.0.0.1:{server.bind_addr[1]}"
