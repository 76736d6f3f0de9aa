"""The Gram explorer in Chromium: clicks in heatmaps and tables pick pairs, which addresses hold."""

from __future__ import annotations

from pathlib import Path

import browser
import numpy as np
from browser import MARKUP, address_of, charts_show, wait_for_address

from ncviz import collapse
from ncviz.store import open_run

pytestmark = browser.MARKS
HEATMAPS = 1  # which of the page's charts
# The rows and columns of the frames in each heatmap, and the marks beside the first one.
DRAWN = """at => {
  const { shapes = [] } = document.querySelectorAll('.js-plotly-plot')[at].layout;
  const frames = shapes.filter(shape => shape.type === 'rect').map(
    ({ xref, x0, x1, y0, y1 }) => [xref, (y0 + y1) / 2, (x0 + x1) / 2]);
  const marks = shapes.filter(shape => shape.xref === 'x domain').map(shape => shape.path);
  return { frames, marks };
}"""
FRAMED = f"""([at, row, column]) => ({DRAWN})(at).frames.some(
  frame => frame[1] === row && frame[2] === column)"""


def click_cell(tab, panel: int, row: int, column: int, classes: int) -> None:
    """Clicks the middle of a cell of one of the three heatmaps."""
    chart = tab.locator(".js-plotly-plot").nth(HEATMAPS)
    chart.scroll_into_view_if_needed()
    box = chart.locator(".heatmaplayer image").nth(panel).bounding_box()
    x = box["x"] + box["width"] * (column + 0.5) / classes
    y = box["y"] + box["height"] * (row + 0.5) / classes
    tab.mouse.move(x, y)
    tab.mouse.click(x, y)


def frames(tab) -> set[tuple]:
    return {tuple(each) for each in tab.evaluate(DRAWN, HEATMAPS)["frames"]}


def default_pair(checkpoints: Path, name: str) -> tuple[int, int]:
    """The pair that is picked at first, which addresses leave out."""
    run = open_run(checkpoints / name)
    statistics = run.epoch(run.epochs[-1]).statistics(run.layers[-1])
    return collapse.worst_pairs(collapse.gram(statistics), 1)[0][:2]


def test_a_click_on_a_cell_picks_its_pair_and_the_address_leads_others_to_it(
    app, reader, checkpoints
):
    names = open_run(checkpoints / "cats").classes
    default = default_pair(checkpoints, "cats")
    one, two = (label for label in range(4) if label not in default)
    tab = reader(f"{app}/Neural_collapse?run=cats")
    charts_show(tab, "cats · epoch 9", 4)
    for panel, row, column in ((0, one, two), (2, two, default[0])):
        click_cell(tab, panel, row, column, 4)
        wait_for_address(tab, class_a=names[row], class_b=names[column])
        tab.wait_for_function(FRAMED, arg=[HEATMAPS, row, column])
        assert frames(tab) == {
            (axis, *cell) for axis in ("x", "x2", "x3") for cell in ((row, column), (column, row))
        }
        told = f"{names[row]} and {names[column]} have a cosine of"
        tab.get_by_text(told).wait_for()
    other = reader(tab.url, stranger=True)
    charts_show(other, "cats · epoch 9", 4)
    assert frames(other) == frames(tab)
    other.get_by_text(told).wait_for()
    assert address_of(other) == address_of(tab)


def test_the_pair_stays_while_stepping_and_the_heatmaps_keep_their_element(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&class_a=3&class_b=1&order=cluster")
    last = charts_show(tab, "epoch 6 ", 4)
    tab.evaluate("at => document.querySelectorAll('.js-plotly-plot')[at].id = 'kept'", HEATMAPS)
    before = frames(tab)
    tab.keyboard.press("ArrowLeft")
    earlier = charts_show(tab, "epoch 4 ", 4)
    assert all(one != other for one, other in zip(last, earlier, strict=True))
    assert frames(tab) == before
    assert tab.locator("#kept.js-plotly-plot").count() == 1
    tab.get_by_text("3 and 1 have a cosine of").wait_for()
    wait_for_address(tab, epoch="4")


def test_digits_are_drawn_where_their_names_say(app, reader, checkpoints):
    """Names that are numbers are no positions, whatever the order of the classes."""
    tab = reader(f"{app}/Neural_collapse?run=digits&order=cluster")
    charts_show(tab, "epoch 6 ", 4)
    run = open_run(checkpoints / "digits")
    order = collapse.cluster_order(collapse.gram(run.epoch(6).statistics("encoder")))
    assert not np.array_equal(order, np.sort(order))
    ticks = tab.locator(".js-plotly-plot").nth(HEATMAPS).locator(".ytick text").all()
    by_height = sorted(ticks, key=lambda tick: tick.bounding_box()["y"])
    written = [tick.text_content().strip("\u200b") for tick in by_height]
    assert written == [run.classes[at] for at in order]
    row, column = 1, 5
    click_cell(tab, 0, row, column, len(order))
    tab.get_by_text(f"{written[row]} and {written[column]} have a cosine of").wait_for()


def test_a_ticked_row_of_the_table_picks_its_pair(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=cats")
    charts_show(tab, "cats · epoch 9", 4)
    before = frames(tab)
    table = tab.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    canvas = table.locator("canvas").first.bounding_box()
    # The box at the left end of the third row, below the header; rows are 35 pixels high.
    tab.mouse.click(canvas["x"] + 17, canvas["y"] + 35 * 3.5)
    tab.wait_for_function("/class_a=.*class_b=|class_b=.*class_a=/.test(location.search)")
    (first,), (second,) = (address_of(tab)[name] for name in ("class_a", "class_b"))
    tab.get_by_text(f"{first} and {second} have a cosine of").wait_for()
    assert frames(tab) != before


def test_selected_samples_light_up_in_the_heatmaps_of_another_reader_too(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=cats&class_a=fox&class_b=dog")
    charts_show(tab, "cats · epoch 9", 4)
    assert not tab.evaluate(DRAWN, HEATMAPS)["marks"]
    tab.get_by_role("button", name="fox (12)").click()
    tab.get_by_text("Green triangles mark the class of the selected samples").wait_for()
    tab.wait_for_function(f"at => ({DRAWN})(at).marks.length === 1", arg=HEATMAPS)
    marks = tab.evaluate(DRAWN, HEATMAPS)["marks"]
    assert marks[0].startswith("M1.01,2L")
    wait_for_address(tab, selected="made/test:24-35")
    other = reader(tab.url, stranger=True)
    charts_show(other, "cats · epoch 9", 4)
    assert other.evaluate(DRAWN, HEATMAPS)["marks"] == marks


def test_names_that_are_markup_stay_text(app, reader, checkpoints):
    names = open_run(checkpoints / "zoo").classes
    column, row = default_pair(checkpoints, "zoo")
    tab = reader(f"{app}/Neural_collapse?run=zoo")
    charts_show(tab, "zoo · epoch 9", 4)
    click_cell(tab, 0, row, column, 3)
    # Of class A's partner at first no address needs to tell.
    wait_for_address(tab, class_a=names[row], class_b=None)
    tab.get_by_text(f"{names[row]} and {names[column]} have a cosine of").wait_for()
    assert any(name.startswith(MARKUP) for name in (names[row], names[column]))
    assert tab.locator("[data-testid=stMain] img").count() == 0
