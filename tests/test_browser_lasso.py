"""The lasso in Chromium: what lies inside the line is chosen, and stays from page to page."""

from __future__ import annotations

import pytest
from browser import MARKS, address_of, map_shows, place_of, wait_for_address

from ncviz.ui.selection import Selection

pytestmark = MARKS

# Where every sample is painted in a panel, in pixels of the window, and where that panel is.
PLACES = """(root, layer) => {
  const chart = root.parentNode.ncviz;
  const panel = chart.panels[layer];
  const [lens, start] = [panel.lens(), panel.start()];
  const box = panel.canvas.getBoundingClientRect();
  const places = Array.from({ length: chart.frames.samples }, (_, i) => [
    box.x + lens.x(chart.now[start + 2 * i]), box.y + lens.y(chart.now[start + 2 * i + 1])]);
  return [places, [box.left, box.top, box.right, box.bottom]];
}"""
CHOSEN = """root => {
  const { chosen } = root.parentNode.ncviz;
  return chosen ? [...chosen].flatMap((each, i) => (each ? [i] : [])) : [];
}"""


def inside(line, x: float, y: float) -> bool:
    """Whether (x, y) lies in a convex figure: on one side of all of its edges."""
    edges = zip(line, [*line[1:], line[0]], strict=True)
    sides = [(c - a) * (y - b) - (d - b) * (x - a) > 0 for (a, b), (c, d) in edges]
    return all(sides) or not any(sides)


def draw(tab, line, *, release: bool = True) -> None:
    """Draws along the corners of `line` with the mouse."""
    tab.mouse.move(*line[0])
    tab.mouse.down()
    for corner in line[1:]:
        tab.mouse.move(*corner, steps=5)
    if release:
        tab.mouse.up()


