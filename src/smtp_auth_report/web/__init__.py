"""
The browser's view: pages, the JSON API, and files on request.

    application(site)      a WSGI callable; site is the store, the settings and the clock
    serve(site, store.positions, on_ready)  the same behind an HTTP server, until it is stopped

A page asks a report and shows the table that answers; nothing is computed here but how it looks.
"""
