"""The app in Chromium, as a reader uses it: links, keys, pages, addresses. Nothing is fetched."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from browser import (
    MARKS,
    MARKUP,
    address_of,
    charts_show,
    map_shows,
    place_of,
    wait_for_address,
)
from made_files import encoded, five_images, photograph, three_others, write_all

from ncviz.store import open_run

pytestmark = MARKS

PAGES = {
    "/": "What is here, and what should I look at first?",
    "/Neural_collapse": "How collapsed is this network at this epoch?",
    "/OOD_scores": "How well does this score tell known from unknown, and where would I cut?",
    "/Embeddings": "What does the network see?",
    "/Trade-off": "Does more collapse mean better detection and worse transfer, here?",
    "/Upload": "Would the network know this image?",
    "/Leaderboard": "Which detector for which kind of unknown?",
}


@pytest.mark.parametrize("path", PAGES)
def test_a_deep_link_opens_each_page_on_a_fresh_server(fresh_app, reader, path):
    tab = reader(f"{fresh_app}{path}?run=digits&epoch=2")
    tab.get_by_role("heading", name=PAGES[path]).wait_for()
    if path == "/":
        tab.get_by_role("heading", name="digits at epoch 2").wait_for()
    elif path == "/Embeddings":
        map_shows(tab, 2)
        tab.get_by_text("digits · epoch 2 · layer encoder", exact=True).wait_for()
    elif path == "/Upload":
        tab.get_by_text("digits · epoch 2 · layer encoder").wait_for()
    elif path == "/Trade-off":
        tab.get_by_text("marked: digits · epoch 2 · layer encoder").wait_for()
    else:
        charts_show(tab, "digits · epoch 2")
    assert address_of(tab) == {"run": ["digits"], "epoch": ["2"]}


def test_a_deep_link_opens_definitions(fresh_app, reader):
    tab = reader(f"{fresh_app}/Reference?find=fpr95")
    tab.get_by_role("heading", name="What does this number mean?").wait_for()
    for convention in ("FPR95 (ID positive)", "FPR95 (OOD positive)"):
        tab.get_by_text(convention, exact=True).wait_for()
    tab.get_by_role("textbox", name="Find").fill("k-th nearest")
    tab.get_by_role("textbox", name="Find").press("Enter")
    tab.get_by_text("No definition has the words").wait_for()
    wait_for_address(tab, find="k-th nearest")


@pytest.mark.parametrize(("path", "charts"), [("/Neural_collapse", 4), ("/OOD_scores", 3)])
def test_arrow_keys_step_through_the_epochs_and_change_every_chart(app, reader, path, charts):
    tab = reader(f"{app}{path}?run=digits")
    last = charts_show(tab, "epoch 6 ", charts)
    tab.keyboard.press("ArrowLeft")
    before = charts_show(tab, "epoch 4 ", charts)
    assert all(one != other for one, other in zip(last, before, strict=True))
    wait_for_address(tab, epoch="4")
    tab.keyboard.press("ArrowRight")
    assert charts_show(tab, "epoch 6 ", charts) == last
    wait_for_address(tab, epoch=None)


def click_first_point(tab) -> None:
    """Clicks the first point of the first panel of the first chart."""
    tab.wait_for_function("document.querySelectorAll('.js-plotly-plot .point').length > 3")
    place = tab.evaluate(
        """() => {
          const plot = document.querySelector('.js-plotly-plot');
          const first = plot.querySelector('.scatterlayer .point').getBoundingClientRect();
          return [first.x + first.width / 2, first.y + first.height / 2];
        }"""
    )
    tab.mouse.move(*place)
    tab.mouse.click(*place)


def test_a_click_on_a_point_of_the_trade_off_leads_to_its_epoch(app, reader):
    tab = reader(f"{app}/Trade-off?run=digits")
    tab.get_by_text("marked: digits · epoch 6 · layer encoder").wait_for()
    click_first_point(tab)
    tab.get_by_text("marked: digits · epoch 1 · layer encoder").wait_for()
    wait_for_address(tab, epoch="1")


def test_a_click_on_a_layer_of_the_trade_off_leads_to_it(app, reader):
    tab = reader(f"{app}/Trade-off?run=zoo&runs=cats&points=layers")
    tab.get_by_text("marked: zoo · epoch 9 · layer encoder").wait_for()
    click_first_point(tab)
    tab.get_by_text("marked: cats · epoch 9 · layer stage1").wait_for()
    wait_for_address(tab, run=None, layer="stage1", points="layers")


def test_arrow_keys_on_the_slider_step_once(app, reader):
    tab = reader(f"{app}/OOD_scores?run=digits")
    charts_show(tab, "epoch 6 ")
    tab.get_by_role("slider", name="Epoch").focus()
    tab.keyboard.press("ArrowLeft")
    charts_show(tab, "epoch 4 ")
    tab.keyboard.press("ArrowLeft")
    charts_show(tab, "epoch 2 ")


def test_arrow_keys_move_the_mark_on_the_overview(app, reader):
    tab = reader(f"{app}/?run=digits")
    tab.get_by_role("heading", name="digits at epoch 6").wait_for()
    tab.keyboard.press("ArrowLeft")
    tab.get_by_role("heading", name="digits at epoch 4").wait_for()
    tab.wait_for_function(
        """() => [...document.querySelectorAll('.js-plotly-plot')].every(
          plot => (plot.layout.shapes || []).some(shape => shape.x0 === 4 && shape.x1 === 4))"""
    )


def test_run_epoch_and_layer_follow_from_page_to_page(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=cats&layer=encoder")
    charts_show(tab, "cats · epoch 9")
    tab.keyboard.press("ArrowLeft")
    charts_show(tab, "cats · epoch 4")
    tab.get_by_role("link", name="OOD scores").click()
    charts_show(tab, "cats · epoch 4 · layer encoder")
    wait_for_address(tab, run=None, epoch="4", layer="encoder")
    tab.get_by_role("link", name="Overview").click()
    tab.get_by_role("heading", name="cats at epoch 4").wait_for()
    wait_for_address(tab, epoch="4", layer="encoder")


def test_choosing_a_run_shows_its_last_epoch(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=cats")
    charts_show(tab, "cats · epoch 9")
    tab.get_by_role("combobox", name="Run").click()
    tab.get_by_role("option", name="digits").click()
    charts_show(tab, "digits · epoch 6")
    wait_for_address(tab, run="digits", epoch=None)


def test_an_address_shows_the_same_to_another_reader(app, reader):
    query = "run=digits&epoch=2&detector=MSP&sets=letters&sets=noise&cut=OOD&reject=80"
    mine = reader(f"{app}/OOD_scores?{query}")
    charts_show(mine, "epoch 2 ")
    mine.keyboard.press("ArrowRight")
    drawn = charts_show(mine, "epoch 4 ", 3)
    wait_for_address(mine, epoch="4", detector="MSP", cut="OOD", reject="80")
    theirs = reader(mine.url, stranger=True)
    assert charts_show(theirs, "epoch 4 ", 3) == drawn
    assert address_of(theirs) == address_of(mine)
    assert address_of(mine)["sets"] == ["letters", "noise"]


def test_an_unusable_address_falls_back_without_a_word(app, reader):
    tab = reader(f"{app}/OOD_scores?run=../../etc&epoch=99&layer=<script>&detector=x&accept=abc")
    charts_show(tab, "cats · epoch 9 · layer projector")
    assert tab.get_by_role("alert").count() == 0
    assert not {"run", "epoch", "layer", "detector"} & address_of(tab).keys()


def listed_files(tab, count: int) -> list[str]:
    """Names of the files in the table of results, once it has so many rows."""
    # The table is painted on a canvas; what readers without eyes are told lies beside it.
    table = tab.locator('[data-testid="stDataFrame"]').first.locator("table")
    table.and_(tab.locator(f'[aria-rowcount="{count + 1}"]')).wait_for(state="attached")
    return table.locator('td[aria-colindex="2"]').all_text_contents()


def test_an_image_or_a_line_for_each_of_eight_files(app, reader, tmp_path):
    """A photograph, rotated, CMYK, 16-bit, palette; a PDF, a bomb, a renamed text: all at once."""
    images, others = five_images(), three_others()
    tab = reader(f"{app}/Upload?run=digits")
    paths = write_all({**others, **images}, tmp_path)
    tab.locator("input[type=file]").set_input_files(paths)
    tab.get_by_text("Nearest samples").wait_for()
    assert listed_files(tab, len(images)) == list(images)
    lines = tab.locator('[data-testid="stAlert"]').all_inner_texts()
    assert len(lines) == len(others)
    for name, reason in (
        ("report.pdf", "is a PDF document"),
        ("bomb.png", "13,000 x 13,000 pixels"),
        ("renamed.png", "holds no image"),
    ):
        (line,) = (line for line in lines if name in line)
        assert reason in line
    charts_show(tab, "digits · epoch 6 · layer encoder", 3)
    assert "Traceback" not in tab.locator("body").inner_text()
    # A row leads to its image.
    table = tab.locator('[data-testid="stDataFrame"] .dvn-scroller').first
    table.click(position={"x": 18, "y": 35 * 2.5})
    tab.get_by_role("heading", name="rotated.jpg").wait_for()
    tab.get_by_text("As uploaded, 427 x 640 pixels").wait_for()
    # The files stay while the reader walks through the epochs.
    tab.keyboard.press("ArrowLeft")
    charts_show(tab, "digits · epoch 4 · layer encoder", 3)
    assert listed_files(tab, len(images)) == list(images)


def test_a_folder_of_a_hundred_images_shows_how_far_it_is(app, reader, tmp_path):
    large = encoded(photograph(2000, 1500), "JPEG")
    write_all({f"{at}.jpg": large for at in range(100)}, tmp_path / "holiday")
    tab = reader(f"{app}/Upload?run=digits")
    tab.get_by_text("Upload a whole folder").click()
    tab.get_by_text("Folder of images").wait_for()
    tab.evaluate(
        """() => {
          window.steps = new Set();
          new MutationObserver(() => {
            const found = document.body.innerText.match(/[0-9]+ of 100 files/);
            if (found) window.steps.add(found[0]);
          }).observe(document.body, { childList: true, characterData: true, subtree: true });
        }"""
    )
    tab.locator("input[type=file][webkitdirectory]").set_input_files(tmp_path / "holiday")
    tab.get_by_text("Nearest samples").wait_for()
    assert len(listed_files(tab, 100)) > 5
    assert tab.evaluate("window.steps.size") > 1


def test_a_card_of_the_overview_opens_its_run_on_another_page(app, reader):
    tab = reader(f"{app}/?run=cats")
    tab.get_by_role("heading", name="cats at epoch 9").wait_for()
    cards = tab.locator('[data-testid="stColumn"]').filter(has_text="saved")
    cards.filter(has_text="digits").get_by_role("button", name="Neural collapse").last.click()
    tab.get_by_role("heading", name=PAGES["/Neural_collapse"]).wait_for()
    charts_show(tab, "digits · epoch")
    wait_for_address(tab, run="digits")


def test_further_definitions_are_drawn_when_asked_for(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=cats&details=Every+definition&group=NC2")
    closed = charts_show(tab, "cats · epoch 9", 9)
    tab.get_by_text("further definitions of NC2").click()
    assert len(charts_show(tab, "cats · epoch 9", len(closed) + 5)) >= len(closed) + 5


def test_arrow_keys_move_the_points_of_both_layers(app, reader):
    tab = reader(f"{app}/Embeddings?run=cats")
    last = map_shows(tab, 9)
    assert len(last) == 2
    tab.get_by_text("encoder · NC1").wait_for()
    tab.keyboard.press("ArrowLeft")
    before = map_shows(tab, 4)
    assert all(one != other for one, other in zip(last, before, strict=True))
    tab.get_by_text("cats · epoch 4 · layers encoder and projector", exact=True).wait_for()
    wait_for_address(tab, epoch="4")
    tab.keyboard.press("ArrowRight")
    assert map_shows(tab, 9) == last
    wait_for_address(tab, epoch=None)


def test_zoom_and_the_clicked_sample_stay_while_stepping(app, reader):
    tab = reader(f"{app}/Embeddings?run=digits")
    map_shows(tab, 6)
    tab.mouse.move(*place_of(tab, 7))
    tab.mouse.wheel(0, -400)
    root = tab.locator(".root")
    zoom = root.get_attribute("data-zoom")
    assert float(zoom) > 2
    tab.mouse.click(*place_of(tab, 7))
    picked = root.get_attribute("data-picked")
    assert picked
    for epoch in (4, 2, 1):
        tab.keyboard.press("ArrowLeft")
        map_shows(tab, epoch)
        assert root.get_attribute("data-zoom") == zoom
        assert root.get_attribute("data-picked") == picked
    tab.get_by_role("button", name="Reset zoom").click()
    assert float(root.get_attribute("data-zoom")) == 1


def test_dragging_moves_the_map_and_clicks_nothing(app, reader):
    tab = reader(f"{app}/Embeddings?run=digits")
    map_shows(tab, 6)
    x, y = place_of(tab, 7)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 40, y + 25, steps=4)
    tab.mouse.up()
    moved = place_of(tab, 7)
    assert moved == pytest.approx((x + 40, y + 25), abs=1)
    assert not tab.locator(".root").get_attribute("data-picked")


def test_the_points_of_all_epochs_are_sent_once(app, reader):
    tab = reader(f"{app}/OOD_scores?run=digits")
    charts_show(tab, "epoch 6 ")
    received = []
    tab.on(
        "websocket", lambda socket: socket.on("framereceived", lambda data: _add(received, data))
    )
    tab.goto(f"{app}/Embeddings?run=digits")
    map_shows(tab, 6)
    opened = sum(received)
    received.clear()
    for epoch in (4, 2):
        tab.keyboard.press("ArrowLeft")
        map_shows(tab, epoch)
    assert sum(received) / 2 < opened / 2


def _add(received: list[int], data) -> None:
    received.append(len(data))


def test_names_under_the_pointer_are_text(app, reader):
    tab = reader(f"{app}/Embeddings?run=zoo")
    map_shows(tab, 9)
    tab.mouse.move(*place_of(tab, 0))
    tip = tab.locator(".tip")
    tip.wait_for()
    assert f"is {MARKUP}1" in tip.inner_text()
    assert "made/test · known (ID)" in tip.inner_text()
    assert "Energy" in tip.inner_text()
    tab.get_by_text("near OOD: <b>bold").wait_for()
    assert tab.locator(".root img, .root b").count() == 0


def test_the_map_follows_the_theme_of_the_reader(app, reader):
    tab = reader(f"{app}/Embeddings?run=cats")
    for scheme, page in (("light", [255, 255, 255, 255]), ("dark", [14, 17, 23, 255])):
        tab.emulate_media(color_scheme=scheme)
        tab.reload()
        map_shows(tab, 9)
        corner = "canvas => [...canvas.getContext('2d').getImageData(2, 2, 1, 1).data]"
        assert tab.locator(".plot canvas").first.evaluate(corner) == page


def test_the_map_is_told_in_words(app, reader):
    tab = reader(f"{app}/Embeddings?run=cats&colour=score")
    map_shows(tab, 9)
    told = tab.get_by_role("img", name="128 samples of cats at epoch 9, coloured by Energy score")
    told.wait_for()


def test_charts_follow_the_theme_of_the_reader(app, reader):
    tab = reader(f"{app}/OOD_scores?run=digits")
    for scheme, colour in (("light", "#262730"), ("dark", "#f2f3f5")):
        tab.emulate_media(color_scheme=scheme)
        tab.reload()
        tab.wait_for_function(
            """colour => {
              const plots = [...document.querySelectorAll('.js-plotly-plot')];
              return plots.length >= 3 && plots.every(
                plot => plot._fullLayout.font.color.toLowerCase() === colour);
            }""",
            arg=colour,
        )


def test_an_address_chooses_the_metric_of_the_leaderboard_and_it_is_downloaded(
    app, reader, checkpoints
):
    tab = reader(f"{app}/Leaderboard?run=digits&epoch=2&metric=FPR95+(ID+positive)&kind=far")
    board = charts_show(tab, "digits · epoch 2")[0]
    assert "FPR95 (ID positive) of" in board
    with tab.expect_download() as begun:
        tab.get_by_role("button", name="Save with intervals as CSV").click()
    assert begun.value.suggested_filename == "ncviz-leaderboard-fpr95-encoder-digits-2.csv"
    table = pd.read_csv(begun.value.path())
    assert set(table["Metric"]) == {"FPR95 (ID positive)"}
    results = open_run(checkpoints / "digits").epoch(2).detection()
    results = results[(results["layer"] == "encoder") & (results["set"] == "noise")]
    assert sorted(table["noise"]) == pytest.approx(sorted(results["fpr95"]))
    assert sorted(table["noise low"]) == pytest.approx(sorted(results["fpr95_low"]))
    with tab.expect_download() as begun:
        tab.get_by_role("button", name="Save every metric as CSV").click()
    whole = pd.read_csv(begun.value.path())
    whole = whole[(whole["Metric"] == "AUPR-out") & (whole["OOD set"] == "noise")]
    assert sorted(whole["Value"]) == pytest.approx(sorted(results["aupr_out"]))
    # A look into another tab draws it, and leaves the choice.
    tab.get_by_role("tab", name="Is the difference real?").click()
    tab.get_by_text("DeLong's test").wait_for()
    wait_for_address(tab, metric="FPR95 (ID positive)", kind="far")
    assert address_of(tab)["tab"] == ["Is the difference real?"]


def test_narrow_windows_stack_charts_and_keep_headings_apart(app, reader):
    tab = reader(f"{app}/OOD_scores?run=digits")
    tab.set_viewport_size({"width": 820, "height": 1000})
    charts_show(tab, "digits · epoch 6", 3)
    plots = [plot.bounding_box() for plot in tab.locator(".js-plotly-plot").all()]
    assert len({round(box["x"]) for box in plots}) == 1
    tab.goto(f"{app}/Leaderboard?run=digits")
    charts_show(tab, "digits · epoch 6")
    headings = tab.locator(".js-plotly-plot").first.locator(".xtick text").all()
    boxes = sorted((heading.bounding_box() for heading in headings), key=lambda box: box["x"])
    assert len(boxes) == 7
    assert all(a["x"] + a["width"] <= b["x"] for a, b in pairwise(boxes))