def around(places, box, share: float = 0.3):
    """A diamond in a panel around the middle of its samples."""
    left, top, right, bottom = box
    x, y = (sorted(each)[len(places) // 2] for each in zip(*places, strict=True))
    across, up = share * (right - left), share * (bottom - top)
    corners = ((x - across, y), (x, y - up), (x + across, y), (x, y + up))
    # The mouse goes to whole pixels.
    return [
        (round(min(max(a, left + 3), right - 3)), round(min(max(b, top + 3), bottom - 3)))
        for a, b in corners
    ]


def chosen(tab, count: int) -> list[int]:
    """Numbers of the chosen samples, once the page says that there are so many."""
    tab.locator(".shown", has_text=f"· {count} chosen").wait_for()
    return tab.locator(".root").evaluate(CHOSEN)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_lasso_chooses_exactly_what_lies_inside_it(app, reader, layer):
    tab = reader(f"{app}/Embeddings?run=cats")
    before = map_shows(tab, 9)
    tab.get_by_role("button", name="Lasso").click()
    places, box = tab.locator(".root").evaluate(PLACES, layer)
    line = around(places, box)
    expected = [i for i, place in enumerate(places) if inside(line, *place)]
    assert 3 < len(expected) < len(places)
    draw(tab, line)
    assert chosen(tab, len(expected)) == expected
    after = map_shows(tab, 9)
    assert len(after) == 2
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_a_choice_stays_over_epochs_pages_and_readers(app, reader):
    tab = reader(f"{app}/Embeddings?run=cats")
    map_shows(tab, 9)
    places, box = tab.locator(".root").evaluate(PLACES, 0)
    line = around(places, box)
    expected = [i for i, place in enumerate(places) if inside(line, *place)]
    tab.keyboard.down("Shift")
    draw(tab, line)
    tab.keyboard.up("Shift")
    assert chosen(tab, len(expected)) == expected
    tab.wait_for_function("location.search.includes('selected=')")
    text = address_of(tab)["selected"][0]
    assert len(Selection.parse(text)) == len(expected)
    marked = map_shows(tab, 9)
    tab.keyboard.press("ArrowLeft")
    map_shows(tab, 4)
    assert chosen(tab, len(expected)) == expected
    wait_for_address(tab, epoch="4", selected=text)
    theirs = reader(tab.url, stranger=True)
    map_shows(theirs, 4)
    assert chosen(theirs, len(expected)) == expected
    tab.get_by_role("link", name="OOD scores").click()
    tab.get_by_role("heading", name="How well does this score").wait_for()
    wait_for_address(tab, epoch="4", selected=text)
    tab.get_by_role("link", name="Embeddings").click()
    map_shows(tab, 4)
    assert chosen(tab, len(expected)) == expected
    tab.keyboard.press("ArrowRight")
    assert map_shows(tab, 9) == marked


def test_a_line_that_is_dropped_or_holds_nothing_leaves_the_choice(app, reader):
    tab = reader(f"{app}/Embeddings?run=cats&selected=made/test:0-4")
    map_shows(tab, 9)
    assert chosen(tab, 5) == [0, 1, 2, 3, 4]
    tab.get_by_role("button", name="Lasso").click()
    places, box = tab.locator(".root").evaluate(PLACES, 0)
    line = tab.locator(".panel").first.locator(".line")
    draw(tab, around(places, box), release=False)
    line.wait_for()
    tab.keyboard.press("Escape")
    line.wait_for(state="hidden")
    tab.mouse.up()
    corner = (box[0] + 3, box[1] + 3)
    near = [corner, (corner[0] + 12, corner[1]), (corner[0] + 12, corner[1] + 8)]
    assert not any(inside(near, *place) for place in places)
    draw(tab, near)
    tab.keyboard.press("ArrowLeft")
    map_shows(tab, 4)
    wait_for_address(tab, epoch="4", selected="made/test:0-4")
    assert chosen(tab, 5) == [0, 1, 2, 3, 4]


def test_a_lasso_sends_little(app, reader):
    tab = reader(f"{app}/Embeddings?run=digits")
    sent = []
    tab.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(len(data))))
    tab.reload()
    map_shows(tab, 6)
    places, box = tab.locator(".root").evaluate(PLACES, 0)
    tab.wait_for_timeout(500)
    sent.clear()
    tab.keyboard.down("Shift")
    corners = [(box[0] + 3, box[1] + 3), (box[2] - 3, box[1] + 3)]
    line = [*corners, (box[2] - 3, box[3] - 3), (box[0] + 3, box[3] - 3)]
    draw(tab, line)
    tab.keyboard.up("Shift")
    seen = [place for place in places if inside(line, *place)]
    assert len(seen) > 1000
    tab.locator(".shown", has_text=f"· {len(seen):,} chosen").wait_for()
    assert 0 < sum(sent) < 20_000


def test_a_clicked_sample_is_told_and_let_go_again(app, reader):
    tab = reader(f"{app}/Embeddings?run=cats")
    map_shows(tab, 9)
    tab.mouse.click(*place_of(tab, 7))
    tab.wait_for_function("location.search.includes('sample=')")
    sample = address_of(tab)["sample"][0]
    picked = tab.locator(".root").get_attribute("data-picked")
    # Another sample may be painted over this one.
    assert sample.startswith("made/test:")
    theirs = reader(tab.url, stranger=True)
    map_shows(theirs, 9)
    assert theirs.locator(".root").get_attribute("data-picked") == picked
    tab.mouse.click(*place_of(tab, int(picked)))
    wait_for_address(tab, sample=None)
    assert tab.locator(".root").get_attribute("data-picked") == ""


def test_a_map_is_zoomed_by_keys(app, reader):
    tab = reader(f"{app}/Embeddings?run=digits")
    map_shows(tab, 6)
    tab.locator(".plot canvas").focus()
    root = tab.locator(".root")
    for key in "++-":
        tab.keyboard.press(key)
    assert float(root.get_attribute("data-zoom")) == pytest.approx(1.4, abs=0.01)
    tab.keyboard.press("ArrowLeft")
    map_shows(tab, 4)
    assert float(root.get_attribute("data-zoom")) == pytest.approx(1.4, abs=0.01)
    tab.keyboard.press("0")
    assert float(root.get_attribute("data-zoom")) == 1
