"""Results that are not of this code are never shown: other parameters, versions, files and runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from app_elements import figures_on
from made_runs import make_run, map_sources
from streamlit.testing.v1 import AppTest
from whole_runs import EPOCH, make_whole_run

from ncviz import collapse, detectors, metrics, transfer
from ncviz.detectors.base import lookup
from ncviz.errors import MissingDataError
from ncviz.evaluation import evaluate
from ncviz.store import files, layout, marks, open_run, open_runs, provenance, write

ROOT = Path(__file__).resolve().parents[1]
RESULTS = {
    "collapse": lambda epoch: epoch.collapse(),
    "detection": lambda epoch: epoch.detection(),
    "means": lambda epoch: epoch.detection_means(),
    "comparisons": lambda epoch: epoch.comparisons(),
    "calibration": lambda epoch: epoch.calibration(),
    "reliability": lambda epoch: epoch.reliability(),
    "temperature": lambda epoch: epoch.temperature(),
    "scores": lambda epoch: epoch.scores("msp", "test"),
    "all scores": lambda epoch: epoch.layer_scores("encoder"),
    "judges": lambda epoch: epoch.judges(),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with one epoch that has every kind of file."""
    return make_whole_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def epoch(whole, tmp_path):
    """Its epoch, in a copy."""
    return open_run(shutil.copytree(whole.path, tmp_path / "runs" / "whole")).epoch(EPOCH)


def other_parameter(patch):
    patch.setitem(lookup("energy").__init__.__kwdefaults__, "temperature", 7.0)


def other_detector(patch):
    patch.setattr(lookup("energy"), "version", 2)


def other_metric(patch, table=collapse.METRICS, name="nc1_pinv"):
    patch.setitem(table, name, replace(table[name], version=2))


