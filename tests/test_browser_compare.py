"""The Compare page in Chromium: deep links, swapping, circling, clicking, and another reader."""

from __future__ import annotations

import browser
from browser import address_of, charts_show, wait_for_address

pytestmark = browser.MARKS

QUESTION = "What changed between these two?"
# The element of the chart whose title has these words, once it is drawn.
CHART = """title => [...document.querySelectorAll('.js-plotly-plot')].find(
  plot => plot.layout && plot.layout.title.text.includes(title)
    && plot.querySelector('.nsewdrag'))"""


def chart(tab, title: str):
    """A handle on the chart whose title has these words."""
    tab.wait_for_function(CHART, arg=title)
    element = tab.evaluate_handle(CHART, title).as_element()
    element.scroll_into_view_if_needed()
    return element


def corners(tab, title: str, *, left=0.0, right=1.0, top=0.0, bottom=1.0) -> list[tuple]:
    """Four places in the axes of a chart, given as shares of their width and height."""
    box = chart(tab, title).evaluate(
        """plot => {
          const {x, y, width, height} = plot.querySelector('.nsewdrag').getBoundingClientRect();
          return [x, y, width, height];
        }"""
    )
    x, y, width, height = box
    return [
        (x + width * across, y + height * down)
        for across, down in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]


def circle(tab, title: str, **where: float) -> None:
    """Draws a lasso around a part of a chart."""
    first, *others = corners(tab, title, **where)
    tab.mouse.move(*first)
    tab.mouse.down()
    for place in (*others, first):
        tab.mouse.move(*place, steps=4)
    tab.mouse.up()


LIT = f"""([title, count]) => {{
  const plot = ({CHART})(title);
  const lit = plot ? plot._fullData.filter(trace => trace.selectedpoints) : [];
  return lit.reduce((sum, trace) => sum + trace.selectedpoints.length, 0) === count;
}}"""


def wait_for_lit(tab, title: str, count: int) -> None:
    """Waits until so many points of a chart are lit up."""
    tab.wait_for_function(LIT, arg=[title, count])


def test_a_deep_link_opens_on_a_fresh_server(fresh_app, reader):
    query = "run=digits&epoch=2&other_epoch=6&chart=ROC&metric=FPR95+(ID+positive)&moved=noise"
    tab = reader(f"{fresh_app}/Compare?{query}")
    tab.get_by_role("heading", name=QUESTION).wait_for()
    charts_show(tab, "A: digits · epoch 2 · layer encoder  |  B: digits · epoch 6", 3)
    wait_for_address(tab, run="digits", epoch="2", other_epoch="6", chart="ROC", moved="noise")


def test_without_a_choice_the_ends_of_a_training_are_compared(fresh_app, reader):
    tab = reader(f"{fresh_app}/Compare?run=digits")
    chart(tab, "rank among known samples")
    tab.get_by_text("A: digits · epoch 6 · layer encoder · B: digits · epoch 1").wait_for()
    assert address_of(tab) == {"run": ["digits"]}


def test_swapped_sides_are_the_same_to_another_reader(app, reader):
    mine = reader(f"{app}/Compare?run=digits&epoch=4&other_run=cats&other_epoch=9&chart=Collapse")
    charts_show(mine, "B: cats · epoch 9 · layer encoder", 2)
    mine.get_by_role("button", name="Swap A and B").click()
    told = "A: cats · epoch 9 · layer encoder  |  B: digits · epoch 4 · layer encoder"
    drawn = charts_show(mine, told, 2)
    wait_for_address(mine, other_run="digits", other_epoch="4", chart="Collapse")
    theirs = reader(mine.url, stranger=True)
    assert charts_show(theirs, told, 2) == drawn


def test_arrow_keys_step_a_and_leave_b(app, reader):
    tab = reader(f"{app}/Compare?run=digits&chart=Collapse")
    charts_show(tab, "A: digits · epoch 6 · layer encoder  |  B: digits · epoch 1", 3)
    tab.keyboard.press("ArrowLeft")
    charts_show(tab, "A: digits · epoch 4 · layer encoder  |  B: digits · epoch 1", 3)
    wait_for_address(tab, epoch="4", other_epoch=None)


