"""The tour, the words of a page and the source documents in Chromium, by pointer and by keys."""

from __future__ import annotations

from urllib.parse import urlsplit

import browser
from browser import address_of, charts_show, map_shows, wait_for_address

from ncviz.glossary import TERMS

pytestmark = browser.MARKS


def follow(tab, title: str) -> None:
    """Follow the link of the step of the tour with that title."""
    card = tab.locator('[data-testid="stVerticalBlock"]').filter(has_text=title).last
    card.get_by_role("button", name="Open ").click()


def test_a_step_opens_its_page_in_its_state_and_the_address_says_so(app, reader):
    tab = reader(f"{app}/?run=digits&epoch=2")
    follow(tab, "Class means spread out")
    charts_show(tab, "cats · epoch 9", 4)
    wait_for_address(tab, run=None, epoch=None, layer=None, order="cluster", colours="fit")
    assert urlsplit(tab.url).path == "/Neural_collapse"
    # Another reader gets the same from the address.
    drawn = charts_show(tab, "cats · epoch 9", 4)
    theirs = reader(tab.url, stranger=True)
    assert charts_show(theirs, "cats · epoch 9", 4) == drawn


def test_a_step_to_scores_chooses_sets_and_a_step_to_maps_an_epoch(app, reader):
    tab = reader(f"{app}/?run=digits")
    follow(tab, "Points move")
    map_shows(tab, 1)
    tab.get_by_text("cats · epoch 1 · layers encoder and projector").wait_for()
    wait_for_address(tab, run=None, epoch="1")
    tab.get_by_role("link", name="Overview").click()
    follow(tab, "Known from unknown")
    tab.get_by_role("heading", name="How well does this score").wait_for()
    tab.wait_for_function("new URLSearchParams(location.search).getAll('sets').length === 2")
    shown = address_of(tab)
    run = shown.get("run", ["cats"])[0]
    charts_show(tab, f"{run} · epoch")


def test_the_tour_leaves_the_first_chart_in_view_and_can_be_hidden(app, reader):
    tab = reader(f"{app}/?run=digits")
    tab.wait_for_function("document.querySelectorAll('.js-plotly-plot').length >= 2")
    heading = tab.get_by_role("heading", name="What to look at first")
    heading.last.wait_for()
    chart = tab.locator(".js-plotly-plot").first.bounding_box()
    tour = tab.get_by_role("heading", name="What to look at first", exact=True).bounding_box()
    assert chart["y"] + chart["height"] <= tour["y"]
    assert chart["y"] + chart["height"] <= browser.VIEWPORT["height"]
    tab.get_by_role("button", name="Hide").click()
    tab.get_by_role("button", name="Show what to look at first").wait_for()
    assert tab.get_by_role("button", name="Open Neural collapse").count() == 0
    assert "tour" not in address_of(tab)


def test_a_word_shows_its_meaning_to_the_pointer(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits")
    meaning = tab.get_by_role("tooltip").filter(has_text=TERMS["ETF"].definition)
    word = tab.get_by_role("button", name="ETF", exact=True)
    word.wait_for()
    assert not meaning.is_visible()
    word.hover()
    meaning.wait_for()
    box = meaning.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= browser.VIEWPORT["width"]
    # The pointer may go on to the link in it.
    link = meaning.get_by_role("link")
    link.hover()
    tab.wait_for_timeout(400)
    assert meaning.is_visible()
    with tab.context.expect_page() as opened:
        link.click()
    there = opened.value
    there.get_by_text(TERMS["ETF"].definition).wait_for()
    wait_for_address(there, find="=glossary/ETF")
    there.close()
    tab.mouse.move(600, 700)
    meaning.wait_for(state="hidden")


def test_a_word_shows_its_meaning_to_the_keyboard_and_keeps_the_focus(app, reader):
    tab = reader(f"{app}/OOD_scores?run=digits")
    charts_show(tab, "digits · epoch 6")
    first = tab.get_by_role("button", name="ID", exact=True)
    first.focus()
    described = first.get_attribute("aria-describedby")
    assert tab.locator(f"#{described}").inner_text().startswith("ID")
    tab.get_by_role("tooltip").filter(has_text=TERMS["ID"].definition).wait_for()
    # From the word to the link in its meaning, and on to the next word.
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    meaning = tab.get_by_role("tooltip").filter(has_text=TERMS["OOD"].definition)
    meaning.wait_for()
    assert tab.locator('[role="tooltip"]:visible').count() == 1
    # A step to another epoch draws the page anew, and the word stays.
    tab.keyboard.press("ArrowLeft")
    charts_show(tab, "digits · epoch 4")
    assert meaning.is_visible()
    tab.keyboard.press("Escape")
    meaning.wait_for(state="hidden")


def test_the_source_documents_follow_the_address_and_the_epoch(app, reader):
    query = "section=Source+documents&document=report&run=digits&epoch=4&against=noise"
    tab = reader(f"{app}/Reference?{query}")
    tab.get_by_text("digits · epoch 4 · layer encoder · OOD set noise").wait_for()
    assert address_of(tab)["against"] == ["noise"]
    # The last table: a key pressed while the page is being drawn may find no button yet.
    tab.get_by_text("The report gives neither the dimension").wait_for()
    tab.get_by_role("button", name="Previous").wait_for()
    tab.keyboard.press("ArrowLeft")
    tab.get_by_text("digits · epoch 2 · layer encoder · OOD set noise").wait_for()
    wait_for_address(tab, epoch="2", section="Source documents")
    tab.get_by_role("radio", name="slides").click()
    tab.get_by_text("Controlling Neural Collapse Enhances").wait_for()
    wait_for_address(tab, document="slides", epoch="2")
