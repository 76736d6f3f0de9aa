"""Runs at a URL: read as from a folder, never stale, never written; what fails, says so."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import add_maps, make_run
from streamlit.testing.v1 import AppTest

import ncviz
from ncviz.errors import (
    CorruptFileError,
    InvalidOptionError,
    MissingDataError,
    MissingPackageError,
    NcvizError,
    RemoteError,
    StorageError,
    UnknownNameError,
)
from ncviz.evaluation import evaluate
from ncviz.evaluation.maps import embed
from ncviz.packing import pack
from ncviz.store import bucket, cache, files, layout, list_runs, run_folder, stamp
from ncviz.store.folders import new_folder
from ncviz.store.inventory import inventory
from ncviz.store.remote import RemotePath, place, require_local

fsspec = pytest.importorskip("fsspec")
memory = pytest.importorskip("fsspec.implementations.memory")
ROOT = Path(__file__).resolve().parents[1]
SECRET = "hunter2"


class Flaky(memory.MemoryFileSystem):
    """A store whose connection breaks, and whose client repeats the address that it was given."""

    protocol = "flaky"
    store: dict = {}  # noqa: RUF012 - of its own, as fsspec has it
    pseudo_dirs = [""]  # noqa: RUF012
    fetches: list = []  # noqa: RUF012
    fail = None

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.split("://")[-1].split("/", 1)[-1].strip("/")

    def _meet(self, path):
        type(self).fetches.append(path)
        if isinstance(self.fail, Exception):
            raise self.fail

    def get_file(self, rpath, lpath, **options):
        self._meet(rpath)
        content = self.cat_file(rpath)
        Path(lpath).write_bytes(content[: len(content) // 2] if self.fail else content)

    def ls(self, path, **options):
        if isinstance(self.fail, Exception):
            raise self.fail
        return super().ls(path, **options)

    def find(self, path, **options):
        if isinstance(self.fail, Exception):
            raise self.fail
        return super().find(path, **options)


fsspec.register_implementation("flaky", Flaky, clobber=True)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """An empty cache and empty stores; listings are never trusted, clocks being too coarse."""
    monkeypatch.setenv("NCVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bucket, "TRUST", 0.0)
    bucket.bucket.cache_clear()
    for kind in (memory.MemoryFileSystem, Flaky):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]
    Flaky.fetches.clear()
    Flaky.fail = None


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("made"), "cats", layers=("encoder", "projector"))
    add_maps(run)
    return ncviz.open_run(run.path)  # its description lists the samples now


def copied(folder: Path, url: str) -> str:
    fs, at = fsspec.url_to_fs(url)
    for path in folder.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{at}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return url


@pytest.fixture
def url(made):
    return copied(made.path, "memory://runs/cats")


@pytest.fixture
def flaky(made):
    return copied(made.path, f"flaky://me:{SECRET}@host/runs/cats")


def copies(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


# Reading


def test_a_run_at_a_url_is_the_run_in_the_folder(made, url):
    run = ncviz.open_run(url)
    assert str(run.path) == url
    assert (run.name, run.epochs, run.layers) == (made.name, made.epochs, made.layers)
    assert run.description == made.description
    names = ("collapse", "detection", "detection_means", "comparisons", "calibration")
    for read in (*names, "temperature"):
        pd.testing.assert_frame_equal(getattr(run, read)(), getattr(made, read)())
    for table in ("history", "samples"):
        pd.testing.assert_frame_equal(getattr(run, table), getattr(made, table))
    for number in made.epochs:
        ours, theirs = run.epoch(number), made.epoch(number)
        assert (ours.sets, ours.layers) == (theirs.sets, theirs.layers)
        assert ours.current_results() == theirs.current_results() != {}
        for layer in made.layers:
            np.testing.assert_array_equal(ours.head(layer).weight, theirs.head(layer).weight)
            for name in ("train", "test", "noise"):
                found, expected = ours.features(name, layer), theirs.features(name, layer)
                np.testing.assert_array_equal(found.features, expected.features)
            np.testing.assert_array_equal(
                ours.scores("energy", "noise", layer), theirs.scores("energy", "noise", layer)
            )
            np.testing.assert_array_equal(
                ours.maps(layer).points["umap"], theirs.maps(layer).points["umap"]
            )
    found = [each._asdict() for each in inventory(run.epoch(9))]
    assert found == [each._asdict() for each in inventory(made.epoch(9))]


def test_runs_at_a_url_are_listed(made, url, monkeypatch):
    copied(made.path, "memory://runs/dogs")
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/runs/notes/readme.txt", b"no run")
    fs.pipe_file("/runs/.hidden/run.json", b"{}")
    fs.pipe_file("/runs/broken/run.json", b"{")
    listing = list_runs("memory://runs")
    assert set(listing.runs) == {"cats", "dogs"}
    assert set(listing.problems) == {"broken"}
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", "memory://runs")
    with pytest.warns(UserWarning, match="broken is left out: memory://runs/broken/run.json"):
        assert set(ncviz.open_runs()) == {"cats", "dogs"}
    assert str(ncviz.open_run("dogs").path) == "memory://runs/dogs"
    assert str(run_folder("dogs", Path("memory://runs"))) == "memory://runs/dogs"
    with pytest.raises(
        UnknownNameError, match=r"'cat'\. Did you mean 'cats'.*Looked in memory://r"
    ):
        ncviz.open_run("memory://runs/cat")


def test_a_file_url_is_a_folder_of_this_machine(made, tmp_path):
    for text in (
        f"file://{made.path}",
        f"file://localhost{made.path}",
        Path(f"file://{made.path}"),
    ):
        assert place(text) == made.path
    assert ncviz.open_run(f"file://{made.path}").path == made.path
    assert set(ncviz.open_runs(f"file://{made.path.parent}")) == {"cats"}
    assert not copies(tmp_path)
    with pytest.raises(InvalidOptionError, match="write file:///PATH, with three slashes"):
        place("file://runs/cats")


def test_a_path_is_a_path():
    for text in ("runs/cats", "C:/runs", "/runs", "a:b", "runs"):
        assert place(text) == Path(text)


def test_a_header_is_read_without_the_arrays(made, flaky):
    path = ncviz.open_run(flaky).path / "large.safetensors"
    local = made.path.parent / "large.safetensors"
    files.write_arrays(local, {"a": np.zeros(200_000, np.float32)}, sources={"b": "c"})
    fsspec.filesystem("flaky").pipe_file("/runs/cats/large.safetensors", local.read_bytes())
    Flaky.fetches.clear()
    assert files.sources_of(path) == {"b": "c"}
    assert files.sources_of(path) == {"b": "c"}
    assert not Flaky.fetches
    assert files.read_arrays(path)["a"].shape == (200_000,)
    assert Flaky.fetches == ["/runs/cats/large.safetensors"]
    fsspec.filesystem("flaky").pipe_file("/runs/cats/large.safetensors", local.read_bytes()[:-9])
    with pytest.raises(CorruptFileError, match="its arrays are cut off"):
        files.read_header(path)


# Never stale


def test_a_file_that_has_changed_is_fetched_anew(url, tmp_path):
    run = ncviz.open_run(url)
    before = stamp(run.path)
    assert len(run.history) == 9
    text = (run.path / layout.HISTORY).read_text()
    other = text.replace("0.1", "0.2")
    assert len(other) == len(text)
    fsspec.filesystem("memory").pipe_file("/runs/cats/history.csv", other.encode())
    assert set(run.history["learning_rate"]) == {0.2}
    assert stamp(run.path) != before
    mark = stamp(run.path)
    fsspec.filesystem("memory").pipe_file("/runs/cats/.lock", b"x")
    fsspec.filesystem("memory").pipe_file("/runs/cats/training/state.safetensors", b"x")
    assert stamp(run.path) == mark
    fsspec.filesystem("memory").rm("/runs/cats/history.csv")
    assert run.history.empty


def test_what_has_not_changed_is_fetched_once(flaky, tmp_path):
    for _ in range(2):
        bucket.bucket.cache_clear()
        assert len(ncviz.open_run(flaky).history) == 9
    assert len(Flaky.fetches) == len(set(Flaky.fetches)) == len(copies(tmp_path)) == 2


def test_a_store_that_tells_no_state_is_asked_again(flaky, monkeypatch):
    monkeypatch.setattr(bucket, "_MARKS", ())
    run = ncviz.open_run(flaky)
    Flaky.fetches.clear()
    assert len(run.history) == len(run.history) == 9
    assert set(Flaky.fetches) == {"/runs/cats/history.csv"}
    assert len(Flaky.fetches) >= 2


def test_a_listing_is_trusted_for_some_times_as_long_as_it_took(url, monkeypatch):
    monkeypatch.setattr(bucket, "TRUST", 1e6)
    run = ncviz.open_run(url)
    fsspec.filesystem("memory").rm("/runs/cats/history.csv")
    assert (run.path / layout.HISTORY).exists()
    monkeypatch.setattr(bucket, "LONGEST_TRUST", 0.0)
    bucket.bucket.cache_clear()
    assert not (ncviz.open_run(url).path / layout.HISTORY).exists()


def test_a_file_written_since_it_was_listed_is_listed_again(flaky, monkeypatch):
    monkeypatch.setattr(bucket, "TRUST", 1e6)
    run = ncviz.open_run(flaky)
    longer = (run.path / layout.HISTORY).read_text().replace("0.1", "0.25")
    shutil.rmtree(cache.cache_folder())
    fsspec.filesystem("flaky").pipe_file("/runs/cats/history.csv", longer.encode())
    assert set(run.history["learning_rate"]) == {0.25}


# The cache


def test_the_cache_is_bounded_and_keeps_what_is_in_use(flaky, tmp_path, monkeypatch):
    monkeypatch.setenv("NCVIZ_CACHE_GB", "0.00002")
    run = ncviz.open_run(flaky)
    run.detection()
    kept = sum(path.stat().st_size for path in copies(tmp_path))
    assert kept > 20_000  # all of it was used just now
    for path in copies(tmp_path):
        os.utime(path, (1, 1))
    recent = copies(tmp_path)[0]
    os.utime(recent)
    cache.sweep()
    left = copies(tmp_path)
    assert recent in left
    assert sum(path.stat().st_size for path in left) <= 20_000 + recent.stat().st_size
    assert len(run.detection())  # what was removed comes again
    for text in ("much", "-1", "nan"):
        monkeypatch.setenv("NCVIZ_CACHE_GB", text)
        with pytest.raises(InvalidOptionError, match=f"NCVIZ_CACHE_GB is '{text}'"):
            cache.sweep()


def test_readers_at_once_see_whole_files(flaky, tmp_path):
    run = ncviz.open_run(flaky)
    expected = run.detection()
    shutil.rmtree(tmp_path / "cache")
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: run.detection(), range(8)):
            pd.testing.assert_frame_equal(found, expected)
    assert not [path for path in copies(tmp_path) if path.name.startswith(".")]


def test_a_copy_that_lost_its_content_is_fetched_again(url, tmp_path):
    run = ncviz.open_run(url)
    assert len(run.history) == 9
    for path in copies(tmp_path):
        path.write_bytes(b"")
    assert len(run.history) == 9


def test_a_full_disk_is_one_error(url, disk, monkeypatch):
    small = disk(8)
    monkeypatch.setenv("NCVIZ_CACHE", str(small.folder))
    with pytest.raises(StorageError, match=r"No space left.*set NCVIZ_CACHE"):
        ncviz.open_run(url).detection()
    assert not list(small.folder.rglob("*.part"))


# Never written


def test_a_run_at_a_url_is_not_written(made, url, tmp_path):
    before = {name: bytes(file.getvalue()) for name, file in memory.MemoryFileSystem.store.items()}
    run = ncviz.open_run(url)
    evaluate([run], progress=False)  # everything is current
    told = (
        r"memory://runs/\w+.* cannot be written: runs at a URL are read-only. Copy the run.*fs.get"
    )
    shutil.copytree(made.path, tmp_path / "stale")
    path = "/runs/cats/epochs/0004/results/detection.parquet"
    content = before.pop(path)
    fsspec.filesystem("memory").rm(path)
    with pytest.raises(StorageError, match=told):
        evaluate([ncviz.open_run(url)], progress=False)
    for write in (
        lambda: embed(run, progress=False),
        lambda: files.write_json(run.path / "notes.json", {}),
        lambda: (run.path / "notes.json").open("w"),
        lambda: new_folder(place("memory://runs/new")).__enter__(),
    ):
        with pytest.raises(StorageError, match=told):
            write()
    now = {name: bytes(file.getvalue()) for name, file in memory.MemoryFileSystem.store.items()}
    assert now == before
    assert content


def test_a_run_at_a_url_is_packed_into_a_folder(made, url, tmp_path, files_below):
    fsspec.filesystem("memory").pipe_file("/runs/cats/training/state.safetensors", b"x")
    fsspec.filesystem("memory").pipe_file("/runs/cats/.lock", b"x")
    pack(ncviz.open_run(url), tmp_path / "here" / "cats", weights=[])
    pack(made, tmp_path / "there" / "cats", weights=[])
    assert files_below(tmp_path / "here") == files_below(tmp_path / "there")


def test_scripts_read_a_run_at_a_url_and_write_none(call, url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("evaluate", "cats", "--checkpoints", "memory://runs")
    assert code == 0
    assert out.startswith("cats, epoch 9 of 9")
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", "memory://runs")
    assert call("evaluate", "cats", "--json")[0] == 0
    for words in (
        ("train", "digits", "--run", "new"),
        ("import_features", str(tmp_path), "--run", "new"),
    ):
        code, _, err = call(*words)
        assert code == 2
        assert "error: memory://runs/" in err
        assert "read-only" in err
    assert not (tmp_path / "memory:").exists()


def test_how_to_copy_is_a_command_that_does(made, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError) as caught:
        require_local(place(url))
    words = shlex.split(
        str(caught.value).rpartition("work there: ")[2].replace(url, str(made.path))
    )
    subprocess.run([sys.executable, *words[1:]], check=True)
    assert ncviz.open_run("checkpoints/cats").epochs == made.epochs


# What fails


def test_a_connection_that_is_cut_leaves_nothing_behind(flaky, tmp_path):
    run = ncviz.open_run(flaky)
    number = len(copies(tmp_path))
    Flaky.fail = True
    with pytest.raises(RemoteError, match=r"history\.csv came with \d+ bytes instead of \d+"):
        assert run.history
    Flaky.fail = ConnectionResetError(f"reset by flaky://me:{SECRET}@host?sig={SECRET}")
    with pytest.raises(RemoteError, match=r"could not be read \(ConnectionResetError: reset by"):
        assert run.history
    assert len(copies(tmp_path)) == number
    Flaky.fail = None
    assert len(run.history) == 9


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError("x"), "There is nothing at flaky://host/runs/cats"),
        (PermissionError("Forbidden"), r"does not let us read flaky://host.*\(Forbidden\)\. Set"),
        (type("NoCredentialsError", (Exception,), {})("Unable"), "does not let us read .*Unable"),
        (socket.gaierror(-2, f"https://me:{SECRET}@host/ not known"), "could not be read .*gaierr"),
        (TimeoutError(), "could not be read .TimeoutError: TimeoutError"),
        (RuntimeError(f"token {SECRET} or me:{SECRET} of https://x/?sig=1 is bad"), "is bad"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_store_says_is_a_sentence_without_credentials(flaky, error, told, monkeypatch):
    Flaky.fail = error
    for read in (ncviz.open_run, ncviz.open_runs):
        with pytest.raises(RemoteError, match=told) as caught:
            read(flaky)
        shown = "".join(traceback.format_exception(caught.value))
        assert SECRET not in shown.replace(repr(SECRET), "")
        assert "sig=1" not in shown


def test_credentials_are_shown_nowhere(flaky):
    run = ncviz.open_run(flaky)
    assert str(run.path) == "flaky://host/runs/cats"
    for text in (repr(run), repr(run.path), str(run.path.parent), run.name, run.how_to_extract()):
        assert SECRET not in text
    with pytest.raises(NcvizError) as caught:
        ncviz.open_run(f"{flaky}?sig={SECRET}")
    assert SECRET not in str(caught.value)


def test_kinds_and_packages_that_are_not_there(monkeypatch):
    with pytest.raises(RemoteError, match="nokind://x cannot be read: Protocol not known: nokind"):
        ncviz.open_run("nokind://x")
    for text in ("memory://runs/a?b", "simplecache::memory://runs", "zip://x::memory://y"):
        with pytest.raises(InvalidOptionError, match=r"is no URL of a folder|name one"):
            ncviz.open_run(text)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackageError, match=r"Reading s3://b/x takes a package.*s3fs"):
        ncviz.open_run("s3://b/x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingPackageError, match=r"pip install -r requirements-remote\.txt"):
        ncviz.open_run("gs://b/x")


def test_nothing_at_a_url_is_told(url):
    with pytest.raises(RemoteError, match="There is nothing at memory://elsewhere"):
        ncviz.open_runs("memory://elsewhere")
    with pytest.raises(UnknownNameError, match="There is no run yet"):
        ncviz.open_run("memory://elsewhere/x")
    with pytest.raises(MissingDataError, match=r"memory://runs/cats/x\.json does not exist"):
        files.read_json(place(url) / "x.json")


def test_names_in_a_bucket_lead_nowhere(made, url, tmp_path):
    store = fsspec.filesystem("memory")
    text = (made.path / "run.json").read_bytes()
    for name in ("..", "../../up", "a:b", "a\\b", "new\nline", "x" * 201, ".hid"):
        store.pipe_file(f"/runs/{name}/run.json", text)
    store.pipe_file("/runs/cats/epochs/../../../x/head.safetensors", b"x")
    listing = list_runs("memory://runs")
    assert set(listing.runs) == {"cats"}
    assert all(isinstance(error, InvalidOptionError) for error in listing.problems.values())
    assert listing.runs["cats"].epochs == made.epochs
    assert not any(".." in str(path) for path in place(url).rglob("*"))
    with pytest.raises(InvalidOptionError, match="leads out of memory://runs"):
        place("memory://runs") / ".."
    with pytest.raises(InvalidOptionError, match="cannot be the name of a run"):
        run_folder("../x", "memory://runs")
    listing.runs["cats"].detection()
    assert all(path.is_relative_to(tmp_path / "cache") for path in tmp_path.rglob("*.safetensors"))


# The app


@pytest.mark.parametrize("page", [None, "pages/1_Neural_collapse.py", "pages/2_OOD_scores.py"])
def test_pages_show_runs_at_a_url(url, page, monkeypatch):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", "memory://runs")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    if page:
        app.switch_page(page)
    app.run()
    assert not app.exception
    assert not app.error
    assert app.sidebar.selectbox[0].value == "cats"


def test_a_page_says_what_is_wrong_with_a_url(monkeypatch):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", f"flaky://me:{SECRET}@host/nothing")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert not app.exception
    (error,) = app.error
    assert "There is nothing at flaky" in error.value
    assert SECRET not in error.value


def test_what_a_path_is_asked_for(url):
    path = place(url)
    assert path == RemotePath(path._bucket, ()) == path.resolve() == path.absolute()
    assert len({path, path / "run.json", path / "run.json"}) == 2
    file = path / "epochs" / "0009" / "head.safetensors"
    assert (file.name, file.suffix, file.parent.name) == (
        "head.safetensors",
        ".safetensors",
        "0009",
    )
    assert file.with_suffix("").name == "head"
    assert file.relative_to(path) == Path("epochs/0009/head.safetensors")
    with pytest.raises(ValueError, match="is not below"):
        path.relative_to(file)
    assert (file.is_file(), file.parent.is_dir(), file.parent.is_file()) == (True, True, False)
    assert file.stat().st_size == file.size == len(file.read_bytes())
    assert str(path.parent) == "memory://runs"
    assert [each.name for each in path.glob("*.json")] == ["run.json"]
