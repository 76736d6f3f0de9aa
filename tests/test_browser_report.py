"""The report in Chromium: offline from a file, every figure drawn, both themes; its download."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import MARKS, TIMEOUT

from ncviz import report
from ncviz.store import open_run

pytestmark = MARKS
WIDE = {"width": 1280, "height": 900}
# What is drawn, once a reader has scrolled to the end.
SCROLL = """async () => {
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  for (let y = 0; y < document.documentElement.scrollHeight; y += 700) {
    scrollTo({ top: y, behavior: 'instant' });
    await pause(60);
  }
}"""
DRAWN = "count => document.querySelectorAll('.plot[data-drawn]').length === count"
LIGHT = """() => getComputedStyle(
  document.querySelector('#training .gtitle')).fill === 'rgb(38, 39, 48)'"""
INK = "plot => getComputedStyle(plot.querySelector('.gtitle')).fill"
PAPER = "() => getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def read_offline(chromium):
    """Opens a report in a browser without a network; it may ask for nothing and not complain."""
    contexts, requests, complaints = [], [], []

    def open_file(path: Path, **context):
        contexts.append(chromium.new_context(viewport=WIDE, offline=True, **context))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(TIMEOUT)
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda message: complaints.append(message.text))
        tab.goto(path.as_uri())
        return tab

    yield open_file
    for context in contexts:
        context.close()
    fetched = [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]
    assert not fetched
    assert len([url for url in requests if url.startswith("file:")]) == len(contexts)
    assert not complaints


@pytest.fixture(scope="module")
def saved(checkpoints, tmp_path_factory) -> dict[str, Path]:
    """The reports of the runs `digits`, `cats` and `zoo`, whose names are markup."""
    folder = tmp_path_factory.mktemp("reports")
    paths = {name: folder / f"{name}.html" for name in ("digits", "cats", "zoo")}
    for name, path in paths.items():
        report.save(report.choose(open_run(checkpoints / name)), path)
    return paths


@pytest.mark.parametrize("name", ["digits", "cats", "zoo"])
def test_every_figure_is_drawn_offline_once_it_is_seen(read_offline, saved, name):
    tab = read_offline(saved[name])
    tab.locator("h1").wait_for()
    plots = tab.locator(".plot").count()
    assert plots > 30
    # It opens at once: what is far below waits.
    assert tab.locator(".plot[data-drawn]").count() < plots
    tab.evaluate(SCROLL)
    tab.wait_for_function(DRAWN, arg=plots)
    assert tab.locator(".plot .main-svg").count() >= plots
    assert tab.locator("img").count() == 0


def test_a_link_leads_to_the_definition(read_offline, saved):
    tab = read_offline(saved["digits"])
    tab.locator("#numbers a", has_text="AUROC, near").click()
    definition = tab.locator("article:target")
    assert "Probability that a random ID sample" in definition.inner_text()
    box = definition.locator("math").first.bounding_box()
    assert box["height"] > 10
    tab.wait_for_function("() => scrollY > 1000")


def test_figures_follow_the_readers_theme(read_offline, saved):
    tab = read_offline(saved["digits"], color_scheme="dark")
    first = tab.locator("#training .plot").first
    first.scroll_into_view_if_needed()
    tab.locator("#training .plot[data-drawn]").first.wait_for()
    assert tab.evaluate(PAPER) == "rgb(14, 17, 23)"
    assert first.evaluate(INK) == "rgb(242, 243, 245)"
    tab.emulate_media(color_scheme="light")
    tab.wait_for_function(LIGHT)
    assert tab.evaluate(PAPER) == "rgb(255, 255, 255)"


def test_a_report_may_be_dark_whatever_the_reader_has(read_offline, checkpoints, tmp_path):
    study = report.choose(open_run(checkpoints / "cats"))
    report.save(study, tmp_path / "dark.html", theme="dark")
    tab = read_offline(tmp_path / "dark.html", color_scheme="light")
    assert tab.evaluate(PAPER) == "rgb(14, 17, 23)"


def test_on_paper_every_figure_is_there(read_offline, saved, tmp_path):
    tab = read_offline(saved["cats"], color_scheme="dark")
    tab.locator("h1").wait_for()
    tab.pdf(path=tmp_path / "cats.pdf")
    plots = tab.locator(".plot").count()
    tab.wait_for_function(DRAWN, arg=plots)


def test_the_overview_hands_the_report_out(reader, app, read_offline, tmp_path):
    tab = reader(f"{app}/?run=digits&epoch=2")
    with tab.expect_download(timeout=TIMEOUT) as download:
        tab.get_by_role("button", name="Report of this run (HTML)").first.click()
    assert download.value.suggested_filename == "digits-report.html"
    download.value.save_as(tmp_path / "digits.html")
    opened = read_offline(tmp_path / "digits.html")
    assert opened.locator("h1").inner_text() == "Report of digits"
    assert "epoch 2" in opened.locator(".shown").inner_text()
