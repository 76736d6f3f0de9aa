"""Features of a network trained elsewhere: every format, every page, every mistake."""

from __future__ import annotations

import json
import os
import pickle
import re
import runpy
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import add_maps, make_run
from safetensors.numpy import save_file
from scipy.special import logsumexp
from test_app import (  # noqa: F401 - a fixture
    COLLAPSE,
    LEADERBOARD,
    PAGES,
    SCORES,
    healthy,
    open_app,
    words,
)

from ncviz.arrays import ClassStatistics
from ncviz.caching import halve
from ncviz.errors import CorruptFileError, InvalidArrayError, NcvizError
from ncviz.evaluation import as_text, evaluate, side_by_side
from ncviz.extraction import extract
from ncviz.importing import formats, import_features
from ncviz.importing.formats import FORMATS
from ncviz.metrics import detection_metrics
from ncviz.store import open_run
from ncviz.transfer import fit_head

ROOT = Path(__file__).resolve().parents[1]
CLASSES, DIM, PER_CLASS = 3, 6, 20


@pytest.fixture
def arrays() -> dict[str, dict[str, np.ndarray]]:
    """An export: sets and head, by the path they get without its ending."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(CLASSES, DIM)).astype(np.float32)
    bias = random.normal(size=CLASSES).astype(np.float32)
    found = {"head": {"weight": weight, "bias": bias}}
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    for name in ("train", "test"):
        features = (3 * weight[labels] + random.normal(size=(len(labels), DIM))).astype(np.float32)
        found[name] = {"features": features, "labels": labels}
    for name in ("near/letters", "far/noise"):
        found[name] = {"features": random.normal(size=(15, DIM)).astype(np.float32)}
    for name, one in found.items():
        if name != "head":
            one["logits"] = one["features"] @ weight.T + bias
    return found


def write_export(folder: Path, arrays, kind: str = "npz", *, without=()) -> Path:
    for name, one in arrays.items():
        one = {key: value for key, value in one.items() if key not in without}
        if name not in without:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _write(folder / name, one, kind)
    return folder


def _write(path: Path, arrays, kind: str) -> None:
    if kind == "npz":
        np.savez_compressed(f"{path}.npz", **arrays)
    elif kind == "npy":
        for name, array in arrays.items():
            np.save(f"{path}.{name}.npy", array)
    elif kind == "safetensors":
        save_file(arrays, f"{path}.safetensors")
    else:
        table = _table(arrays)
        if kind == "csv":
            # Digits of a double give back the very float32 that it came from.
            table.astype({c: float for c in table if c != "label"}).to_csv(
                f"{path}.csv", index=False
            )
        else:
            table.to_parquet(f"{path}.parquet", index=False)


def _table(arrays) -> pd.DataFrame:
    singular = {"features": "feature", "logits": "logit", "labels": "label"}
    columns = {}
    for name, array in arrays.items():
        stem = singular.get(name, name)
        if array.ndim == 1:
            columns[stem] = array
        else:
            columns |= {f"{stem}_{at}": array[:, at] for at in range(array.shape[1])}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "npz"])
def test_every_format_gives_the_same_run(kind, arrays, tmp_path, files_below):
    runs = []
    for name in ("npz", kind):
        source = write_export(tmp_path / f"{name}-source", arrays, name)
        runs.append(import_features(source, tmp_path / name / "mine"))
    first, other = (files_below(run.path) for run in runs)
    assert first.keys() == other.keys()
    assert [name for name in first if first[name] != other[name]] in ([], ["run.json"])
    # When it was imported, which is sealed too.
    seals = [{**run.description["seal"], "imported": ""} for run in runs]
    assert seals[0] == seals[1]
    strip = [{**run.description, "imported": "", "seal": ""} for run in runs]
    assert strip[0] == strip[1]


def test_the_run_holds_what_was_exported(arrays, tmp_path):
    run = import_features(write_export(tmp_path / "source", arrays), tmp_path / "mine", epoch=90)
    assert (run.epochs, run.layers, run.classes) == ((90,), ("encoder",), ("0", "1", "2"))
    assert run.ood_sets == {"letters": "near", "noise": "far"}
    epoch, train = run.epoch(90), arrays["train"]
    found = epoch.features("train")
    np.testing.assert_allclose(found.features, train["features"], rtol=1e-3)
    np.testing.assert_allclose(found.logits, train["logits"], rtol=1e-2, atol=1e-2)
    np.testing.assert_array_equal(found.labels, train["labels"])
    assert epoch.features("noise").labels is None
    expected = ClassStatistics.of(train["features"], train["labels"], CLASSES)
    np.testing.assert_allclose(epoch.statistics().means, expected.means, rtol=1e-12)
    np.testing.assert_allclose(epoch.statistics().scatter, expected.scatter, rtol=1e-12)
    np.testing.assert_array_equal(epoch.head().weight, arrays["head"]["weight"])
    assert str(tmp_path) not in (run.path / "run.json").read_text()


def test_import_keeps_every_sample(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    run = import_features(source, tmp_path / "mine")
    epoch = run.epoch(1)
    for name, one in arrays.items():
        if name != "head":
            found = epoch.features(name.rpartition("/")[2])
            np.testing.assert_allclose(found.features, one["features"], rtol=1e-3, atol=1e-3)
    assert epoch.statistics().samples == CLASSES * PER_CLASS
    rows = run.samples[run.samples["set"] == "letters/test"]
    assert rows["index"].tolist() == list(range(15))
    assert (rows["label"] == -1).all()


def test_the_head_makes_logits_where_there_are_none(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays, without=["logits"])
    found = import_features(source, tmp_path / "mine").epoch(1).features("noise")
    np.testing.assert_allclose(found.logits, arrays["far/noise"]["logits"], rtol=1e-2, atol=1e-2)


def test_without_a_head_logits_are_kept_and_a_probe_stands_in(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays, without=["head"])
    run = import_features(source, tmp_path / "mine")
    epoch = run.epoch(1)
    assert not epoch.has_head("encoder")
    np.testing.assert_array_equal(epoch.features("noise").logits, arrays["far/noise"]["logits"])
    expected = fit_head(epoch.features("train"), CLASSES)
    np.testing.assert_allclose(epoch.probe().weight, expected.weight, atol=0.02)
    evaluate([run], progress=False)
    found = set(epoch.detection()["detector"])
    assert {"energy_probe", "energy", "msp", "temperature_scaling", "knn"} <= found
    assert not {"vim", "react", "fdbd"} & found  # they ask for the head itself
    expected = detection_metrics(
        *(logsumexp(arrays[name]["logits"], axis=1) for name in ("test", "far/noise"))
    )
    row = epoch.detection().set_index(["detector", "set"]).loc[("energy", "noise")]
    assert row["auroc"] == pytest.approx(expected.auroc)
    accuracy = (arrays["test"]["logits"].argmax(1) == arrays["test"]["labels"]).mean()
    assert epoch.calibration()["accuracy"].item() == accuracy


@pytest.mark.parametrize("without", [(), ("head",), ("labels of test",)], ids=str)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(page, without, arrays, tmp_path, open_app):  # noqa: F811
    source = tmp_path / "source"
    if "labels of test" in without:
        del arrays["test"]["labels"]
    for number in ("0001", "0090"):
        write_export(source / number, arrays, without=without)
    (source / "classes.txt").write_text("cat\ndog\nfox\n")
    run = import_features(source, tmp_path / "runs" / "mine", id_set="pets")
    assert (run.epochs, run.classes) == ((1, 90), ("cat", "dog", "fox"))
    evaluate([run], progress=False)
    add_maps(open_run(run.path))
    healthy(open_app(tmp_path / "runs", page))


def test_there_is_no_network_to_extract_from(arrays, tmp_path):
    run = import_features(write_export(tmp_path / "source", arrays), tmp_path / "mine")
    with pytest.raises(NcvizError, match=r"imported as features.*adopt\.py"):
        extract(run, ood=[], progress=False)


def test_the_script_says_what_comes_next(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    command = [sys.executable, "scripts/import_features.py", str(source), "--run", "mine"]
    options = {"cwd": ROOT, "capture_output": True, "text": True, "check": False}
    env = {**os.environ, "NCVIZ_CHECKPOINTS": str(tmp_path / "runs")}
    done = subprocess.run(command, env=env, **options)
    assert done.returncode == 0, done.stderr
    assert "Next: python scripts/evaluate.py mine" in done.stdout
    again = subprocess.run(command, env=env, **options)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert "exists already" in again.stderr
    assert again.stderr.count("\n") == 1


def test_the_export_of_the_documentation(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "bring-your-own.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = (block for block in blocks if block.startswith("# export.py"))
    (tmp_path / "export.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("export.py")
    for script in ("import_features", "evaluate"):
        line = re.search(rf"^python scripts/({script}\.py .*)$", text, re.MULTILINE)[1]
        script, *options = line.split()
        command = [sys.executable, ROOT / "scripts" / script, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine, epoch 1 of 1, statistics of 300 training samples")
    run = open_run(tmp_path / "checkpoints" / "mine")
    assert run.classes == ("ant", "bee", "cat")
    assert {"energy", "vim"} <= set(run.detection()["detector"])


def change(name, key, how):
    def apply(arrays, source):
        arrays[name][key] = how(arrays[name][key])

    return apply


def remove(name, key):
    return lambda arrays, source: arrays[name].pop(key)


def after(path, how):
    """A change of the files that were written."""

    def apply(arrays, source):
        write_export(source, arrays)
        how(source / path)
        arrays.clear()

    return apply


def with_nan(array):
    return np.where(np.arange(array.size).reshape(array.shape) == 7, np.nan, array)


MISTAKES = {
    "no train": (lambda arrays, source: arrays.pop("train"), r"has no train\.EXT .* test\.npz"),
    "no features": (remove("near/letters", "features"), r"letters\.npz has no array 'features'"),
    "no labels": (remove("train", "labels"), r"train\.npz has no array 'labels'"),
    "no bias": (remove("head", "bias"), r"head\.npz has no array 'bias'"),
    "flat": (change("test", "features", np.ravel), r"test\.npz: features have shape \(360,\)"),
    "no rows": (change("far/noise", "features", lambda a: a[:0]), r"noise\.npz: features have"),
    "nan": (
        change("train", "features", with_nan),
        r"train\.npz: features hold nan, in row 1, col",
    ),
    "rows": (change("test", "logits", lambda a: a[1:]), r"test\.npz: logits have shape \(59, 3\)"),
    "out of range": (
        change("train", "labels", lambda a: a + 1),
        r"train\.npz: labels hold 3 in row 40",
    ),
    "class absent": (change("train", "labels", lambda a: a % 2), r"no sample of 1 of the 3 .* 2"),
    "fractions": (
        change("train", "labels", lambda a: a + 0.5),
        r"train\.npz: labels hold 0\.5 in row 0;",
    ),
    "text": (change("test", "labels", lambda a: a.astype(str)), r"test\.npz: 'labels' holds text"),
    "objects": (change("test", "labels", lambda a: a.astype(object)), r"pickled Python objects"),
    "width": (
        change("far/noise", "features", lambda a: a[:, 1:]),
        r"noise\.npz has 5 features .*train\.npz has 6",
    ),
    "classes": (
        change("far/noise", "logits", lambda a: a[:, 1:]),
        r"noise\.npz has logits of 2 classes, but the head has 3",
    ),
    "head transposed": (change("head", "weight", np.transpose), r"head\.npz: Head bias has shape"),
    "disagreement": (change("head", "bias", lambda a: a + 1), r"train\.npz: logits differ by up"),
    "empty": (after("test.npz", lambda p: p.write_bytes(b"")), r"test\.npz cannot be read \(it is"),
    "truncated": (
        after("test.npz", lambda p: p.write_bytes(p.read_bytes()[:200])),
        r"test\.npz cannot be read",
    ),
    "format": (
        after("test.npz", lambda p: p.rename(p.with_suffix(".pt"))),
        r"Unknown format 'test\.pt'.*npz",
    ),
    "twice": (
        after("test.csv", lambda p: p.write_text("feature_0,label\n1,0\n")),
        r"'test' in two formats",
    ),
    "unnamed": (
        after("train.npy", lambda p: np.save(p, np.ones(3))),
        r"train\.npy does not say what it holds",
    ),
    "names": (after("classes.txt", lambda p: p.write_text("a\nb\n")), r"names 2 classes, .* 3"),
    "two at once": (after("near/noise.csv", lambda p: p.write_text("feature_0\n1\n")), r"'noise'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(mistake, arrays, tmp_path):
    apply, message = MISTAKES[mistake]
    source = tmp_path / "source"
    source.mkdir()
    apply(arrays, source)
    write_export(source, arrays)
    with pytest.raises(NcvizError, match=message) as caught:
        import_features(source, tmp_path / "runs" / "mine")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "runs").iterdir()) == []


def test_neither_head_nor_logits(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays, without=["head", "logits"])
    with pytest.raises(NcvizError, match=r"train\.npz has no logits, and there is no head"):
        import_features(source, tmp_path / "mine")


def test_one_class_is_no_classifier(arrays, tmp_path):
    arrays["head"] = {"weight": np.ones((1, DIM)), "bias": np.ones(1)}
    source = write_export(tmp_path / "source", arrays, without=["logits"])
    with pytest.raises(NcvizError, match="has one class"):
        import_features(source, tmp_path / "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("feature_0,feature_1,label\n1,a,0\n", "column 'feature_1' holds 'a'"),
        ("feature_0,feature_2,label\n1,2,0\n", "none of number 1"),
        ("feature_0,feature_1,label\n1,,0\n2,3,1\n", "column 'feature_1' has 1 empty"),
        ("a,b\n1,2\n", "no array 'features'"),
        ("feature_0,label\n1,0,7\n", "cannot be read"),
    ],
)
def test_tables_that_do_not_fit(text, message, arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays, "csv")
    (source / "test.csv").write_text(text)
    with pytest.raises(NcvizError, match=message):
        import_features(source, tmp_path / "mine")


def test_a_header_that_claims_more_than_there_is_takes_no_memory(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays, "npy")
    path = source / "test.features.npy"
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(NcvizError, match="longer than the file"):
        import_features(source, tmp_path / "mine")


def test_epochs_must_show_the_same_samples(arrays, tmp_path):
    write_export(tmp_path / "source" / "1", arrays)
    arrays["test"]["labels"] = arrays["test"]["labels"][::-1].copy()
    write_export(tmp_path / "source" / "2", arrays)
    with pytest.raises(NcvizError, match="other samples or labels"):
        import_features(tmp_path / "source", tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_imports_of_unknown_data_are_not_taken_for_the_same(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    names = [import_features(source, tmp_path / name).id_set for name in ("mine", "theirs")]
    assert names == ["mine", "theirs"]
    assert import_features(source, tmp_path / "ours", id_set="pets").id_set == "pets"


def test_a_missing_source_and_bad_names(arrays, tmp_path):
    with pytest.raises(NcvizError, match="is not a folder"):
        import_features(tmp_path / "none", tmp_path / "mine")
    source = write_export(tmp_path / "source", arrays)
    for name in ("a/b", "noise"):
        with pytest.raises(NcvizError, match="cannot be the name"):
            import_features(source, tmp_path / "mine", id_set=name)


@pytest.mark.parametrize(
    ("scale", "kind"),
    [(1e-9, np.float32), (1e-2, np.float32), (1, np.float16), (6e4, np.float16), (1e5, np.float32)],
)
def test_features_are_halved_where_that_keeps_their_digits(scale, kind):
    features = np.float32(scale) * np.array([[1, -0.5], [1e-3, 0]], np.float32)
    kept = halve(features)
    assert kept.dtype == kind
    np.testing.assert_allclose(kept.astype(np.float32), features, rtol=1e-3)


def test_a_set_in_a_folder_of_another_name_is_not_overlooked(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    (source / "code").mkdir()
    (source / "code" / "export.py").write_text("")
    import_features(source, tmp_path / "mine")
    (source / "near").rename(source / "Near-OOD")
    with pytest.raises(NcvizError, match=r"letters\.npz is in a folder that says nothing"):
        import_features(source, tmp_path / "other")


def test_archives_that_unfold_are_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MEMORY_LIMIT", 10**6)
    values = np.zeros((10**6, 1))
    np.savez_compressed(tmp_path / "a.npz", features=values)
    pd.DataFrame({"feature_0": values[:, 0]}).to_parquet(tmp_path / "a.parquet")
    for path in (tmp_path / "a.npz", tmp_path / "a.parquet"):
        assert path.stat().st_size < 10**5
        with pytest.raises(InvalidArrayError, match=r"unpacks to 0\.0 GiB; at most 0"):
            formats.read_contents({"": path})


def safetensors(shape: list[int], offsets: list[int]) -> bytes:
    header = {"features": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(40)


@pytest.mark.parametrize(
    "content",
    [
        safetensors([10**6, 10**6], [0, 40]),
        safetensors([5, 2], [0, 10**12]),
        safetensors([5, 2], [-40, 0]),
        safetensors([5, 2], [0, 40])[:-10],
        struct.pack("<Q", 2**60) + b"{}",
    ],
    ids=["shape", "offsets", "negative", "truncated", "header"],
)
def test_safetensors_that_lie(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(CorruptFileError, match="cannot be read"):
        formats.read_contents({"": tmp_path / "a.safetensors"})


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(tmp_path):
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(tmp_path / "a.npz", features=trap)
    np.save(tmp_path / "a.npy", trap)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("a.npz", "a.npy"):
        found = formats.read_contents({"": tmp_path / name})
        assert not found.arrays
        assert "never loaded" in found.unreadable["features"]
    with pytest.raises(NcvizError, match="cannot be read"):
        formats.read_contents({"": tmp_path / "b.npz"})
    assert not (tmp_path / "sprung").exists()


# What is said of a run without a network


@pytest.fixture
def imported(arrays, tmp_path):
    """A checkpoints folder with imports: evaluated with a head and without, and not evaluated."""
    for name, without in (("headed", ()), ("headless", ("head",)), ("fresh", ())):
        source = write_export(tmp_path / "sources" / name, arrays, without=without)
        run = import_features(source, tmp_path / "runs" / name)
        if name != "fresh":
            evaluate([run], progress=False)
    return tmp_path / "runs"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("run", ["headed", "headless", "fresh"])
def test_no_page_asks_for_what_takes_a_network(imported, page, run, open_app):  # noqa: F811
    said = words(healthy(open_app(imported, page, run=run)))
    assert "scripts/extract.py h" not in said
    assert "scripts/extract.py fresh" not in said


def test_the_overview_says_what_an_import_is(imported, arrays, open_app):  # noqa: F811
    app = healthy(open_app(imported, run="headed"))
    said = words(app)
    assert "**Network** trained elsewhere" in said
    assert "python scripts/evaluate.py fresh" in said
    test = arrays["test"]
    accuracy = (test["logits"].argmax(axis=1) == test["labels"]).mean()
    (card,) = [each for each in app.metric if each.label == "Test accuracy"]
    assert card.value == f"{100 * accuracy:.1f}%"


@pytest.mark.parametrize("page", [COLLAPSE, SCORES, LEADERBOARD])
def test_pages_say_that_a_head_is_missing(imported, page, open_app):  # noqa: F811
    remark = "imported without a head"
    assert remark in words(open_app(imported, page, run="headless"))
    assert remark not in words(open_app(imported, page, run="headed"))


def test_a_layer_before_the_head_was_not_imported(tmp_path, open_app):  # noqa: F811
    make_run(tmp_path, "both", layers=("encoder", "projector"), heads=("projector",))
    said = words(healthy(open_app(tmp_path, SCORES, run="both", layer="encoder")))
    assert "layer encoder" in said
    assert "imported" not in said


def test_what_is_printed_says_it_too(imported):
    headed, headless = (open_run(imported / name) for name in ("headed", "headless"))
    assert "Imported without a head" in as_text(headless)
    assert "Imported without a head" not in as_text(headed)
    assert "statistics of 60 training samples" in as_text(headed)
    line = side_by_side([headed]).splitlines()[2].split()
    accuracy = headed.epoch(1).calibration()["accuracy"].item()
    assert float(line[3]) == pytest.approx(1 - accuracy, abs=1e-4)


def test_a_damaged_import_is_imported_again(imported):
    run = open_run(imported / "fresh")
    next(run.path.glob("epochs/*/statistics*")).write_bytes(b"")
    with pytest.raises(CorruptFileError, match=r"import again: .*import_features\.py SOURCE"):
        run.epoch(1).statistics()
