"""What cannot be computed says so: a typed error, a missing value with its reason, never a NaN."""

from __future__ import annotations

import math
import re
import warnings
from contextlib import suppress
from dataclasses import asdict, is_dataclass

import numpy as np
import pytest
from app_elements import figures_on
from made_runs import add_maps, make_run
from test_app import PAGES, open_app, words  # noqa: F401

from ncviz import collapse, correlation, detectors, metrics, report, thresholds
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.duplicates import count_duplicates, in_words
from ncviz.errors import InvalidArrayError, NcvizError
from ncviz.evaluation import evaluate
from ncviz.evaluation.summary import as_json, as_text, side_by_side
from ncviz.store import files, layout, open_run, write
from ncviz.transfer import transfer

FROM_ARRAYS = [name for name in detectors.names() if detectors.info(name).scores_arrays]
N, D, C = 40, 6, 3


def case(
    features: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    *,
    n: int = N,
    d: int = D,
) -> tuple[Head, FeatureSet]:
    """A head and training samples; what is not given is ordinary."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(C, d)).astype("f4") if weight is None else weight
    head = Head(weight, np.zeros(C, "f4"))
    usual = np.arange(n) % C
    if features is None:
        features = (head.weight[usual] + rng.normal(size=(n, d))).astype("f4")
    return head, FeatureSet(features, head.logits(features), usual if labels is None else labels)


def ordinary() -> np.ndarray:
    return case()[1].features


def dead() -> np.ndarray:
    features = ordinary()
    features[:, 2] = 0
    return features


def lone_label() -> np.ndarray:
    labels = np.arange(N) % 2
    labels[0] = 2
    return labels


CASES = {
    "ordinary": lambda: case(),
    "zero variance": lambda: case(np.ones((N, D), "f4")),
    "all zero": lambda: case(np.zeros((N, D), "f4")),
    "a dead feature": lambda: case(dead()),
    "fewer samples than dimensions": lambda: case(n=5, d=40),
    "one feature": lambda: case(d=1),
    "one class": lambda: case(labels=np.zeros(N, int)),
    "a class of one sample": lambda: case(labels=lone_label()),
    "a head of zeros": lambda: case(ordinary(), weight=np.zeros((C, D), "f4")),
    "huge": lambda: case(1e18 * ordinary()),
    "tiny": lambda: case(1e-30 * ordinary()),
    "one sample": lambda: case(n=1),
    "collapsed": lambda: case(case()[0].weight[np.arange(N) % C]),
}
OUTSIDE = {"too large": 3, "negative": -1, "far too large": 2**40}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_every_detector_scores_or_says_why_not(make):
    head, train = make()
    scored = 0
    for statistics in (None, ClassStatistics.of(train.features, train.labels, C)):
        for name in FROM_ARRAYS:
            for query in (train, train[:1], train[:0]):
                try:
                    scores = detectors.create(name).fit(train, head, statistics).score(query)
                except NcvizError as error:
                    said = str(error)
                    assert re.search(r"undefined|needs|Give|hold", said), said
                    continue
                assert scores.shape == (len(query),)
                assert np.isfinite(scores).all(), name
                scored += 1
    assert scored > 100


@pytest.mark.parametrize("label", OUTSIDE.values(), ids=OUTSIDE)
def test_labels_outside_the_classes_are_refused_by_whatever_counts_them(label):
    labels = np.arange(N) % C
    labels[7] = label
    head, train = case(labels=labels)
    with pytest.raises(InvalidArrayError, match=r"they must lie in 0\.\.2"):
        ClassStatistics.of(train.features, train.labels, C)
    with pytest.raises(InvalidArrayError, match=r"lie in 0\.\.2"):
        metrics.reliability(train.logits, train.labels)
    refused = 0
    for name in FROM_ARRAYS:
        try:
            scores = detectors.create(name).fit(train, head).score(train)
        except InvalidArrayError:
            refused += 1
        else:
            assert np.isfinite(scores).all()
    assert refused >= 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_set_holds_what_is_no_number(value):
    head, train = case()
    for name in ("features", "logits"):
        arrays = {"features": train.features.copy(), "logits": train.logits.copy()}
        arrays[name][3, 1] = value
        with pytest.raises(InvalidArrayError, match="1 values that are NaN or infinite"):
            FeatureSet(**arrays)
    weight = head.weight.copy()
    weight[0, 0] = value
    with pytest.raises(InvalidArrayError, match="NaN or infinite"):
        Head(weight, head.bias)
    bad = train.features.copy()
    bad[0, 0] = value
    with pytest.raises(InvalidArrayError, match="NaN or infinite"):
        ClassStatistics.of(bad, train.labels, C)


def numbers_in(value: object) -> list[float]:
    """Every number in a result; of a curve the rates, not its thresholds."""
    if isinstance(value, metrics.Curve):
        return [*value.x, *value.y]
    if is_dataclass(value):
        return numbers_in(asdict(value))
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers_in(each)]
    if isinstance(value, tuple | list | np.ndarray):
        return [number for each in value for number in numbers_in(each)]
    return [float(value)] if isinstance(value, int | float | np.number) else []


RNG = np.random.default_rng(1)
SCORES = {
    "ordinary": (RNG.normal(size=20), RNG.normal(size=15)),
    "all equal": (np.ones(20), np.ones(15)),
    "one unknown": (RNG.normal(size=20), np.array([0.3])),
    "one known": (np.array([0.3]), RNG.normal(size=15)),
    "one of each": (np.ones(1), np.zeros(1)),
    "one of each, equal": (np.ones(1), np.ones(1)),
    "whole numbers": (np.arange(5), np.arange(3)),
    "no error": (np.ones(20), np.zeros(10)),
    "all wrong": (np.zeros(20), np.ones(10)),
    "huge": (np.array([1e308, -1e308]), np.array([1e308, 0])),
}
EMPTY = {
    "no unknown": (np.ones(3), np.ones(0)),
    "no known": (np.ones(0), np.ones(3)),
    "not a number": (np.array([1, np.nan]), np.ones(3)),
    "infinite": (np.ones(3), np.array([np.inf, 1])),
    "a table": (np.ones((3, 1)), np.ones(3)),
}
COMPUTED = {
    "detection": lambda known, unknown: metrics.detection_metrics(known, unknown),
    "intervals": metrics.detection_intervals,
    "roc": metrics.roc_curve,
    "precision": lambda known, unknown: metrics.precision_recall_curve(
        known, unknown, positive="ood"
    ),
    "operating point": lambda known, unknown: metrics.operating_point(known, unknown, 0.5),
    "variance": metrics.auroc_variance,
    "delong": lambda known, unknown: metrics.delong(known, unknown, known[::-1], unknown),
    "moves": lambda known, unknown: vars(metrics.moves(unknown, unknown, known, known)),
    "p values": thresholds.p_values,
    **{
        rule: lambda known, unknown, rule=rule: thresholds.choose(rule, known, unknown).value
        for rule in ("ID", "OOD", "accuracy")
    },
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED)
@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES)
def test_every_metric_is_a_number_or_says_why_not(scores, compute):
    try:
        found = numbers_in(compute(*scores))
    except InvalidArrayError as error:
        assert "takes two samples of each kind" in str(error)  # noqa: PT017
        return
    assert found
    assert not [number for number in found if math.isnan(number)]


@pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED)
@pytest.mark.parametrize("scores", EMPTY.values(), ids=EMPTY)
def test_scores_that_are_none_are_refused(scores, compute):
    if compute in (COMPUTED["moves"], COMPUTED["p values"]) and not np.size(scores[1]):
        assert not numbers_in(compute(*scores))
        return
    known = compute is COMPUTED["ID"] and np.ndim(scores[0]) == 1 and scores[0].all()
    if known and len(scores[0]) and np.isfinite(scores[0]).all():
        return  # a rule that looks at known samples alone
    with pytest.raises(NcvizError):
        compute(*scores)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_every_collapse_metric_is_a_number_or_left_out(make):
    head, train = make()
    statistics = ClassStatistics.of(train.features, train.labels, C)
    computed = (
        lambda: collapse.measure(statistics, head).to_dict(),
        lambda: collapse.spread(train.features).to_dict(),
        lambda: collapse.agreement(train, statistics, head).to_dict(),
        lambda: collapse.orthogonality(statistics, train.features[:1]).to_dict(),
        lambda: {"gram": collapse.gram(statistics)},
    )
    for compute in computed:
        try:
            found = compute()
        except InvalidArrayError as error:
            assert re.search(r"have no sample|undefined|equal|two|zero|N of at least 2", str(error))  # noqa: PT017
            continue
        left = {name: value for name, value in found.items() if value is not None}
        assert not [n for n in numbers_in(left) if not math.isfinite(n)], found


def test_a_correlation_of_what_does_not_vary_is_none():
    same, other = np.ones(9), np.arange(9.0)
    names = [f"run{at}" for at in range(9)]
    assert correlation.correlate(same, other, networks=names) is None
    assert correlation.correlate(other[:3], other[:3], networks=names[:3]) is None
    assert correlation.correlate(np.full(9, np.nan), other, networks=names) is None


@pytest.mark.parametrize("which", ["train", "test"])
def test_transfer_of_one_class_says_so(which):
    sets = {"train": case()[1], "test": case()[1]}
    sets[which] = case(labels=np.zeros(N, int))[1]
    try:
        found = transfer(**sets).to_dict()
    except InvalidArrayError as error:
        assert "class" in str(error)  # noqa: PT017
    else:
        assert all(map(math.isfinite, numbers_in(found)))


# Whole runs: evaluated, printed, reported, shown


def change(run, name: str, **arrays) -> None:
    """Other arrays in a set's features at every epoch."""
    for number in run.epochs:
        path = layout.feature_file(run.epoch(number).path, name)
        kept = files.read_arrays(path)
        kept |= {key: make(kept[key]) for key, make in arrays.items()}
        files.write_arrays(path, kept, sources=files.sources_of(path))