CHANGES = {
    "parameter": (other_parameter, "other parameters or another version of the detector energy"),
    "detector": (other_detector, "other parameters or another version of the detector energy"),
    "collapse metric": (other_metric, "older than its features or this version"),
    "detection metric": (
        lambda patch: other_metric(patch, metrics.DEFINITIONS, "auroc"),
        "older than its features or this version",
    ),
    "calibration metric": (
        lambda patch: other_metric(patch, metrics.CALIBRATION_DEFINITIONS, "ece"),
        "older than its features or this version",
    ),
    "tables": (
        lambda patch: patch.setattr(marks, "TABLES_VERSION", "next"),
        "older than its features or this version",
    ),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_results_of_other_code_are_not_shown_until_they_are_made_anew(
    epoch, monkeypatch, change, words
):
    with monkeypatch.context() as patch:
        change(patch)
        assert epoch.current_results() == {}
        for read in RESULTS.values():
            with pytest.raises(MissingDataError, match=f"{words}.*scripts/evaluate.py whole"):
                read(epoch)
        evaluate([epoch.run], progress=False)
        for read in RESULTS.values():
            assert len(read(epoch))
    # The code as it was before, and the results of what came after it.
    for read in RESULTS.values():
        with pytest.raises(MissingDataError, match=words):
            read(epoch)


def test_results_by_a_detector_that_is_not_known_are_not_shown(epoch):
    path = epoch.path / layout.TABLES["detection"]
    sources = files.sources_of(path) | {"code:detector:elsewhere": "{}"}
    write.files.write_table(path, epoch.detection(), sources=sources)
    with pytest.raises(MissingDataError, match="version of the detector elsewhere"):
        epoch.detection()
    assert len(epoch.collapse())
    evaluate([epoch.run], progress=False)
    assert len(epoch.detection())


def test_scores_by_another_version_change_with_it(epoch, monkeypatch):
    before = epoch.scores("energy", "test")
    other_parameter(monkeypatch)
    evaluate([epoch.run], names=["msp"], progress=False)  # what was evaluated stays evaluated
    assert not (epoch.scores("energy", "test") == before).all()
    assert set(epoch.detection()["detector"]) > {"energy", "msp", "knn"}


def test_what_a_killed_writer_left_of_more_detectors_is_completed(epoch, monkeypatch):
    shutil.rmtree(epoch.path / "results")
    evaluate([epoch.run], names=["energy"], progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(write.files, "write_table", interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluate([epoch.run], names=["msp"], progress=False)
    evaluate([epoch.run], names=["msp"], progress=False)
    assert set(epoch.detection()["detector"]) == {"energy", "msp", "energy_probe"}


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


def test_temperatures_are_of_the_detectors_that_were_evaluated(epoch):
    shutil.rmtree(epoch.path / "results")
    evaluate([epoch.run], names=["msp", "knn"], progress=False)
    assert set(epoch.temperature()["detector"]) == {"msp"}


@pytest.mark.parametrize("page", ["2_OOD_scores", "5_Leaderboard"])
def test_a_page_has_the_command_in_place_of_results_of_other_parameters(epoch, monkeypatch, page):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(epoch.run.path.parent))

    def drawn() -> tuple[bool, bool]:
        for cache in (st.cache_data, st.cache_resource):  # other code is another server
            cache.clear()
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception
        says = any("python scripts/evaluate.py whole" in each.value for each in app.code)
        return says, bool(figures_on(app))

    assert drawn() == (False, True)
    other_parameter(monkeypatch)
    assert drawn() == (True, False)


def test_scores_that_took_the_network_with_other_parameters_count_as_none(epoch, monkeypatch):
    assert set(epoch.network_scores("test")) == {"odin"}
    odin = epoch.detection().query("detector == 'odin'")
    assert len(odin)
    monkeypatch.setitem(lookup("odin").__init__.__kwdefaults__, "epsilon", 0.5)
    assert epoch.network_scores("test") == {}
    sources = epoch.feature_sources("test") | detectors.marks(["odin"])
    assert not epoch.has_network_scores("test", sources)
    evaluate([epoch.run], progress=False)
    assert "odin" not in set(epoch.detection()["detector"])


def test_transfer_errors_of_another_version_are_not_shown(epoch, monkeypatch):
    assert len(epoch.transfer())
    other_metric(monkeypatch, transfer.DEFINITIONS, "ncm_error")
    with pytest.raises(MissingDataError, match=r"another version of ncviz.*extract.py whole --tr"):
        epoch.transfer()
    assert epoch.transfer_sources() == {}


def test_probes_of_another_version_are_not_used(epoch, monkeypatch):
    source = {"code:probe": "next"}
    probe = epoch.probe()
    write.save_probes(epoch, {"encoder": probe}, epoch.probe_sources())
    assert epoch.probe()
    monkeypatch.setattr(provenance, "_PROBE_VERSION_SOURCE", source)
    with pytest.raises(MissingDataError, match="comes from other code:probe"):
        epoch.probe()
    assert not epoch.has_features("train")


def test_maps_of_another_version_are_not_shown(epoch, monkeypatch):
    assert len(epoch.maps().rows)
    monkeypatch.setattr(marks, "MAPS_VERSION", 99)
    with pytest.raises(MissingDataError, match=r"maps .* are older .*embed\.py whole"):
        epoch.maps()
    assert epoch.maps_sources() == {}


def test_maps_on_axes_of_features_that_are_gone_are_not_shown(tmp_path):
    run = make_run(tmp_path, "cats", epochs=(1, 4))
    first, last = run.epoch(1), run.epoch(4)
    maps = {"encoder": {"umap": first.features("test").features[:, :2]}}
    rows = range(len(maps["encoder"]["umap"]))
    write.save_maps(first, list(rows), maps, map_sources(first))
    assert first.maps()
    path = layout.feature_file(last.path, "noise/test")
    arrays = files.read_arrays(path)
    files.write_arrays(path, arrays | {"encoder": arrays["encoder"] * 2})
    with pytest.raises(MissingDataError, match=r"maps of epoch 1 .* are older"):
        first.maps()


@pytest.mark.parametrize("name", [*RESULTS, "maps"])
def test_results_of_another_run_are_not_shown(epoch, tmp_path, name):
    other = make_run(tmp_path, "other", classes=("a", "b", "c"), epochs=(EPOCH,), dim=6)
    read = (RESULTS | {"maps": lambda epoch: epoch.maps()})[name]
    shutil.copytree(epoch.path / "results", other.epoch(EPOCH).path / "results", dirs_exist_ok=True)
    with pytest.raises(MissingDataError, match="older than its features"):
        read(other.epoch(EPOCH))
    assert other.epoch(EPOCH).current_results() == {}


def test_the_runs_of_the_repository_are_current():
    for run in open_runs(ROOT / "checkpoints").values():
        for number in run.epochs:
            one = run.epoch(number)
            assert set(detectors.marks(detectors.names())) <= set(one.current_results()), one.path
            assert len(one.transfer()), one.path
            if len(run.epochs) > 1:  # runs of one epoch repeat another with other seeds
                assert all(len(one.maps(layer).rows) for layer in run.layers), one.path
