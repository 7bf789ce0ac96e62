"""A local page that shows what a camera sees and what was read: live image, events, health and regions.

    state        what the page shows; takes frames and events from the loop
    settings     where the page is served, and its limits
    server       serves the page from a thread of its own
    app          the routes
    guard        which requests are answered: token, host, origin; and the headers of every answer
    streams      live images and server-sent events
    patient      Uvicorn's protocol with limits on slow clients, and on their number
    token_file   the file of the token
    health       numbers for the page and for Prometheus
    search       search by part of a plate
    words        the page's files and languages
    static/      HTML, style, scripts and words

Starlette and Uvicorn serve it. Both are maintained, and with h11, anyio and click they are pure Python: 5 MB that
install on every board without a compiler. Importing them and serving takes 0.1 s of processor time and 15 MB of
memory (measured on an x86-64 server). The server of the standard library would need a thread for each viewer, and has
no limits on slow or large requests; aiohttp is compiled. WebRTC would need a media server; for a glance at a camera,
a few images per second do. Readings and regions are overlaid in the browser, so the board needs no font with Hangul
for them.
"""
