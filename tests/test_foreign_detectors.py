"""What a stranger wrote as fitted detectors: arrays that fit and score, or a typed error."""

from __future__ import annotations

import json

import numpy as np
import pytest
from whole_runs import EPOCH, make_whole_run

from ncviz import detectors
from ncviz.errors import CorruptFileError, NcvizError
from ncviz.store import files, layout, open_run

LEARN = [
    name
    for name in detectors.names()
    if detectors.info(name).scores_arrays and detectors.info(name).learns_from_samples
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_whole_run(tmp_path_factory.mktemp("foreign"))


@pytest.fixture
def path(run):
    """The file of fitted detectors; what a test writes there goes again."""
    path = run.epoch(EPOCH).path / layout.DETECTORS
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def rewrite(path, changes: dict[str, np.ndarray | None], **texts: object) -> None:
    """The file with other arrays (None takes one away) or texts, sealed as ncviz would."""
    header = files.read_header(path)
    kept = files.read_arrays(path) | changes
    extra = {name: header[name] for name in ("same", "narrowed")}
    files.write_arrays(
        path,
        {name: each for name, each in kept.items() if each is not None},
        sources=files.sources_of(path),
        extra=extra | {name: json.dumps(each) for name, each in texts.items()},
    )


def owner_of(run, name: str) -> list[str]:
    """The detectors that use an array, which may be stored under the name of one of them."""
    header = files.read_header(run.epoch(EPOCH).path / layout.DETECTORS)
    users = [each for each, origin in json.loads(header["same"]).items() if origin == name]
    return sorted({each.split("/")[1] for each in [name, *users]})


def outcome(epoch, detector: str, samples) -> tuple[np.ndarray | None, str]:
    """Scores, or the message of a typed error; any other fails the test."""
    try:
        with np.errstate(all="ignore"):
            return epoch.detector(detector).score(samples), ""
    except NcvizError as error:
        return None, str(error)


LIES = {
    "missing": lambda array: None,
    "flat": lambda array: array.ravel() if array.ndim > 1 else array[None],
    "another dimension": lambda array: array[None],
    "fewer rows": lambda array: array[1:] if array.ndim else array,
    "no rows": lambda array: array[:0] if array.ndim else array,
    "fewer columns": lambda array: array[:, :-1] if array.ndim > 1 else array,
    "transposed": lambda array: array.T,
    "not a number": lambda array: array * np.nan,
    "infinite": lambda array: np.full_like(array, np.inf) if array.dtype.kind == "f" else array,
    "negative": lambda array: -array if array.dtype.kind in "if" else array,
    "huge": lambda array: np.full(array.shape, 2**62) if array.dtype.kind == "i" else array,
    "true and false": lambda array: array > 0,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_arrays_that_do_not_fit(run, path, lie):
    epoch = run.epoch(EPOCH)
    samples = epoch.features("letters")
    before = files.read_arrays(path)
    content = path.read_bytes()
    refused = 0
    for name, array in before.items():
        rewrite(path, {name: lie(array)})
        for detector in owner_of(run, name):
            scores, error = outcome(epoch, detector, samples)
            refused += bool(error)
            if error:
                assert path.name in error or "was not fitted" in error
                assert "\n" not in error
            else:
                assert scores.shape == (len(samples),)
        path.write_bytes(content)
    assert refused


def test_what_is_whole_is_read(run, path):
    assert set(LEARN) <= set(run.epoch(EPOCH).detectors())
    for name in LEARN:
        assert run.epoch(EPOCH).detector(name).score(run.epoch(EPOCH).features("noise")).shape


TEXTS = {
    "a name that is not there": {"same": {"encoder/knn/bank_": "encoder/none/x"}},
    "names that are none": {"same": {"encoder/knn/bank_": ["encoder"]}},
    "a circle": {"same": {"encoder/knn/bank_": "encoder/knn/bank_"}},
    "a list": {"same": [1, 2]},
    "numbers": {"narrowed": [1, 2]},
    "lists": {"narrowed": [["a"]]},
    "nothing": {"narrowed": None},
    "another attribute": {"same": {"encoder/knn/__class__": "encoder/knn/k"}},
    "another path": {"same": {"encoder/knn/../../etc": "encoder/knn/k"}},
}


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_texts_that_lead_nowhere(run, path, texts):
    stored = files.read_arrays(path)
    taken = {name: None for name in texts.get("same", ()) if name in stored}
    rewrite(path, taken, **texts)
    with pytest.raises(CorruptFileError, match=r"detectors\.safetensors"):
        run.epoch(EPOCH).detector("knn")


def test_an_array_of_no_detector_is_nothing(run, path):
    """Only what a detector declares to learn is set on it."""
    rewrite(path, {"encoder/knn/score": np.ones(1)})
    with pytest.raises(CorruptFileError, match=r"not its own \['score'\]"):
        run.epoch(EPOCH).detector("knn")
    rewrite(path, {"encoder/knn/score": None, "encoder/os.system/x": np.ones(1)})
    assert "os.system" not in open_run(run.path).epoch(EPOCH).detectors()
    with pytest.raises(NcvizError, match=r"Unknown detector 'os\.system'"):
        run.epoch(EPOCH).detector("os.system")
