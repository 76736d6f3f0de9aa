"""The image grid in Chromium: pictures, keys, pages, one sample, and an address for others."""

from __future__ import annotations

from browser import MARKS, MARKUP, address_of, charts_show, wait_for_address

pytestmark = MARKS

CHOICE = "selected=digits/test:0-39;noise/test:2&sort=order"


def grid(tab):
    """The tiles of the chosen samples."""
    return tab.get_by_role("group", name="Selected samples").get_by_role("button")


def pictures_of(tiles) -> int:
    """How many tiles show a decoded picture."""
    return sum(
        tile.locator("img").evaluate("image => image.complete && image.naturalWidth > 0")
        for tile in tiles.all()
    )


def test_a_click_on_a_picture_opens_the_sample(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&{CHOICE}")
    grid(tab).first.wait_for()
    assert grid(tab).count() == 24
    tab.locator("[data-shown]").wait_for()
    assert pictures_of(grid(tab)) == 24
    grid(tab).nth(3).click()
    tab.get_by_role("heading", name="One sample").wait_for()
    tab.get_by_text("4 of 41 selected samples").wait_for()
    wait_for_address(tab, sample=sample_of(tab))
    assert grid(tab).nth(3).get_attribute("aria-pressed") == "true"
    charts_show(tab, "digits · epoch 6", 3)
    # The section comes into sight, and the grid has the tiles that it had.
    tab.wait_for_function(
        """() => {
          const top = document.querySelector('.st-key-one_sample').getBoundingClientRect().top;
          return top >= -1 && top < innerHeight;
        }"""
    )
    assert pictures_of(grid(tab)) == 24
    tab.get_by_role("button", name="Next sample").click()
    tab.get_by_text("5 of 41 selected samples").wait_for()
    tab.get_by_role("button", name="Close", exact=True).click()
    tab.get_by_role("heading", name="One sample").wait_for(state="detached")
    wait_for_address(tab, sample=None)


def sample_of(tab) -> str:
    """The sample that the pressed tile stands for, as the address has it."""
    alt = grid(tab).nth(3).get_attribute("aria-label")
    name, index = alt.split(", ")[1].split(" ")
    return f"{name}:{index}"


def test_enter_on_a_picture_opens_the_sample_and_keeps_the_focus(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&{CHOICE}")
    grid(tab).first.focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.get_by_text("2 of 41 selected samples").wait_for()
    tab.locator('button[aria-pressed="true"]').wait_for()
    focused = "document.activeElement.shadowRoot?.activeElement?.getAttribute('aria-pressed')"
    assert tab.evaluate(focused) == "true"


def test_pages_of_pictures(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&{CHOICE}")
    tab.get_by_role("group", name="Selected samples 1 to 24 of 41").wait_for()
    first = grid(tab).first.get_attribute("aria-label")
    tab.get_by_test_id("stPagination").get_by_role("button", name="2").click()
    tab.get_by_role("group", name="Selected samples 25 to 41 of 41").wait_for()
    assert grid(tab).count() == 17
    assert grid(tab).first.get_attribute("aria-label") != first


def test_clear_empties_the_grid_and_the_address(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&{CHOICE}")
    grid(tab).first.wait_for()
    tab.get_by_role("button", name="Clear", exact=True).click()
    tab.get_by_text("No samples are selected.").wait_for()
    wait_for_address(tab, selected=None)


def test_words_choose_samples_and_another_reader_sees_them(app, reader):
    mine = reader(f"{app}/OOD_scores?run=digits&epoch=4")
    mine.get_by_text("Choose samples by words or class").click()
    words = mine.get_by_role("textbox", name="Words")
    words.fill("17")
    words.press("Enter")
    mine.get_by_role("button", name="Select", exact=True).click()
    grid(mine).first.wait_for()
    shown = [tile.get_attribute("aria-label") for tile in grid(mine).all()]
    grid(mine).first.click()
    mine.get_by_role("heading", name="One sample").wait_for()
    mine.wait_for_function("location.search.includes('sample=')")
    theirs = reader(mine.url, stranger=True)
    theirs.get_by_role("heading", name="One sample").wait_for()
    grid(theirs).first.wait_for()
    assert [tile.get_attribute("aria-label") for tile in grid(theirs).all()] == shown
    assert address_of(theirs) == address_of(mine)


def test_a_neighbour_is_looked_at_in_turn(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&sample=noise/test:2")
    near = tab.get_by_role("group", name="Test and OOD samples nearest at encoder")
    first = near.get_by_role("button").first
    label = first.get_attribute("aria-label")
    first.click()
    name = label.split(", ")[1].split(" ")[0]
    tab.wait_for_function(
        """name => {
          const sample = new URLSearchParams(location.search).get('sample');
          return sample && sample.startsWith(name) && sample !== 'noise/test:2';
        }""",
        arg=name,
    )


def test_names_in_the_grid_are_text(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=zoo&selected=made/test:0-5&sample=made/test:0")
    grid(tab).filter(has_text=f"{MARKUP}1").first.wait_for()
    tab.get_by_role("heading", name="One sample").wait_for()
    assert tab.locator('img[src="x"]').count() == 0


def test_a_row_of_the_samples_that_changed_sides_opens_the_sample(app, reader):
    tab = reader(f"{app}/OOD_scores?run=digits")
    tab.get_by_text("Samples that changed sides most").click()
    tab.get_by_role("button", name="Select these").wait_for()
    table = tab.locator('[data-testid="stExpander"] [data-testid="stDataFrame"]')
    cells = table.locator("table").locator('tr[aria-rowindex="2"] td')
    cells.first.wait_for(state="attached")
    row = cells.all_text_contents()
    table.locator(".dvn-scroller").click(position={"x": 18, "y": 35 * 1.5})
    tab.get_by_role("heading", name="One sample").wait_for()
    tab.wait_for_function("location.search.includes('sample=')")
    set_name, index = address_of(tab)["sample"][0].split(":")
    assert set_name in row
    assert index in row