def one_image(run) -> None:
    change(run, "noise/test", encoder=lambda a: a[:1], labels=lambda a: a[:1])


def one_class_tested(run) -> None:
    change(run, "made/test", labels=np.zeros_like)


def nothing_told_apart(run) -> None:
    for name in ("made/train", "made/test", "noise/test", "letters/test"):
        change(run, name, encoder=np.zeros_like)
    for number in run.epochs:
        epoch = run.epoch(number)
        labels = epoch.features("train").labels
        features = epoch.features("train").features
        statistics = ClassStatistics.of(features, labels, len(run.classes))
        write.save_statistics(epoch, {"encoder": statistics}, {})


def a_head_of_zeros(run) -> None:
    for number in run.epochs:
        head = run.epoch(number).head()
        write.save_heads(run, number, {"encoder": Head(0 * head.weight, head.bias)})


WHOLE = {
    "an OOD set of one image": one_image,
    "one class in the test set": one_class_tested,
    "nothing told apart": nothing_told_apart,
    "a head of zeros": a_head_of_zeros,
}
NO_NUMBER = re.compile(r"(?<![a-zA-Z])(nan|inf|NaN|Infinity)(?![a-zA-Z])")


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_no_page_no_print_and_no_report_shows_what_is_no_number(tmp_path, open_app, make):  # noqa: F811
    run = make_run(tmp_path, "odd", epochs=(4,), results=False)
    make(run)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        evaluate([open_run(run.path)], progress=False)
    assert not [each for each in said if issubclass(each.category, RuntimeWarning)]
    run = open_run(run.path)
    with suppress(InvalidArrayError):  # features that do not vary have no plane
        add_maps(run)
    for text in (as_text(run), as_text(run, intervals=True), side_by_side([run])):
        assert not NO_NUMBER.search(text), text
    for name, rows in as_json(run).items():
        for row in rows if isinstance(rows, list) else ():
            assert not [n for n in numbers_in(row) if not math.isfinite(n)], (name, row)
    page = report.compose(report.choose(run))
    assert not NO_NUMBER.search(re.sub(r"<script.*?</script>", "", page, flags=re.S))
    for page in PAGES:
        app = open_app(tmp_path, page, run="odd")
        assert not app.exception
        assert "log of the server" not in words(app)
        shown = words(app) + " ".join(each.value for each in app.metric)
        assert not NO_NUMBER.search(shown), NO_NUMBER.search(shown)
        for figure in figures_on(app):
            assert not NO_NUMBER.search(str(figure["layout"]["title"]))


