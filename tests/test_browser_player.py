"""The player in Chromium: every chart follows it, a map moves without a word to the server."""

from __future__ import annotations

import pytest
from browser import MARKS, charts_show, map_shows, wait_for_address

pytestmark = MARKS

CHARTS = 4  # of the Neural collapse page as it opens

# The vertical line at an epoch, as it is painted: its place on the axis, from its pixels.
MARKED = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => {
  const lines = [...plot.querySelectorAll('.shapelayer path')];
  return (plot.layout.shapes || []).flatMap((shape, at) => {
    if (shape.x0 !== shape.x1 || shape.xref.includes('domain')) return [];
    const line = lines.find(each => Number(each.dataset.index) === at);
    const axis = plot._fullLayout[shape.xref.replace('x', 'xaxis')];
    if (axis.title.text !== 'Epoch') return [];
    const left = Number(/M([^,]+),/.exec(line.getAttribute('d'))[1]);
    return [Math.round(axis.p2d(left - axis._offset))];
  });
})"""
PAINTED = """text => [...document.querySelectorAll('.gtitle-subtitle')].every(
  subtitle => subtitle.textContent.includes(text))"""


@pytest.fixture
def spoken(reader):
    """Opens a tab; with it comes the list of all that its page sends to the server."""

    def open_tab(address: str):
        tab, sent = reader(address), []
        tab.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(data)))
        tab.reload()
        tab.get_by_text("Charts are saved as").last.wait_for()
        return tab, sent

    return open_tab


def control(tab, **state: str):
    """The player, once its attributes are these."""
    found = tab.locator(".player" + "".join(f'[data-{name}="{state[name]}"]' for name in state))
    found.wait_for()
    return found


def at_speed(tab, speed: int) -> None:
    button = tab.get_by_role("button", name="Speed")
    while button.get_attribute("aria-label") != f"Speed {speed}, press to change":
        button.click()


@pytest.mark.parametrize(("path", "charts"), [("/Neural_collapse", CHARTS), ("/OOD_scores", 3)])
def test_play_moves_every_chart_from_the_first_epoch_to_the_last(app, reader, path, charts):
    tab = reader(f"{app}{path}?run=digits")
    last = charts_show(tab, "epoch 6 ", charts)
    at_speed(tab, 2)
    tab.get_by_role("button", name="Play").click()
    for epoch in (1, 2, 4):
        shown = charts_show(tab, f"epoch {epoch} ", charts)
        assert all(one != other for one, other in zip(shown, last, strict=True))
    assert charts_show(tab, "epoch 6 ", charts) == last
    control(tab, playing="no", epoch="6")
    wait_for_address(tab, epoch=None)


def test_what_is_painted_follows_each_step(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits")
    for epoch in (6, 4, 2):
        charts_show(tab, f"epoch {epoch} ", CHARTS)
        tab.wait_for_function(PAINTED, arg=f"epoch {epoch} ")
        marked = tab.evaluate(MARKED)
        assert len(marked) >= CHARTS
        assert set(marked) == {epoch}
        tab.keyboard.press("ArrowLeft")


def test_curves_that_stay_are_not_drawn_anew(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits")
    charts_show(tab, "epoch 6 ", CHARTS)
    tab.evaluate(
        """() => {
          const plot = document.querySelector('.js-plotly-plot');
          window.curves = [...plot.querySelectorAll('.js-line')];
        }"""
    )
    tab.keyboard.press("ArrowLeft")
    charts_show(tab, "epoch 4 ", CHARTS)
    assert tab.evaluate("window.curves.length > 4 && window.curves.every(line => line.isConnected)")


def test_the_key_p_plays_and_pauses_unless_someone_types(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&epoch=1")
    charts_show(tab, "epoch 1 ", CHARTS)
    tab.keyboard.press("p")
    control(tab, playing="yes")
    tab.keyboard.press("p")
    shown = control(tab, playing="no").get_attribute("data-epoch")
    charts_show(tab, f"epoch {shown} ", CHARTS)
    tab.wait_for_timeout(1500)  # longer than from one epoch to the next
    charts_show(tab, f"epoch {shown} ", CHARTS)
    tab.get_by_role("combobox", name="Run").focus()
    tab.keyboard.press("p")
    assert control(tab).get_attribute("data-playing") == "no"


def test_an_arrow_pauses_and_steps(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&epoch=1")
    charts_show(tab, "epoch 1 ", CHARTS)
    tab.keyboard.press("p")
    control(tab, epoch="4", playing="yes")
    tab.keyboard.press("ArrowLeft")
    control(tab, epoch="2", playing="no")
    charts_show(tab, "epoch 2 ", CHARTS)
    wait_for_address(tab, epoch="2")
    tab.wait_for_timeout(1500)
    charts_show(tab, "epoch 2 ", CHARTS)


def test_another_run_ends_the_play(app, reader):
    tab = reader(f"{app}/Neural_collapse?run=digits&epoch=1")
    charts_show(tab, "epoch 1 ", CHARTS)
    tab.keyboard.press("p")
    control(tab, playing="yes")
    tab.get_by_role("combobox", name="Run").click()
    tab.get_by_role("option", name="cats").click()
    charts_show(tab, "cats · epoch ", CHARTS)
    shown = control(tab, playing="no").get_attribute("data-epoch")
    tab.wait_for_timeout(1500)
    charts_show(tab, f"cats · epoch {shown} ", CHARTS)


def test_a_map_plays_without_a_word_to_the_server_until_it_ends(app, spoken):
    tab, sent = spoken(f"{app}/Embeddings?run=digits")
    still = map_shows(tab, 6)
    tab.wait_for_timeout(500)
    sent.clear()
    tab.get_by_role("button", name="Play").click()
    for epoch in (1, 2, 4):
        tab.locator(f'.root[data-epoch="{epoch}"]').wait_for()
        assert not sent
    assert map_shows(tab, 6) == still
    control(tab, playing="no", epoch="6")
    wait_for_address(tab, epoch=None)
    tab.wait_for_timeout(500)
    assert len(sent) <= 1


def test_a_paused_map_takes_the_page_along(app, spoken):
    tab, sent = spoken(f"{app}/Embeddings?run=digits&epoch=1")
    map_shows(tab, 1)
    tab.wait_for_timeout(500)
    sent.clear()
    tab.keyboard.press("p")
    tab.locator('.root[data-epoch="4"]').wait_for()
    assert not sent
    tab.keyboard.press("p")
    map_shows(tab, 4)
    wait_for_address(tab, epoch="4")
    tab.get_by_text("digits · epoch 4, 3 of 4 saved epochs").wait_for()
    # A step by an arrow, a click on a button, and on the track.
    tab.keyboard.press("ArrowRight")
    wait_for_address(tab, epoch=None)
    tab.get_by_role("button", name="Previous").click()
    map_shows(tab, 4)
    wait_for_address(tab, epoch="4")
    tab.get_by_role("slider", name="Move the map").fill("0")
    map_shows(tab, 1)
    wait_for_address(tab, epoch="1")


def test_the_next_page_opens_at_the_epoch_that_a_map_has_played_to(app, reader):
    tab = reader(f"{app}/Embeddings?run=digits&epoch=1")
    map_shows(tab, 1)
    tab.keyboard.press("p")
    tab.locator('.root[data-epoch="2"]').wait_for()
    tab.get_by_role("link", name="Neural collapse").click()
    charts_show(tab, "epoch 2 ", CHARTS)
    wait_for_address(tab, epoch="2")


def test_points_of_readers_who_want_no_motion_jump(app, reader):
    tab = reader(f"{app}/Embeddings?run=digits&epoch=1")
    tab.emulate_media(reduced_motion="reduce")
    map_shows(tab, 1)
    tab.locator(".root").evaluate(
        """root => {
          window.moved = false;
          new MutationObserver(() => { window.moved = true; }).observe(
            root, { attributeFilter: ['data-moving'] });
        }"""
    )
    tab.keyboard.press("ArrowRight")
    map_shows(tab, 2)
    assert not tab.evaluate("window.moved")


def test_no_chart_is_taken_away_while_the_epochs_are_played(app, reader):
    """The first epoch has no change to tell of: what stands below that line stays all the same."""
    tab = reader(f"{app}/Neural_collapse?run=digits")
    charts_show(tab, "epoch 6 ", CHARTS)
    tab.evaluate("window.kept = [...document.querySelectorAll('.js-plotly-plot')]")
    at_speed(tab, 4)
    tab.keyboard.press("p")
    charts_show(tab, "epoch 1 ", CHARTS)
    control(tab, playing="no", epoch="6")
    charts_show(tab, "epoch 6 ", CHARTS)
    assert tab.evaluate("window.kept.every(plot => plot.isConnected)")