def test_circled_ranks_are_selected_and_the_address_shows_them_to_another(app, reader):
    mine = reader(f"{app}/Compare?run=cats&moved=noise&chart=ROC")
    title = "rank among known samples"
    circle(mine, title, left=0.01, right=0.99, top=0.01, bottom=0.99)
    wait_for_lit(mine, title, 40)
    wait_for_address(mine, selected="noise/test:0-39", moved="noise")
    # What was circled before is forgotten.
    half = chart(mine, title).evaluate(
        """plot => {
          const x = [...plot._fullData[0].x].sort((a, b) => a - b);
          const axis = plot._fullLayout.xaxis;
          return axis.d2p((x[19] + x[20]) / 2) / axis._length;
        }"""
    )
    circle(mine, title, left=0.01, right=half, top=0.01, bottom=0.99)
    mine.wait_for_function("!location.search.includes('0-39') && location.search.includes('noise')")
    chosen = address_of(mine)["selected"][0].removeprefix("noise/test:")
    ends = [part.split("-") for part in chosen.split(",")]
    count = sum(int(part[-1]) - int(part[0]) + 1 for part in ends)
    assert 0 < count < 40
    wait_for_lit(mine, title, count)
    theirs = reader(mine.url, stranger=True)
    wait_for_lit(theirs, title, count)
    assert address_of(theirs) == address_of(mine)


def test_samples_circled_on_one_map_light_up_on_both(app, reader):
    tab = reader(f"{app}/Compare?run=digits&chart=Map&map=PCA&moved=ID+test")
    circle(tab, "PCA map", left=0.01, right=0.99, top=0.01, bottom=0.6)
    tab.wait_for_function(
        """() => {
          const maps = [...document.querySelectorAll('.js-plotly-plot')].filter(
            plot => plot.layout && plot.layout.title.text === 'PCA map');
          const lit = maps.map(plot => plot._fullData.map(
            trace => [...(trace.selectedpoints || [])].join()).join(';'));
          return lit.length === 2 && /\\d/.test(lit[0]) && lit[0] === lit[1];
        }"""
    )


def test_a_click_on_a_rank_or_a_row_looks_at_its_sample(app, reader):
    tab = reader(f"{app}/Compare?run=cats&moved=noise&chart=ROC")
    element = chart(tab, "rank among known samples")
    place = element.evaluate(
        """plot => {
          const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
          const {xaxis, yaxis} = plot._fullLayout;
          const {x, y} = plot.calcdata[0][0].trace;
          return [box.x + xaxis.d2p(x[7]), box.y + yaxis.d2p(y[7])];
        }"""
    )
    tab.mouse.move(*place)
    tab.mouse.click(*place)
    tab.wait_for_function("new URLSearchParams(location.search).has('sample')")
    assert address_of(tab)["sample"][0].startswith("noise/test:")
    tab.wait_for_function(
        f"""() => ({CHART})('rank among').data.some(trace => trace.name === 'looked at')"""
    )
    tab.get_by_text("Its scores at layer").wait_for()
    table = tab.get_by_test_id("stDataFrame").nth(-2)  # the last one is of the sample itself
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    before = address_of(tab)["sample"]
    row = 1 if tab.get_by_test_id("stDataFrame").count() else 0
    for at in (row, row + 1):  # one of the two is another sample than the one looked at
        tab.mouse.click(box["x"] + 16, box["y"] + 17 + 35 * at + 35)
        tab.wait_for_timeout(1500)
        if address_of(tab)["sample"] != before:
            break
    assert address_of(tab)["sample"] != before


def test_the_list_is_selected_by_a_button(app, reader):
    tab = reader(f"{app}/Compare?run=cats&moved=noise&chart=ROC")
    tab.get_by_role("button", name="Select these 40").click()
    wait_for_lit(tab, "rank among known samples", 40)
    wait_for_address(tab, selected="noise/test:0-39")
