"""The Upload page in its states, without a browser."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from app_elements import figures_on
from made_runs import add_maps, make_run
from PIL import Image
from streamlit.testing.v1 import AppTest

from ncviz import data
from ncviz.evaluation import evaluate
from ncviz.extraction import extract
from ncviz.store import open_run
from ncviz.training import recipe, train
from ncviz.ui import upload_results

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/6_Upload.py"


@pytest.fixture(scope="module")
def checkpoints(digits_checkpoints, tmp_path_factory) -> Path:
    """The run `digits` with maps, and weights at all epochs but the second."""
    folder = tmp_path_factory.mktemp("upload")
    run = open_run(shutil.copytree(digits_checkpoints / "digits", folder / "digits"))
    add_maps(run)
    for path in run.path.glob("epochs/0002/model*"):
        path.unlink()
    return folder


@pytest.fixture
def open_page(monkeypatch):
    """Open the page on a checkpoints folder, with values in the URL."""

    def open_it(checkpoints: Path, **url: str) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        return app.switch_page(PAGE).run()

    return open_it


def words(app: AppTest) -> str:
    """Everything the page says."""
    kinds = (app.markdown, app.caption, app.warning, app.info, app.error, app.code, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def charts(app: AppTest) -> dict[str, dict]:
    return {figure["layout"]["title"]["text"]: figure for figure in figures_on(app)}


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def digit(set_name: str = "test", at: int = 0) -> bytes:
    """An image of the digits data set as a PNG file."""
    return png(data.load("digits", set_name, progress=False).image(at))


def noise(side: int = 40) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return png(Image.fromarray(pixels))


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    given = [(name, content, "application/octet-stream") for name, content in files]
    return app.file_uploader[0].set_value(given).run()


def test_before_an_image_came(open_page, checkpoints):
    app = healthy(open_page(checkpoints, run="digits"))
    assert app.title[0].value == "Would the network know this image?"
    assert "up to 20 MB and 25 megapixels; at most 500 files" in words(app)
    assert "compared with 431 ID test samples" in words(app)
    assert not charts(app)


def test_torch_waits_for_an_image(checkpoints):
    program = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file('app.py', default_timeout=60).switch_page({PAGE!r}).run()\n"
        "assert app.file_uploader and not app.exception\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "NCVIZ_CHECKPOINTS": str(checkpoints), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_one_image_in_detail(open_page, checkpoints):
    app = healthy(upload(open_page(checkpoints, run="digits"), ("seven.png", digit())))
    said = words(app)
    assert "seven.png" in said
    assert "p-value" in said
    assert "detectors say unknown" in said
    assert "Agreement is a count and no probability" in said
    titles = list(charts(app))
    assert titles[0].startswith("Energy scores, cut at ")
    assert titles[1:] == ["What every detector says", "Its place on the UMAP map, interpolated"]
    for figure in charts(app).values():
        assert figure["layout"]["title"]["subtitle"]["text"] == "digits · epoch 6 · layer encoder"
    assert "Interpolated, not computed anew" in said


def test_a_training_image_is_recognised(open_page, checkpoints):
    run = open_run(checkpoints / "digits")
    samples = run.samples
    key = samples.loc[samples["set"] == "digits/train", "key"].iloc[3]
    content = png(data.open_image("digits", "train", key))
    app = healthy(upload(open_page(checkpoints, run="digits"), ("known.png", content)))
    assert words(app).count("This very image is among the samples") == 1


def test_more_neighbours_and_their_pictures(open_page, checkpoints):
    app = upload(open_page(checkpoints, run="digits"), ("seven.png", digit()))
    assert words(app).count("cosine 0.") + words(app).count("cosine 1.") == 10
    app = healthy(app.button_group(key="neighbours").set_value("20").run())
    assert words(app).count("cosine 0.") + words(app).count("cosine 1.") == 40
    assert "Not every picture is at hand" not in words(app)


def test_pictures_that_are_not_at_hand_are_said_to_be(open_page, tmp_path, shapes, monkeypatch):
    """Features outlive the images that they came from."""
    monkeypatch.setenv("NCVIZ_DATA", str(shapes))
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(tmp_path / "runs"))
    short = replace(recipe("digits"), data="shapes", epochs=1, save="1", image_size=8)
    run = train(short, "shapes", checkpoints=tmp_path / "runs", progress=False, device="cpu")
    evaluate([extract(run, ood=["specks"], progress=False, device="cpu")], progress=False)
    (image, *_) = sorted(shapes.glob("shapes/test/*/*.png"))
    content = image.read_bytes()
    shutil.rmtree(shapes)
    app = healthy(upload(open_page(tmp_path / "runs"), ("bar.png", content)))
    assert words(app).count("Not every picture is at hand") == 2
    assert "bar" in words(app)


def test_several_files_and_those_that_are_none(open_page, checkpoints):
    app = open_page(checkpoints, run="digits")
    files = [("notes.png", b"dear diary"), ("seven.png", digit()), ("noise.png", noise())]
    app = healthy(upload(app, *files))
    table = app.dataframe[0].value
    assert table["File"].tolist() == ["seven.png", "noise.png"]
    assert set(table["Verdict"]) <= {"known", "unknown"}
    assert table["Seen"].str.startswith("data:image/png;base64,").all()
    assert len(app.warning) == 1
    assert "notes.png holds no image" in app.warning[0].value.replace("\\", "")
    assert app.subheader[0].value.replace("\\", "") == "seven.png"


def test_only_files_that_are_no_images(open_page, checkpoints):
    app = healthy(upload(open_page(checkpoints, run="digits"), ("a", b""), ("b", b"text")))
    assert len(app.warning) == 2
    assert not charts(app)


def test_names_are_no_markup(open_page, checkpoints):
    name = "<img src=x onerror=alert(1)>**bold** $x$.png"
    app = healthy(upload(open_page(checkpoints, run="digits"), (name, digit())))
    assert app.subheader[0].value != name
    assert app.subheader[0].value.replace("\\", "") == name


def test_the_verdict_follows_detector_and_rule(open_page, checkpoints):
    app = upload(open_page(checkpoints, run="digits"), ("noise.png", noise()))
    before = words(app)
    app = healthy(app.selectbox(key="detector").select("vim").run())
    assert next(iter(charts(app))).startswith("ViM scores, cut at ")
    assert words(app) != before
    cut = next(iter(charts(app)))
    app = healthy(app.button_group(key="cut").set_value("OOD").run())
    assert next(iter(charts(app))) != cut
    app = healthy(app.multiselect(key="ask").select("energy").run())
    assert "of 2** detectors say unknown" in words(app)


def test_costs_are_asked_for_where_they_matter(open_page, checkpoints):
    app = upload(open_page(checkpoints, run="digits"), ("noise.png", noise()))
    assert "Cost of letting OOD in" not in [slider.label for slider in app.slider]
    app = healthy(app.button_group(key="cut").set_value("cost").run())
    before = next(iter(charts(app)))
    app = healthy(app.slider(key="ratio").set_value(10.0).run())
    assert next(iter(charts(app))) != before


def test_an_epoch_without_weights_offers_the_nearest(open_page, checkpoints):
    app = upload(open_page(checkpoints, run="digits"), ("seven.png", digit()))
    app = healthy(app.select_slider(key="epoch").set_value(2).run())
    assert "Epochs with weights: 1, 4, 6" in words(app)
    assert not charts(app)
    button = next(button for button in app.button if button.label == "Go to epoch 1")
    app = healthy(button.click().run())
    figure = next(iter(charts(app).values()))
    assert figure["layout"]["title"]["subtitle"]["text"] == "digits · epoch 1 · layer encoder"


def test_through_training(open_page, checkpoints):
    app = upload(open_page(checkpoints, run="digits"), ("seven.png", digit()))
    app = healthy(app.toggle(key="upload_training").set_value(True).run())
    figure = charts(app)["This image through training, by Energy"]
    drawn = figure["data"][0]["x"]
    assert "all 3 epochs with weights" in app.toggle(key="upload_training").label
    assert drawn["dtype"] == "f4"


def test_files_that_are_taken_away_are_forgotten(open_page, checkpoints):
    app = upload(open_page(checkpoints, run="digits"), ("a.png", digit()), ("b.png", noise()))
    kept = app.session_state["_uploads_seen"]
    assert len(kept.opened) == len(kept.results) == 2
    app = healthy(upload(app, ("c.png", noise(20))))
    assert len(kept.opened) == len(kept.results) == 1
    app = healthy(app.file_uploader[0].set_value(None).run())
    assert not charts(app)


def test_nothing_is_written(open_page, checkpoints, files_below, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = files_below(checkpoints)
    healthy(upload(open_page(checkpoints, run="digits"), ("a.png", noise()), ("b.png", b"x")))
    assert files_below(checkpoints) == before
    assert not files_below(tmp_path)


def test_more_files_than_are_looked_at(open_page, checkpoints, monkeypatch):
    monkeypatch.setattr(upload_results, "MAX_FILES", 2)
    files = [(f"{at}.png", digit(at=at)) for at in range(3)]
    app = healthy(upload(open_page(checkpoints, run="digits"), *files))
    assert app.dataframe[0].value["File"].tolist() == ["0.png", "1.png"]
    assert "python scripts/score.py digits FOLDER --csv" in words(app)


def test_a_folder(open_page, checkpoints):
    app = open_page(checkpoints, run="digits")
    app = healthy(app.toggle(key="upload_folder").set_value(True).run())
    assert app.file_uploader[0].accept_directory
    names = ("holiday/10.png", "holiday/2.png", "holiday/.DS_Store", "holiday/list.txt")
    app = healthy(upload(app, *((name, digit() if ".png" in name else b"x") for name in names)))
    assert app.dataframe[0].value["File"].tolist() == ["holiday/2.png", "holiday/10.png"]
    assert len(app.warning) == 1
    assert "list.txt holds no image" in words(app)


def test_a_hundred_files_stay_in_order(open_page, checkpoints):
    files = [(f"{at}.png", digit(at=at)) for at in range(100)]
    app = healthy(upload(open_page(checkpoints, run="digits"), *files))
    assert app.dataframe[0].value["File"].tolist() == [name for name, _ in files]


def test_a_run_without_any_weights(open_page, tmp_path):
    make_run(tmp_path, "imported")
    app = healthy(open_page(tmp_path))
    assert "No epoch of imported has weights" in words(app)
    assert not app.get("file_uploader")


def test_a_run_that_was_not_evaluated(open_page, digits_run):
    for path in digits_run.path.glob("epochs/*/results/*"):
        path.unlink()
    app = healthy(open_page(digits_run.path.parent))
    assert "python scripts/evaluate.py digits" in words(app)


def test_a_run_without_maps_says_how_to_make_them(open_page, digits_run):
    app = healthy(upload(open_page(digits_run.path.parent), ("seven.png", digit())))
    assert "python scripts/embed.py digits" in words(app)
    assert len(charts(app)) == 2


def test_damaged_weights_are_one_sentence(open_page, digits_run):
    (model,) = digits_run.path.glob("epochs/0006/model*")
    model.write_bytes(b"not what the name says")
    app = open_page(digits_run.path.parent)
    assert not app.exception
    assert len(app.error) == 1
    assert "Train the run again" in app.error[0].value.replace("\\", "")