# Samples that are in the training set too


def test_duplicates_are_counted():
    train = RNG.normal(size=(20, 3)).astype("f2")
    other = RNG.normal(size=(5, 3)).astype("f2")
    assert count_duplicates(train, other) == 0
    assert count_duplicates(train, np.concatenate([other, train[3:5], train[3:4]])) == 3
    assert count_duplicates(train.astype("f4"), train[:2]) == 2
    with pytest.raises(InvalidArrayError, match="Duplicates are looked for"):
        count_duplicates(train, other[:, :2])


def test_duplicates_in_words():
    rows = [
        {"set": "made/test", "duplicates": 3, "samples": 48},
        {"set": "noise/test", "duplicates": 0, "samples": 40},
        {"set": "letters/test", "duplicates": 1, "samples": 40},
    ]
    said = in_words(rows)
    assert said.startswith(
        "Duplicates: 3 of 48 samples of made/test and 1 of 40 samples of letters"
    )
    assert "noise" not in said
    assert in_words(rows[1:2]) == in_words([]) == ""


@pytest.mark.parametrize("shared", [0, 2])
def test_duplicates_are_stored_printed_reported_and_shown(tmp_path, open_app, shared):  # noqa: F811
    run = make_run(tmp_path, "twice", epochs=(1, 4), results=False)
    for number in run.epochs:
        known = run.epoch(number).features("train").features[:shared]
        path = layout.feature_file(run.epoch(number).path, "noise/test")
        arrays = files.read_arrays(path)
        arrays["encoder"][:shared] = known
        files.write_arrays(path, arrays, sources=files.sources_of(path))
    evaluate([open_run(run.path)], progress=False)
    run = open_run(run.path)
    told = "Duplicates: 2 of 40 samples of noise/test have exactly the features"
    app = open_app(tmp_path)
    places = {
        "text": as_text(run),
        "report": report.compose(report.choose(run)),
        "overview": " ".join(each.value for each in app.warning).replace("\\", ""),
    }
    assert [told in text for text in places.values()] == [bool(shared)] * 3
    rows = as_json(run)["duplicates"]
    assert [row["duplicates"] for row in rows] == [2, 2][:shared]
    assert len(list(run.path.glob(f"epochs/*/{layout.DUPLICATES}"))) == shared

    # Once nothing is shared any more, nothing is told any more.
    if shared:
        change(run, "noise/test", encoder=lambda array: array + 1)
        assert not len(open_run(run.path).duplicates())
        evaluate([open_run(run.path)], progress=False)
        assert not list(run.path.glob(f"epochs/*/{layout.DUPLICATES}"))
