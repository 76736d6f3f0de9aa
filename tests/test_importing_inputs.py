"""Import of the layouts that other tools export: names, types, classes, identities."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_app
import test_importing
from test_app import healthy, words
from test_importing import DIM, write_export

from ncviz import metrics
from ncviz.errors import NcvizError
from ncviz.evaluation import as_text, evaluate
from ncviz.evaluation.maps import embed
from ncviz.importing import ReadOptions, import_features
from ncviz.importing.columns import select_columns
from ncviz.importing.identity import input_hashes, keys_as_text
from ncviz.results.geometry import measure_geometry
from ncviz.store import LOGITS, open_run
from ncviz.ui import loaders, sample_loaders
from ncviz.ui.selection import Selection, source_of

arrays, open_app = test_importing.arrays, test_app.open_app
COMPARE = "pages/8_Compare.py"


@pytest.fixture
def export(arrays, tmp_path):
    """Write the export with changed arrays of one set and import it."""

    def export(name="train", *, without=("logits",), **changed):
        source = write_export(tmp_path / "source", arrays, without=without)
        if changed:
            np.savez(source / f"{name}.npz", **changed)
        notes = []
        run = import_features(source, tmp_path / "mine", note=notes.append)
        return run, notes

    return export


def as_table(train, rename) -> pd.DataFrame:
    columns = {rename(at): train["features"][:, at] for at in range(DIM)}
    return pd.DataFrame(columns).assign(label=train["labels"])


def import_table(arrays, tmp_path, table, kind, **options):
    source = write_export(tmp_path / "source", arrays, without=("logits",))
    (source / "train.npz").unlink()
    path = source / f"train.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path, index=False)
    return import_features(source, tmp_path / "mine", options=ReadOptions(**options))


def same_features(run, train) -> None:
    found = run.epoch(1).features("train")
    np.testing.assert_allclose(found.features, train["features"], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(found.labels, train["labels"])


@pytest.mark.parametrize("name", ["label", "targets", "target", "Labels", "y"])
def test_import_reads_labels_under_usual_names(name, arrays, export):
    test = arrays["test"]
    run, notes = export("test", features=test["features"], **{name: test["labels"]})
    np.testing.assert_array_equal(run.epoch(1).features("test").labels, test["labels"])
    assert notes == []


def test_import_names_what_it_does_not_use(arrays, export):
    test = arrays["test"]
    run, notes = export("test", features=test["features"], classification=test["labels"])
    assert run.epoch(1).features("test").labels is None
    assert notes[0] == "classification: not used, in test.npz."
    assert notes[1].startswith("test.npz has no labels (it has: features, classification)")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "rename", ["feature_{:03d}", "{}", "Feature.{}", "embedding{}", "feat-{}"], ids=str
)
def test_import_reads_numbered_columns(rename, kind, arrays, tmp_path):
    table = as_table(arrays["train"], rename.format)
    same_features(import_table(arrays, tmp_path, table, kind), arrays["train"])


def test_import_reads_columns_that_count_from_one(arrays, tmp_path):
    table = as_table(arrays["train"], lambda at: f"feature_{at + 1}")
    same_features(import_table(arrays, tmp_path, table, "csv"), arrays["train"])


@pytest.mark.parametrize("prefix", ["layer4_", "layer4"])
def test_import_reads_columns_of_a_prefix(prefix, arrays, tmp_path):
    table = as_table(arrays["train"], "layer4_{}".format).assign(layer40=1.0, feature_0=2.0)
    source = write_export(tmp_path / "source", arrays, without=("logits",))
    for name in ("train", "test", "near/letters", "far/noise"):
        (source / f"{name}.npz").unlink()
        one = as_table({"labels": -1, **arrays[name]}, "layer4_{}".format)
        (table if name == "train" else one).drop(columns="layer40", errors="ignore").to_csv(
            source / f"{name}.csv", index=False
        )
    options = ReadOptions(columns=prefix)
    same_features(import_features(source, tmp_path / "mine", options=options), arrays["train"])


@pytest.mark.parametrize("fixed", [False, True])
def test_import_reads_columns_of_lists(fixed, arrays, tmp_path):
    train = arrays["train"]
    if fixed:
        flat = pa.array(train["features"].ravel())
        lists = pa.FixedSizeListArray.from_arrays(flat, DIM)
    else:
        lists = pa.array(list(train["features"]))
    source = write_export(tmp_path / "source", arrays, without=("logits",))
    (source / "train.npz").unlink()
    table = pa.table({"features": lists, "label": train["labels"]})
    pq.write_table(table, source / "train.parquet")
    same_features(import_features(source, tmp_path / "mine"), train)


def test_import_refuses_lists_of_different_lengths(arrays, tmp_path):
    lists = [list(row) for row in arrays["train"]["features"]]
    lists[4] = lists[4][1:]
    table = pd.DataFrame({"features": lists, "label": arrays["train"]["labels"]})
    with pytest.raises(NcvizError, match=r"'features' holds 5 values in row 4, but 6 in row 0"):
        import_table(arrays, tmp_path, table, "parquet")


def test_import_names_the_columns_of_a_table_it_cannot_read(arrays, tmp_path):
    table = as_table(arrays["train"], "pc_{}".format)
    with pytest.raises(NcvizError, match=r"it has: pc_0, .*label\)\. .*with --columns"):
        import_table(arrays, tmp_path, table, "csv")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["feature_0", "feature_2"], "none of number 1"),
        (["feature_2", "feature_3"], "none of number 1"),
        (["feature_1", "feature_01"], "have the same number"),
    ],
)
def test_numbered_columns_have_each_number_once(names, message):
    with pytest.raises(NcvizError, match=message):
        select_columns(names, None)


def test_import_reads_whole_numbers_as_labels(arrays, export):
    train = arrays["train"]
    run, _ = export(features=train["features"], labels=train["labels"][:, None].astype(float))
    same_features(run, train)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1e39, r"noise\.npz: features hold 1e\+39, which float32 cannot hold, in row 9, column 2"),
        (np.nan, r"noise\.npz: features hold nan, in row 9, column 2"),
        (-np.inf, r"noise\.npz: features hold -inf, in row 9, column 2"),
    ],
)
def test_import_states_row_and_column_of_values_it_refuses(
    value,
    message,
    arrays,
    tmp_path,
):
    features = arrays["far/noise"]["features"].astype(np.float64)
    features[9, 2] = value
    arrays["far/noise"] = {"features": features}
    source = write_export(tmp_path / "source", arrays, without=("logits",))
    with pytest.raises(NcvizError, match=message):
        import_features(source, tmp_path / "mine")


@pytest.mark.parametrize(
    "labels",
    [np.array(["ood"] * 15), np.array(["ood"] * 15, dtype=object), np.full(15, 0.5), np.ones(3)],
    ids=["text", "objects", "fractions", "rows"],
)
def test_import_ignores_labels_of_ood_sets_with_a_note(labels, arrays, export):
    features = arrays["far/noise"]["features"]
    run, notes = export("far/noise", features=features, labels=labels)
    assert run.epoch(1).features("noise").labels is None
    assert len(notes) == 1
    assert notes[0].startswith("Labels of noise.npz are ignored")


def bfloat16_file(path, named) -> None:
    """Write float32 arrays as bfloat16: the upper half of each number's bytes."""
    header, content = {}, b""
    for name, array in named.items():
        data = (np.ascontiguousarray(array, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
        offsets = [len(content), len(content) + len(data)]
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": offsets}
        content += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def test_import_reads_bfloat16(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    (source / "far" / "noise.npz").unlink()
    bfloat16_file(source / "far" / "noise.safetensors", arrays["far/noise"])
    found = import_features(source, tmp_path / "mine").epoch(1).features("noise")
    np.testing.assert_allclose(found.features, arrays["far/noise"]["features"], rtol=1e-2)


def test_import_refuses_types_that_numpy_lacks(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    (source / "test.npz").unlink()
    bfloat16_file(source / "test.safetensors", {"features": arrays["test"]["features"]})
    content = (source / "test.safetensors").read_bytes()
    header = content.replace(b'"BF16", "shape": [60, 6]', b'"F8_E4M3", "shape": [60, 12]')
    length = struct.pack("<Q", len(header) - len(content) + struct.unpack("<Q", content[:8])[0])
    (source / "test.safetensors").write_bytes(length + header[8:])
    with pytest.raises(NcvizError, match=r"'features' is of type F8_E4M3; export it as float16"):
        import_features(source, tmp_path / "mine")


def test_class_names_have_no_byte_order_mark_and_are_distinct(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    (source / "classes.txt").write_text("\ufeffcrane\nbee\ncrane\n", encoding="utf-8")
    run = import_features(source, tmp_path / "mine")
    assert run.classes == ("crane", "bee", "crane (2)")


def test_import_takes_class_names_from_another_file(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    (tmp_path / "names.txt").write_text("z\ny\nx\n")
    options = ReadOptions(classes=tmp_path / "names.txt")
    assert import_features(source, tmp_path / "mine", options=options).classes == ("z", "y", "x")
    missing = ReadOptions(classes=tmp_path / "none.txt")
    with pytest.raises(NcvizError, match=r"none\.txt does not exist"):
        import_features(source, tmp_path / "other", options=missing)


@pytest.mark.parametrize(
    ("order", "sorted_names"), [("natural", ("n1", "n2", "n10")), ("text", ("n1", "n10", "n2"))]
)
def test_import_sorts_labels_that_are_text(order, sorted_names, arrays, tmp_path):
    texts = np.array(["n10", "n2", "n1"])
    for name in ("train", "test"):
        arrays[name]["labels"] = texts[arrays[name]["labels"]]
    source = write_export(tmp_path / "source", arrays)
    options = ReadOptions(class_order=order)
    run = import_features(source, tmp_path / "mine", options=options)
    assert run.classes == sorted_names
    expected = [sorted_names.index(text) for text in arrays["test"]["labels"]]
    assert run.epoch(1).features("test").labels.tolist() == expected
    with pytest.raises(NcvizError, match=r"--classes FILE.*--class-order natural"):
        import_features(source, tmp_path / "other")
    (source / "classes.txt").write_text("n1\nn2\n")
    with pytest.raises(NcvizError, match=r"'n10' in row \d+, which is not among the 2 class"):
        import_features(source, tmp_path / "other")


def test_import_reports_permuted_labels(tmp_path):
    random = np.random.default_rng(0)
    weight = 4 * np.eye(10, 12, dtype=np.float32)
    labels = np.arange(400) % 10
    features = weight[labels] + 0.3 * random.normal(size=(400, 12)).astype(np.float32)
    shifted = {"features": features, "labels": (labels + 1) % 10}
    head = {"weight": weight, "bias": np.zeros(10, np.float32)}
    source = write_export(tmp_path, {"train": shifted, "test": shifted, "head": head})
    notes = []
    run = import_features(source, tmp_path / "runs" / "mine", note=notes.append)
    assert notes == list(run.findings.values())
    assert notes[0].startswith("Labels appear to be permuted")
    assert "in this order: 1, 2, 3, 4, 5, 6, 7, 8, 9, 0" in notes[0]


def test_import_reports_a_transposed_head(tmp_path):
    random = np.random.default_rng(0)
    weight = random.normal(size=(12, 12)).astype(np.float32)
    labels = np.arange(600) % 12
    features = 2 * weight[labels] + 0.1 * random.normal(size=(600, 12)).astype(np.float32)
    one = {"features": features, "labels": labels}
    head = {"weight": np.ascontiguousarray(weight.T), "bias": np.zeros(12, np.float32)}
    source = write_export(tmp_path / "source", {"train": one, "test": one, "head": head})
    run = import_features(source, tmp_path / "mine")
    assert "appears to be transposed" in run.findings["head"]
    logits = features @ weight.T
    source = write_export(source, {"train": one | {"logits": logits}})
    with pytest.raises(NcvizError, match="the weight of the head is transposed"):
        import_features(source, tmp_path / "other")


# Logits or scores alone


@pytest.fixture
def only_logits(arrays, tmp_path):
    return write_export(tmp_path / "source", arrays, without=("features", "head"))


def test_logits_alone_give_what_needs_no_features(only_logits, arrays, tmp_path):
    run = import_features(only_logits, tmp_path / "mine")
    assert run.layers == (LOGITS,)
    with pytest.warns(UserWarning, match="imported without features"):
        evaluate([run], progress=False)
    epoch = run.epoch(1)
    found = set(epoch.detection()["detector"])
    assert {"msp", "energy", "max_logit", "kl_matching"} <= found
    assert not found & {"knn", "mahalanobis", "energy_probe", "vim"}
    expected = arrays["test"]["logits"].astype(np.float32).max(axis=1)
    np.testing.assert_allclose(epoch.scores("max_logit", "test", LOGITS), expected, rtol=1e-6)
    accuracy = (arrays["test"]["logits"].argmax(1) == arrays["test"]["labels"]).mean()
    assert epoch.calibration()["accuracy"].item() == accuracy
    assert len(epoch.collapse()) == 0
    assert "imported without features" in as_text(run)
    for refused in (lambda: embed(run, progress=False), lambda: measure_geometry(epoch, LOGITS)):
        with pytest.raises(NcvizError, match="imported without features"):
            refused()


def test_a_head_without_features_is_not_used(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays, without=("features",))
    notes = []
    run = import_features(source, tmp_path / "mine", note=notes.append)
    assert notes == ["head.npz is not used: it takes features, and there are only logits."]
    assert not run.epoch(1).has_head(LOGITS)


def test_scores_alone_are_refused_with_what_to_do(arrays, tmp_path):
    source = write_export(tmp_path / "source", arrays)
    np.savez(source / "test.npz", scores=np.ones(60))
    with pytest.raises(NcvizError, match=r"has scores but neither .*detection_metrics\(id_scores"):
        import_features(source, tmp_path / "mine")


# Keys and hashes


def test_keys_are_unique_texts():
    assert keys_as_text(np.array([3, 1]), 2) == ["3", "1"]
    assert keys_as_text(np.array(["a/b.png", "c"]), 2) == ["a/b.png", "c"]
    for keys, message in (
        (np.array(["a", "b", "a"]), "rows 0 and 2 have the same key 'a'"),
        (np.array(["a", "", "b"]), "row 1 is empty"),
        (np.array([0.5, 1.0, 2.0]), "expected text or integers"),
        (np.array(["a", "b"]), r"expected \(3,\)"),
    ):
        with pytest.raises(NcvizError, match=message):
            keys_as_text(keys, 3)


def test_hashes_of_inputs_follow_their_values():
    random = np.random.default_rng(0)
    inputs = random.integers(0, 255, (5, 3, 4, 4)).astype(np.uint8)
    hashes = input_hashes(inputs, 5)
    assert len(set(hashes)) == 5
    assert input_hashes(inputs.astype(np.int32), 5) == hashes
    assert input_hashes(inputs[::-1], 5) == hashes[::-1]
    inputs[2, 0, 0, 0] += 1
    changed = input_hashes(inputs, 5)
    assert [at for at in range(5) if changed[at] != hashes[at]] == [2]
    with pytest.raises(NcvizError, match=r"expected \(4, \.\.\.\)"):
        input_hashes(inputs, 4)


# Identity of samples in the run, and what is compared by it


@pytest.fixture
def compared(arrays, tmp_path, open_app):
    """Import two exports as runs of one data set, evaluate them and open the Compare page."""

    def compared(change, keys=True):
        for name in ("first", "second"):
            sets = {each: dict(one) for each, one in arrays.items()}
            for each, one in sets.items():
                if keys and each != "head":
                    one["keys"] = np.array([f"{each}/{at}" for at in range(len(one["features"]))])
            if name == "second":
                change(sets)
            source = write_export(tmp_path / "sources" / name, sets, without=("logits",))
            run = import_features(source, tmp_path / "runs" / name, id_set="pets")
            evaluate([run], progress=False)
        app = open_app(tmp_path / "runs", COMPARE, run="first", other_run="second", detector="MSP")
        return healthy(app)

    return compared


def rolled(name):
    def change(sets):
        sets[name]["features"] = np.roll(sets[name]["features"], 3, axis=0)

    return change


def table_of(app):
    return next(each.value for each in app.dataframe if "OOD set" in each.value)


def test_runs_without_identity_are_compared_unpaired_and_the_page_says_so(compared):
    app = compared(rolled("test"), keys=False)
    assert "samples without identity: unpaired tests" in words(app).replace("\\", "")
    assert "array keys or inputs" in words(app).replace("`", "")
    table = table_of(app).set_index("OOD set")
    assert table.loc["letters", "Samples"] == "60 + 15 unpaired"
    first, second = (
        open_run(Path(os.environ["NCVIZ_CHECKPOINTS"]) / name).epoch(1)
        for name in ("first", "second")
    )
    scores = [
        each.distribution("msp", name) for each in (first, second) for name in ("test", "letters")
    ]
    assert table.loc["letters", "p"] == pytest.approx(metrics.unpaired(*scores).p_value)
    assert "McNemar" not in words(app).replace("\\", "")


def test_runs_with_equal_keys_are_compared_paired(compared):
    def other_network(sets):
        for name, one in sets.items():
            if name != "head":
                one["features"] = one["features"] + np.float32(0.5) * (np.arange(DIM) == 1)

    app = compared(other_network)
    assert "the same samples in the ID test set and 2 of 2 shared OOD sets" in words(app)
    assert set(table_of(app)["Samples"]) >= {"60 + 15 paired"}
    assert "McNemar's exact test on the 60 test samples" in words(app).replace("\\", "")


def test_each_ood_set_is_paired_by_its_own_identity(compared):
    def other_letters(sets):
        keys = sets["near/letters"]["keys"]
        sets["near/letters"]["keys"] = np.array([f"other/{key}" for key in keys])

    app = compared(other_letters)
    samples = table_of(app).set_index("OOD set")["Samples"]
    assert samples["letters"] == "60 + 15 unpaired"
    assert samples["noise"] == "60 + 15 paired"
    assert "the same samples in the ID test set and 1 of 2" in words(app).replace("\\", "")


def test_samples_are_paired_by_their_keys_in_any_order(compared):
    def shuffled(sets):
        order = np.random.default_rng(0).permutation(60)
        sets["test"] = {name: array[order] for name, array in sets["test"].items()}

    app = compared(shuffled)
    table = table_of(app).set_index("OOD set")
    assert table.loc["letters", "Samples"] == "60 + 15 paired"
    assert table.loc["letters", "A − B"] == pytest.approx(0, abs=1e-6)
    assert table.loc["letters", "p"] == 1


@pytest.mark.parametrize("kind", ["keys", "inputs", ""])
def test_run_records_the_identity_of_its_samples(kind, arrays, tmp_path):
    given = {
        "keys": lambda n: {"key": np.arange(n) + 100},
        "inputs": lambda n: {"inputs": np.random.default_rng(n).random((n, 2, 4))},
        "": lambda n: {},
    }[kind]
    for name, one in arrays.items():
        if name != "head":
            one |= given(len(one["features"]))
    run = import_features(write_export(tmp_path / "source", arrays), tmp_path / "mine")
    info = run.sets["letters/test"]
    assert (info.samples, info.identity) == (15, kind)
    keys = run.samples.set_index("set").loc["letters/test", "key"].tolist()
    assert len(set(keys)) == (15 if kind else 1)
    if kind == "keys":
        assert keys[:2] == ["100", "101"]
    shown = sample_loaders.samples(run)
    assert (shown["key"] != "").all() == (kind == "keys")


def test_selection_applies_only_to_runs_with_the_same_samples(arrays, tmp_path):
    runs = []
    for name, keys in (("a", True), ("b", True), ("c", False), ("d", False)):
        sets = {each: dict(one) for each, one in arrays.items()}
        if keys:
            sets["near/letters"]["keys"] = np.arange(15)
        source = write_export(tmp_path / "sources" / name, sets)
        runs.append(import_features(source, tmp_path / "runs" / name, id_set="pets"))
    loaders.look_again()
    for run, found in zip(runs, ([2, 4], [2, 4], [], []), strict=True):
        sources = {"letters/test": source_of(runs[0], "letters/test")}
        assert (
            Selection({"letters/test": (2, 4)}, "", sources).rows(run, "letters/test").tolist()
            == found
        )
