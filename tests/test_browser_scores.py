"""The OOD scores page in Chromium: samples chosen by a drag, a cell or keys, and files saved."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import browser
import numpy as np
import pandas as pd
import pytest
from browser import MARKUP, address_of, charts_show, map_shows, wait_for_address
from PIL import Image

from ncviz.store import open_run
from ncviz.ui.selection import Selection

pytestmark = browser.MARKS

# Kinds of element that a saved map is made of: none of them runs or fetches anything.
SHAPES = {"svg", "title", "defs", "g", "path", "rect", "text", "use"}

PAGE = "/OOD_scores?run=cats"
SETS = ("made/test", "letters/test", "noise/test")
# Where the first chart's axes at a position are, in pixels of the window, and what both ends show.
AXES = """at => {
  const plot = document.querySelector('.js-plotly-plot');
  const box = plot.querySelectorAll('.draglayer .nsewdrag')[at].getBoundingClientRect();
  return [box.x, box.y, box.width, box.height, ...plot._fullLayout.xaxis.range];
}"""
RANGE = "() => document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range.map(Number)"
SELECTED_ROWS = """count => {
  const plot = document.querySelector('.js-plotly-plot');
  const words = plot?.layout?.yaxis2?.ticktext ?? [];
  return words.filter(each => each.endsWith(' selected')).length >= count;
}"""


def drag(tab, start: float, end: float, *, at: int = 0) -> tuple[float, float]:
    """Drags over a share of the axes at a position; the scores between which that is."""
    x, y, width, height, low, high = tab.evaluate(AXES, at)
    tab.mouse.move(x + start * width, y + height / 2)
    tab.mouse.down()
    tab.mouse.move(x + end * width, y + height / 2 + 4, steps=6)
    tab.mouse.up()
    return low + start * (high - low), low + end * (high - low)


def scores_of(checkpoints, name: str) -> np.ndarray:
    return open_run(checkpoints / "cats").epoch(9).scores("energy", name, "projector")


def chosen(tab) -> dict[str, tuple[int, ...]]:
    """What the address says is selected."""
    tab.wait_for_function("new URLSearchParams(location.search).get('selected')")
    return Selection.parse(address_of(tab)["selected"][0]).samples


@pytest.mark.parametrize("row", [0, 1])
def test_a_drag_selects_a_range_of_scores_that_the_address_takes_along(
    app, reader, checkpoints, row
):
    mine = reader(f"{app}{PAGE}")
    charts_show(mine, "epoch 9 ", 3)
    low, high = drag(mine, 0.42, 0.53, at=row)
    mine.wait_for_function(SELECTED_ROWS, arg=1)
    pixel = (high - low) / 50
    found = chosen(mine)
    assert sum(map(len, found.values())) > 2
    for name in SETS:
        scores = scores_of(checkpoints, name)
        surely = np.flatnonzero((scores > low + pixel) & (scores < high - pixel))
        possibly = np.flatnonzero((scores > low - pixel) & (scores < high + pixel))
        assert set(surely) <= set(found.get(name, ())) <= set(possibly)
    theirs = reader(mine.url, stranger=True)
    theirs.wait_for_function(SELECTED_ROWS, arg=1)
    assert charts_show(theirs, "epoch 9 ", 3) == charts_show(mine, "epoch 9 ", 3)


def test_a_click_on_a_mark_looks_at_that_sample(app, reader):
    tab = reader(f"{app}{PAGE}&selected=letters/test:7")
    tab.wait_for_function(SELECTED_ROWS, arg=1)
    mark = tab.locator(".js-plotly-plot").first.locator(".scatterlayer .point path, path.point")
    box = mark.first.bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_for_address(tab, sample="letters/test:7")
    tab.wait_for_function(
        """() => document.querySelector('.js-plotly-plot')?.layout?.annotations.some(
          each => each.text.includes('sample 7 of letters'))"""
    )


def test_the_chart_can_still_be_zoomed_and_a_double_click_goes_back(app, reader):
    tab = reader(f"{app}{PAGE}")
    charts_show(tab, "epoch 9 ", 3)
    before = tab.evaluate(RANGE)
    plot = tab.locator(".js-plotly-plot").first
    plot.hover()
    plot.locator(".modebar-btn[data-title=Zoom]").click()
    low, high = drag(tab, 0.3, 0.6)
    tab.wait_for_function(f"before => ({RANGE})()[0] !== before", arg=before[0])
    assert tab.evaluate(RANGE) == pytest.approx([low, high], abs=0.02 * (before[1] - before[0]))
    plot.locator('.modebar-btn[data-title="Box Select"]').click()
    x, y, width, height, *_ = tab.evaluate(AXES, 0)
    tab.mouse.dblclick(x + width / 2, y + height / 4)
    tab.wait_for_function(f"before => ({RANGE})()[0] === before", arg=before[0])
    assert "selected" not in address_of(tab)


def buttons_in_row(tab, row: int) -> list[tuple[float, float]]:
    """Where the buttons of a row of the first table are: it is painted, its cells have no place."""
    table = tab.locator('[data-testid="stDataFrame"]').first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    y = box["y"] + 35 * (row + 1.5)
    places, inside = [], False
    for x in range(int(box["x"]) + 4, int(box["x"] + box["width"]) - 4, 6):
        tab.mouse.move(x, y)
        pointed = tab.evaluate(
            "([x, y]) => getComputedStyle(document.elementFromPoint(x, y)).cursor", [x, y]
        )
        if pointed == "pointer" and not inside:
            places.append((x + 4, y))
        inside = pointed == "pointer"
    return places


def test_a_press_on_a_count_selects_the_samples_that_it_counts(app, reader, checkpoints):
    tab = reader(f"{app}{PAGE}&cut=score&score=3")
    charts_show(tab, "epoch 9 ", 3)
    cells = tab.locator('[data-testid="stDataFrame"]').first.locator("td")
    told = [int(cells.nth(6 * 1 + column).inner_text()) for column in (3, 4)]
    cut = tab.evaluate("document.querySelector('.js-plotly-plot').layout.shapes[0].x0")
    scores = scores_of(checkpoints, "letters/test")
    accepted, rejected = np.flatnonzero(scores >= cut), np.flatnonzero(scores < cut)
    assert told == [len(accepted), len(rejected)]
    assert min(told) > 0
    tab.mouse.click(*buttons_in_row(tab, 1)[1])
    tab.wait_for_function(SELECTED_ROWS, arg=1)
    assert chosen(tab) == {"letters/test": tuple(rejected)}


def test_keys_alone_select_one_side_and_a_range(app, reader, checkpoints):
    tab = reader(f"{app}{PAGE}&cut=score&score=3")
    charts_show(tab, "epoch 9 ", 3)
    tab.get_by_role("button", name="samples on the wrong side").focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # opens "Select one side of a set"
    button = tab.get_by_role("button", name="accepted").nth(1)
    button.wait_for()
    for _ in range(8):
        tab.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    tab.keyboard.press("Enter")
    tab.wait_for_function(SELECTED_ROWS, arg=1)
    cut = tab.evaluate("document.querySelector('.js-plotly-plot').layout.shapes[0].x0")
    scores = scores_of(checkpoints, "letters/test")
    assert chosen(tab) == {"letters/test": tuple(np.flatnonzero(scores >= cut))}
    low, high = np.sort(scores)[[3, 6]]
    for label, value in (("Scores from", low - 1e-5), ("to", high + 1e-5)):
        field = tab.get_by_role("spinbutton", name=label, exact=True)
        field.focus()
        tab.keyboard.press("ControlOrMeta+a")
        tab.keyboard.type(f"{value:.6f}")
        tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Select these").press("Enter")
    expected = np.flatnonzero((scores > low - 1e-5) & (scores < high + 1e-5))
    tab.wait_for_function(
        "text => (new URLSearchParams(location.search).get('selected') ?? '').includes(text)",
        arg=str(Selection({"letters/test": tuple(expected)})),
    )


def test_counts_are_saved_as_numbers(app, reader):
    tab = reader(f"{app}{PAGE}&cut=score&score=3")
    with tab.expect_download() as begun:
        tab.get_by_role("button", name="CSV", exact=True).first.press("Enter")
    assert begun.value.suggested_filename == "ncviz-confusion-cats-9.csv"
    table = pd.read_csv(begun.value.path())
    assert table["Samples"].tolist() == [48, 40, 40]
    wrong = [table["Rejected as OOD"][0] / 48, *(table["Accepted as ID"][1:] / 40)]
    assert table["On the wrong side"].tolist() == pytest.approx(wrong)


def save_first_chart(tab, kind: str):
    """Saves the first chart by its button, with keys alone; the file."""
    tab.get_by_role("radio", name=kind).or_(
        tab.get_by_role("button", name=kind, exact=True)
    ).click()
    button = tab.get_by_role("button", name=f"Save as {kind.upper()}: Energy scores, cut at")
    button.wait_for()
    with tab.expect_download() as begun:
        button.press("Enter")
    name = begun.value.suggested_filename
    assert name == f"ncviz-distributions-cats-epoch-9-layer-projector.{kind}"
    return begun.value.path()


@pytest.mark.parametrize(("scheme", "page"), [("light", (255, 255, 255)), ("dark", (14, 17, 23))])
def test_a_chart_is_saved_as_a_picture_on_the_colour_of_the_page(app, reader, scheme, page):
    tab = reader(f"{app}{PAGE}")
    tab.emulate_media(color_scheme=scheme)
    tab.reload()
    charts_show(tab, "epoch 9 ", 3)
    picture = Image.open(io.BytesIO(save_first_chart(tab, "png").read_bytes())).convert("RGBA")
    size = tab.evaluate(
        """() => { const plot = document.querySelector('.js-plotly-plot');
        return [plot.clientWidth, plot.clientHeight]; }"""
    )
    assert picture.size == tuple(2 * length for length in size)
    assert picture.getpixel((3, picture.height - 3)) == (*page, 255)
    assert (
        len(np.unique(np.asarray(picture.resize((64, 64))).reshape(-1, 4), axis=0)) > 20
    )  # something is drawn on it


def test_a_chart_is_saved_as_a_drawing(app, reader):
    tab = reader(f"{app}{PAGE}")
    charts_show(tab, "epoch 9 ", 3)
    drawing = save_first_chart(tab, "svg").read_text()
    assert drawing.startswith("<svg")
    for words in ("Energy scores, cut at", "cats · epoch 9 · layer projector", "accepted as ID"):
        assert words in drawing
    assert drawing.count("<path") > 20


def test_a_chart_saved_as_a_page_needs_no_network(app, reader, chromium, tmp_path):
    tab = reader(f"{app}{PAGE}&selected=letters/test:1-9")
    tab.wait_for_function(SELECTED_ROWS, arg=1)
    drawn = charts_show(tab, "epoch 9 ", 3)[0]
    page = tmp_path / "chart.html"
    page.write_bytes(save_first_chart(tab, "html").read_bytes())
    context = chromium.new_context(viewport=browser.VIEWPORT)
    context.set_offline(True)
    saved = context.new_page()
    asked, complaints = [], []
    saved.on("request", lambda request: asked.append(request.url))
    saved.on("pageerror", lambda error: complaints.append(str(error)))
    saved.goto(page.as_uri())
    assert charts_show(saved, "cats · epoch 9 · layer projector", 1) == [drawn]
    assert saved.title().startswith("Energy scores, cut at")
    assert saved.locator(".js-plotly-plot .scatterlayer .trace").count() >= 3
    background = "getComputedStyle(document.body).backgroundColor"
    assert saved.evaluate(background) == "rgb(255, 255, 255)"
    context.close()
    assert not complaints
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_charts_say_what_they_show(app, reader):
    tab = reader(f"{app}{PAGE}")
    charts_show(tab, "epoch 9 ", 3)
    for words in (
        "Densities of Energy scores, cut at",
        "ROC. AUROC: letters",
        "Precision over recall",
    ):
        told = tab.get_by_role("img", name=words).get_attribute("aria-label")
        assert any(sign.isdigit() for sign in told)


def test_the_map_is_saved_as_a_picture(app, reader):
    tab = reader(f"{app}/Embeddings?run=cats")
    map_shows(tab, 9)
    with tab.expect_download() as begun:
        tab.get_by_role("button", name="Save PNG").press("Enter")
    picture = Image.open(begun.value.path()).convert("RGBA")
    assert begun.value.suggested_filename.endswith(".png")
    assert picture.getpixel((2, 2)) == (255, 255, 255, 255)


def save_map(tab, kind: str) -> str:
    """The map of a page as a file of that kind."""
    tab.get_by_test_id("stSidebar").get_by_text(kind, exact=True).click()
    with tab.expect_download() as begun:
        tab.get_by_role("button", name=f"Save {kind.upper()}").press("Enter")
    name = begun.value.suggested_filename
    assert name.endswith(f"-epoch-9.{kind}")
    assert not set(name) & set("<>/ ")
    return Path(begun.value.path()).read_text("utf-8")


def test_the_map_is_saved_as_shapes(app, reader):
    tab = reader(f"{app}/Embeddings?run=zoo")
    map_shows(tab, 9)
    samples, names = tab.locator(".root").evaluate(
        """root => {
          const { frames, view } = root.parentNode.ncviz;
          return [frames.samples, view.legend.map(each => each.text)];
        }"""
    )
    root = ElementTree.fromstring(save_map(tab, "svg"))
    space = "{http://www.w3.org/2000/svg}"
    used = list(root.iter(f"{space}use"))
    # A few lie outside of the frame; each entry of the legend has a marker too.
    assert 0.95 * samples < len(used) <= samples + len(names)
    shapes = {each.get("id") for each in root.iter(f"{space}g")}
    assert {each.get("href").removeprefix("#") for each in used} <= shapes
    words = {each.text for each in root.iter(f"{space}text")}
    assert {*names, f"{MARKUP}1"} <= words
    assert "zoo · epoch 9 · layer encoder" in words
    assert {each.tag.removeprefix(space) for each in root.iter()} <= SHAPES


def test_the_map_as_a_page_needs_no_network(app, reader, chromium, tmp_path):
    tab = reader(f"{app}/Embeddings?run=zoo")
    map_shows(tab, 9)
    (tmp_path / "map.html").write_text(save_map(tab, "html"), "utf-8")
    context = chromium.new_context(offline=True)
    page, requests = context.new_page(), []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / "map.html").as_uri())
    page.get_by_role("img", name="UMAP map of encoder").wait_for()
    page.get_by_text(f"{MARKUP}1").first.wait_for()
    assert page.locator("img, script").count() == 0
    assert len(requests) == 1
    context.close()
