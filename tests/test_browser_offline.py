"""The pages in a browser that finds no machine but this one: nothing is missing, nothing asked."""

from __future__ import annotations

import browser
from browser import CHROMIUM, FLAGS, TIMEOUT, VIEWPORT, note_complaint

from benchmarks.serving import ROOT, running_app

pytestmark = browser.MARKS
NOBODY_ELSE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost"
# The last thing that each page draws.
LAST = {"": "Charts are saved as", "Embeddings": "Charts are saved as", "Reference": "Source: "}


def test_pages_are_whole_where_no_other_machine_can_be_found():
    from playwright.sync_api import sync_playwright

    requests, failed, complaints = [], [], []
    with running_app(ROOT / "checkpoints") as (address, _), sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, NOBODY_ELSE])
        tab = chromium.new_page(viewport=VIEWPORT)
        tab.set_default_timeout(TIMEOUT)
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("requestfailed", lambda request: failed.append(request.url))
        tab.on("console", lambda message: note_complaint(message, complaints))
        for page, last in LAST.items():
            tab.goto(f"{address}/{page}?run=digits")
            tab.get_by_text(last).last.wait_for()
        tab.locator(".katex").first.wait_for(state="attached")
        # The browser itself is cut off: this shows that a request would have been missed.
        assert tab.evaluate("fetch('http://example.org/').then(() => 'found', () => 'nobody')") == (
            "nobody"
        )
        chromium.close()
    asked = {url for url in requests if url.startswith("http") and not url.startswith(address)}
    assert asked == {"http://example.org/"}
    # A request of the page before may end with it.
    assert {url for url in failed if not url.startswith(address)} == asked
    assert [
        each for each in complaints if "example.org" not in each and "NOT_RESOLVED" not in each
    ] == []
