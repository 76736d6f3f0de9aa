"""Transfer of saved epochs: equal to probes on plain forward passes, kept while current."""

import numpy as np
import pandas as pd
import pytest
import torch

from ncviz import data
from ncviz.arrays import FeatureSet
from ncviz.errors import MissingDataError
from ncviz.evaluation import as_json, as_text
from ncviz.extraction import extract, measure_transfer
from ncviz.inference import load_network, normalise, transform_of
from ncviz.store import open_run, write
from ncviz.transfer import transfer

MEASURED = ("digits-heldout", "letters")


def measure(run, **options):
    return measure_transfer(run, device="cpu", progress=False, **options)


def plain_features(epoch, name: str, split: str) -> FeatureSet:
    images = data.load(name, split)
    transform = transform_of(epoch.run)
    pixels = torch.from_numpy(np.stack([transform(images.image(i)) for i in range(len(images))]))
    with torch.inference_mode():
        network = load_network(epoch, torch.device("cpu"))
        features = network(normalise(pixels, transform)).encoder.numpy()
    return FeatureSet(features, np.empty((len(images), 0), np.float32), images.labels)


def test_errors_are_those_of_probes_on_whole_splits(digits_run):
    assert measure(digits_run, epochs=[6]) == MEASURED
    epoch = digits_run.epoch(6)
    table = epoch.transfer().set_index(["layer", "set"])
    assert list(table.index) == [("encoder", name) for name in MEASURED]
    for name in MEASURED:
        train, test = (plain_features(epoch, name, split) for split in ("train", "test"))
        expected = transfer(train, test)
        row = table.loc[("encoder", name)]
        assert row["train_samples"] == len(train)
        assert row["test_samples"] == len(test)
        # Another batch size rounds otherwise: one sample on the edge may change sides.
        assert row["ncm_error"] == pytest.approx(expected.ncm_error, abs=1.5 / len(test))
        assert row["probe_error"] == pytest.approx(expected.probe_error, abs=1.5 / len(test))


def test_sets_without_meaningful_labels_are_left_out(digits_run):
    measure(digits_run, epochs=[6])
    assert not set(digits_run.transfer()["set"]) & {"noise", "photo-patches"}
    reason = "has no labels that say what is shown"
    assert open_run(digits_run.path).without_transfer == dict.fromkeys(
        ("photo-patches", "noise"), reason
    )


def test_every_extracted_layer_is_measured(digits_run):
    run = extract(digits_run, epochs=[6], stages=True, device="cpu", progress=False)
    measure(run, epochs=[4, 6])
    table = run.transfer()
    layers = table.groupby("epoch")["layer"].unique().map(list).to_dict()
    assert layers == {4: ["encoder"], 6: ["stage1", "stage2", "stage3", "encoder"]}
    # Stages that come later are measured by the next call.
    extract(run, epochs=[4], stages=True, device="cpu", progress=False)
    measure(run, epochs=[4])
    assert set(run.epoch(4).transfer()["layer"]) == {"stage1", "stage2", "stage3", "encoder"}


def test_current_errors_are_kept_and_those_of_other_weights_are_not(digits_run, files_below):
    measure(digits_run, epochs=[4, 6])
    before = files_below(digits_run.path)
    measure(digits_run, epochs=[4, 6])
    assert files_below(digits_run.path) == before
    weights = digits_run.epoch(4).weights()
    heads = {"encoder": digits_run.epoch(4).head()}
    write.save_network(digits_run, 6, weights, heads)
    changed = open_run(digits_run.path)
    with pytest.raises(MissingDataError, match="other weights"):
        changed.epoch(6).transfer()
    measure(changed, epochs=[6])
    errors = changed.transfer().drop(columns="epoch")
    pd.testing.assert_frame_equal(errors[:2], errors[2:].reset_index(drop=True))


def test_without_a_labelled_train_split_the_error_says_how_to_get_one(digits_run):
    run = write.update_description(digits_run, ood_sets={"noise": "far"})
    with pytest.raises(MissingDataError, match=r"--ood NAME \.\.\. --transfer"):
        measure(run)


def test_unmeasured_transfer_names_the_command(digits_run):
    with pytest.raises(MissingDataError, match=r"scripts/extract\.py digits --transfer"):
        digits_run.epoch(6).transfer()
    assert digits_run.transfer().empty


def test_summary_shows_transfer_once_it_is_measured(digits_run):
    assert "Transfer error" not in as_text(digits_run)
    measure(digits_run, epochs=[6])
    assert "Transfer error, linear probe (lower is better):" in as_text(digits_run)
    assert [row["set"] for row in as_json(digits_run)["transfer"]] == list(MEASURED)
