"""Links, devices and odd names in a run's folder: nothing outside it is read, nothing hangs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_runs import make_run
from test_app import SCORES, healthy, open_app, words  # noqa: F401
from whole_runs import EPOCH, make_whole_run, readers, readers_of

from ncviz.arrays import ClassStatistics
from ncviz.errors import CorruptFileError, NcvizError, UnknownNameError
from ncviz.evaluation import evaluate
from ncviz.packing import pack
from ncviz.store import files, layout, list_runs, open_run, stamp, write
from ncviz.store.inventory import inventory


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_whole_run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made, tmp_path):
    """A whole run, copied, so that a test may change it."""
    return open_run(shutil.copytree(made.path, tmp_path / "runs" / made.name))


def outcomes(run, path: Path | None = None) -> dict[str, Exception | None]:
    """What each reader of a run or file ends with; any exception but a typed one fails the test."""
    found = {}
    for name, read in (readers(run) if path is None else readers_of(run, path)).items():
        try:
            read()
            found[name] = None
        except NcvizError as error:
            found[name] = error
    return found


def files_of(run) -> list[Path]:
    return sorted(path for path in run.path.rglob("*") if path.is_file())


def test_no_file_is_read_through_a_link_out_of_the_folder(run, tmp_path):
    outside = tmp_path / "outside"
    for path in files_of(run):
        shutil.move(path, outside)
        path.symlink_to(outside)
        if path.name == layout.DESCRIPTION:
            with pytest.raises(CorruptFileError, match=r"run\.json is reached by a link"):
                open_run(run.path)
        else:
            told = [str(error) for error in outcomes(run, path).values() if error]
            assert any(path.name in text and "leads out of" in text for text in told), path
        path.unlink()
        shutil.move(outside, path)
    assert not any(outcomes(run).values())


def test_no_folder_is_read_through_a_link_out_of_the_folder(run, tmp_path):
    for folder in ("epochs", f"epochs/{EPOCH:04d}", f"epochs/{EPOCH:04d}/features/noise"):
        outside = shutil.move(run.path / folder, tmp_path / "outside")
        (run.path / folder).symlink_to(outside)
        told = [str(error) for error in outcomes(open_run(run.path)).values() if error]
        assert any("leads out of" in text for text in told), folder
        (run.path / folder).unlink()
        shutil.move(outside, run.path / folder)


def test_a_link_to_another_run_is_followed(run):
    other = shutil.copytree(run.path, run.path.parent / "other")
    path = run.path / f"epochs/{EPOCH:04d}" / layout.HEAD
    path.unlink()
    path.symlink_to(other / path.relative_to(run.path))
    assert not any(outcomes(run).values())


def test_packing_takes_no_files_along_that_are_none_of_the_run(run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("none of yours")
    (run.path / "note.txt").symlink_to(secret)
    with pytest.raises(CorruptFileError, match=r"note\.txt is reached by a link"):
        pack(run, tmp_path / "packed" / "run", weights=())
    assert not (tmp_path / "packed").exists()


DEVICES = {
    "pipe": os.mkfifo,
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "folder": lambda path: path.mkdir(),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nothing"),
}


@pytest.mark.parametrize("make", DEVICES.values(), ids=DEVICES)
def test_what_is_no_file_is_not_waited_for(run, make):
    for path in files_of(run):
        before = path.read_bytes()
        path.unlink()
        make(path)
        stamp(run.path)
        if path.name == layout.DESCRIPTION:
            with pytest.raises(NcvizError):
                open_run(run.path)
        else:
            outcomes(run, path)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(before)
    assert not any(outcomes(run).values())


@pytest.mark.parametrize("make", DEVICES.values(), ids=DEVICES)
def test_the_app_opens_with_such_a_file_in_a_run(run, open_app, make):  # noqa: F811
    for name in ("stray", f"epochs/{EPOCH:04d}/features/letters/more.safetensors"):
        make(run.path / name)
    make(run.path.parent / "stray")
    app = open_app(run.path.parent)
    assert not app.exception
    assert "log of the server" not in words(app)
    inventory(run.epoch(EPOCH))


def test_a_loop_of_folders_has_an_end(run, open_app):  # noqa: F811
    (run.path / "loop").symlink_to(run.path, target_is_directory=True)
    (run.path / "epochs" / "0009").symlink_to(run.path / "epochs", target_is_directory=True)
    healthy(open_app(run.path.parent))
    assert stamp(run.path)


ODD = ("a\nb", "right\u202eleft", "a\\b", " a", "a:b", "x\x07")


@pytest.mark.parametrize("name", ODD)
def test_a_set_of_an_odd_name_is_named(run, name):
    features = run.epoch(EPOCH).path / layout.FEATURES
    shutil.copytree(features / "noise", features / name)
    with pytest.raises(CorruptFileError, match="no name of a data set"):
        _ = run.epoch(EPOCH).sets
    with pytest.raises(NcvizError):
        evaluate([open_run(run.path)], progress=False)


@pytest.mark.parametrize("name", [*ODD, "../x", "a/b", ""])
def test_a_layer_of_an_odd_name_is_named(run, name):
    epoch = run.epoch(EPOCH)
    one = ClassStatistics.of(np.eye(3), np.arange(3), 3)
    statistics = {"encoder": one, name: one}
    sources = files.sources_of(epoch.path / layout.STATISTICS)
    write.save_statistics(epoch, statistics, sources)
    with pytest.raises(CorruptFileError, match=r"statistics\.safetensors has a layer called"):
        _ = epoch.layers


@pytest.mark.parametrize("name", ["9" * 10, "9" * 200, "-001", "1e10", "٠٠٠٧", "0x10"])
def test_a_folder_that_is_no_epoch_is_none(run, name):
    shutil.copytree(run.path / "epochs" / f"{EPOCH:04d}", run.path / "epochs" / name)
    assert open_run(run.path).epochs == (EPOCH,)


@pytest.mark.parametrize("name", ["../runs/whole", "/etc", "..", "a\0b", "x" * 300, "\ud800"])
def test_what_is_asked_for_by_an_odd_name_is_unknown(run, name):
    epoch = run.epoch(EPOCH)
    for ask in (
        lambda: epoch.features(name),
        lambda: epoch.features("test", name),
        lambda: epoch.scores(name, "noise"),
        lambda: epoch.scores("energy", name),
        lambda: epoch.detector(name),
    ):
        with pytest.raises(UnknownNameError):
            ask()


def test_runs_of_odd_names_are_problems_and_the_others_are_listed(tmp_path, open_app):  # noqa: F811
    make_run(tmp_path, "good", epochs=(1, 2))
    for name in ("a\nb", "\u202ecod", " a", "half\udcff", "-x", "😀", "--help", "x" * 201):
        shutil.copytree(tmp_path / "good", tmp_path / name)
    listing = list_runs(tmp_path)
    assert set(listing.problems) == {"a\nb", "\u202ecod", " a", "half\udcff", "x" * 201}
    assert set(listing.runs) == {"good", "-x", "😀", "--help"}
    app = open_app(tmp_path, SCORES, run="--help")
    healthy(app)
    assert "'--help'" in words(app) or "python scripts" not in words(app)
