"""Seed groups: which runs form one, and statistics of their results against slow calculations."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import make_run
from scipy.stats import t as student

from ncviz import metrics
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.evaluation import evaluate
from ncviz.importing import import_features
from ncviz.seed_groups import Results, SeedGroup, group_of, group_runs, nearest_epoch, summarise
from ncviz.store import Run, marks, open_run, seed_fields, write

DETECTORS = ("msp", "energy", "mahalanobis", "knn")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    """A group of three seeds with different epochs and OOD sets, and a run of no group."""
    folder = tmp_path_factory.mktemp("seeds")
    more = {"letters": "near", "noise": "far", "birds": "near"}
    made = [
        make_run(folder, "cats", epochs=(4, 9), ood_sets=more, results=False, seed=0),
        make_run(folder, "cats-seed1", epochs=(9,), results=False, seed=1),
        make_run(folder, "cats-seed2", epochs=(9,), results=False, seed=2),
        make_run(folder, "dogs", epochs=(9,), results=False),
    ]
    evaluate(made[:3], names=DETECTORS, progress=False)
    for at, run in enumerate(made[:3]):
        rows = [
            {
                "layer": "encoder",
                "set": name,
                "probe_error": 0.1 * (at + 1),
                "ncm_error": 0.2,
                "train_samples": 50,
                "test_samples": 20,
            }
            for name in ("letters", "birds")[: 2 - (at == 2)]
        ]
        write.save_transfer(run.epoch(9), pd.DataFrame(rows), marks.of_transfer())
    return {run.name: open_run(run.path) for run in made}


@pytest.fixture(scope="module")
def group(runs) -> SeedGroup:
    return group_runs(runs.values())[0]


def described(tmp_path: Path, name: str, **changes) -> Run:
    """A run without results whose description has the `changes`."""
    run = make_run(tmp_path, name, epochs=(1,), features=False, seed=changes.pop("seed", 0))
    return write.update_description(run, **changes)


def test_runs_that_differ_in_seed_and_save_form_a_group(tmp_path):
    first = described(tmp_path, "a-seed0", seed=0)
    second = described(tmp_path, "a-seed7", seed=7)
    recipe = {**second.recipe, "save": "60"}
    second = write.update_description(second, recipe=recipe)
    (group,) = group_runs([second, first])
    assert [run.name for run in group.runs] == ["a-seed0", "a-seed7"]
    assert [run.recipe["seed"] for run in group.runs] == [0, 7]
    assert group.name == "a"
    assert group_of(first, [group]) is group


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": {"name": "made", "model": {"backbone": "resnet34", "width": 8}, "seed": 1}},
        {"data": {"made/train": "a", "made/test": "c"}},
        {"data": {}},
        {"classes": ["cat", "dog", "hen", "fox"]},
        {"id_set": "other", "data": {"other/train": "a", "other/test": "b"}},
        {"transform": {"size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}},
        {"recipe": {"name": "made", "model": {"backbone": "resnet18", "width": 8}}},
        {"recipe": {"name": "made", "model": {"backbone": "resnet18", "width": 8}, "seed": True}},
        {
            "sets": {
                "made/test": {
                    **{"samples": 9, "available": 9, "identity": "keys", "digest": "d"},
                    "labels": "l",
                }
            }
        },
    ],
    ids=lambda changes: "-".join(changes),
)
def test_runs_that_differ_in_anything_else_form_no_group(tmp_path, changes):
    first = described(tmp_path, "first", seed=0)
    second = described(tmp_path, "second", seed=1)
    assert group_runs([first, second])
    assert not group_runs([first, write.update_description(second, **changes)])


def test_data_of_ood_sets_may_differ(tmp_path):
    first = described(tmp_path, "first", seed=0)
    data = {**first.description["data"], "letters/test": "x"}
    second = described(tmp_path, "second", seed=1, data=data)
    assert len(group_runs([first, second])) == 1


def test_a_repeated_seed_is_no_further_observation(tmp_path):
    made = [described(tmp_path, name, seed=seed) for name, seed in (("a", 0), ("b", 1), ("c", 1))]
    (group,) = group_runs(made)
    assert [run.name for run in group.runs] == ["a", "b"]
    assert [run.name for run in group.repeated] == ["c"]
    assert made[2] in group
    assert not group_runs(made[1:])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("digits", "digits-seed1", "digits-seed2"), "digits"),
        (("digits-seed1", "digits-seed2"), "digits"),
        (("digits-seed1", "digits-seed12"), "digits"),
        (("resnet18-a", "resnet18-b"), "resnet18"),
        (("linseed-a", "linseed-b"), "linseed"),
        (("seed1", "seed2"), "made"),
        (("cats", "dogs"), "made"),
    ],
)
def test_group_names(names, expected):
    made = tuple(Run(Path(name), {"recipe": {"name": "made", "seed": 1}}) for name in names)
    assert SeedGroup(made).name == expected


def test_results_are_compared_at_the_last_epoch_that_all_runs_share(group):
    assert summarise(group).epoch == 9
    assert summarise(group, 1).epoch == 9


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 9), (1, 2), (3, 4), (5, 4), (7, 9), (90, 9)]
)
def test_nearest_epoch_prefers_the_later_of_two(asked, expected):
    def results(*epochs: int) -> Results:
        table = pd.DataFrame({"epoch": list(epochs)})
        return Results(None, table, pd.DataFrame({"epoch": []}), *([table] * 2))

    both = [results(1, 2, 4, 6, 9), results(2, 3, 4, 9)]
    if asked == 7:
        both = [results(5, 9), results(5, 9)]
    assert nearest_epoch(both, asked) == expected
    assert nearest_epoch([results(1), results(2)]) is None


def test_means_are_over_the_ood_sets_that_all_runs_share(group, runs):
    found = summarise(group)
    assert found.ood_sets == {"letters": "near", "noise": "far"}
    for name in ("cats", "cats-seed1"):
        table = runs[name].epoch(9).detection()
        own = table[(table["detector"] == "energy") & (table["set"] != "birds")]
        values = found.select("detection", "fpr95", layer="encoder", detector="energy", group="all")
        value = values.loc[values["run"] == name, "value"].item()
        assert value == pytest.approx(statistics.fmean(own["fpr95"]))


def test_sets_of_other_samples_are_not_shared(group):
    def with_sets(run: Run, digest: str) -> Run:
        one = {"samples": 9, "available": 9, "identity": "keys", "digest": digest, "labels": "l"}
        return Run(run.path, {**run.description, "sets": {"noise/test": one}})

    altered = SeedGroup(tuple(with_sets(run, run.name[:1]) for run in group.runs))
    assert "noise" in summarise(altered).ood_sets
    altered = SeedGroup(tuple(with_sets(run, run.name) for run in group.runs))
    assert set(summarise(altered).ood_sets) == {"letters"}


def test_statistics_equal_a_slow_calculation(group):
    found = summarise(group)
    assert set(found.table["kind"]) == {"accuracy", "collapse", "detection", "transfer"}
    for row in found.table.to_dict("records"):
        values = [
            value["value"]
            for value in found.values.to_dict("records")
            if all(value[name] == row[name] for name in found.table.columns[:6])
            and math.isfinite(value["value"])
        ]
        assert row["n"] == len(values)
        assert row["mean"] == pytest.approx(statistics.fmean(values))
        expected = statistics.stdev(values) if len(values) > 1 else math.nan
        assert row["std"] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_statistics_agree_with_pandas_on_the_tables_of_the_runs(group, runs):
    found = summarise(group)
    tables = [run.detection().assign(run=name) for name, run in runs.items() if name != "dogs"]
    table = pd.concat(tables)
    table = table[(table["epoch"] == 9) & (table["set"] != "birds")]
    expected = table.groupby(["layer", "detector", "set"])["auroc"].agg(["mean", "std", "count"])
    own = found.table[(found.table["metric"] == "auroc") & (found.table["set"] != "")]
    own = own.set_index(["layer", "detector", "set"])
    assert len(own) == len(expected)
    for ours, theirs in (("mean", "mean"), ("std", "std"), ("n", "count")):
        aligned = own[ours].reindex(expected.index)
        np.testing.assert_allclose(aligned, expected[theirs], rtol=1e-12, atol=1e-15)


def test_transfer_is_averaged_over_the_sets_that_all_measured(group):
    found = summarise(group)
    assert found.transfer_sets == ("letters",)
    spread = found.spread("transfer", "probe_error", layer="encoder", group="all")
    assert spread == pytest.approx((0.2, 0.1, 3))


def test_accuracy_is_that_of_the_compared_epoch(group):
    spread = summarise(group).spread("accuracy", "accuracy")
    assert spread.n == 3
    assert spread.mean == pytest.approx(0.9 - 0.5 / 9)
    assert spread.std == pytest.approx(0, abs=1e-12)


def test_ranks_over_seeds_equal_sorting_each_run(group):
    found = summarise(group)
    ranks = found.detector_ranks("fpr95", "encoder", DETECTORS, group="all")
    for run in group.runs:
        table = run.epoch(9).detection()
        table = table[table["set"].isin(["letters", "noise"])]
        means = {name: table.loc[table["detector"] == name, "fpr95"].mean() for name in DETECTORS}
        for name in DETECTORS:
            below = sum(value < means[name] - 1e-12 for value in means.values())
            equal = sum(abs(value - means[name]) < 1e-12 for value in means.values())
            assert ranks.loc[name, run.name] == below + (equal + 1) / 2


def test_a_run_without_results_is_named_and_not_counted(group, tmp_path):
    extra = make_run(tmp_path, "cats-seed3", epochs=(9,), features=False, seed=3)
    found = summarise(SeedGroup((*group.runs, extra)))
    assert found.missing == ("cats-seed3",)
    assert len(found.members) == 3
    assert found.name == "cats (3 seeds)"
    assert summarise(SeedGroup((group.runs[0], extra))) is None


def test_welch_equals_its_formula():
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.3, 0.1, 4), rng.normal(0.2, 0.02, 3)
    variances = first.var(ddof=1) / 4, second.var(ddof=1) / 3
    error = math.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 3 + variances[1] ** 2 / 2)
    difference = first.mean() - second.mean()
    reach = student.ppf(0.975, freedom) * error
    found = metrics.welch(first, second)
    assert found.p_value == pytest.approx(2 * student.sf(abs(difference) / error, freedom))
    assert (found.low, found.high) == pytest.approx((difference - reach, difference + reach))
    assert (found.first, found.second) == (first.mean(), second.mean())


def test_welch_without_any_variation_has_no_p_value():
    found = metrics.welch(np.ones(3), np.zeros(3))
    assert found.difference == 1
    assert math.isnan(found.p_value)
    assert math.isnan(found.low)


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_welch_rejects_what_it_cannot_compare(values):
    with pytest.raises(InvalidArrayError, match="two or more finite"):
        metrics.welch(np.array([1.0, 2.0]), np.array(values))


def test_imports_of_one_group_and_other_seeds_form_a_seed_group(tmp_path):
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    source.mkdir()
    labels = np.arange(30) % 3
    for name in ("train", "test"):
        np.savez(source / f"{name}.npz", features=rng.normal(size=(30, 4)), labels=labels)
    np.savez(source / "head.npz", weight=rng.normal(size=(3, 4)), bias=np.zeros(3))

    def imported(name: str, group: str | None, seed: int | None) -> Run:
        fields = seed_fields(group, seed)
        return import_features(source, tmp_path / name, id_set="made", seed=fields)

    first, second = imported("net-a", "wide", 0), imported("net-b", "wide", 1)
    other, alone = imported("net-c", "deep", 2), imported("net-d", None, None)
    (group,) = group_runs([first, second, other, alone])
    assert [run.name for run in group.runs] == ["net-a", "net-b"]


@pytest.mark.parametrize(("group", "seed"), [("wide", None), (None, 3), ("", 3)])
def test_a_seed_and_a_group_require_each_other(group, seed):
    with pytest.raises(InvalidOptionError, match="both --seed-group NAME and --seed N"):
        seed_fields(group, seed)
