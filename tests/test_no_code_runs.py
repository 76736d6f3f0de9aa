"""No file makes code run: nothing in the tree unpickles, and pickled bombs do not go off."""

from __future__ import annotations

import ast
import io
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from whole_runs import make_whole_run, readers_of

from ncviz import data
from ncviz.errors import CorruptFileError, InvalidArrayError, NcvizError
from ncviz.extraction.weights import load_weights
from ncviz.importing import formats
from ncviz.importing.read import read_export
from ncviz.store import list_runs, open_run

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("ncviz", "scripts", "pages", "benchmarks", "docs")
SOURCES = [ROOT / "app.py", *(path for each in FOLDERS for path in (ROOT / each).rglob("*.py"))]

FORBIDDEN = {
    *("eval", "exec", "compile", "__import__"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "pickle._Unpickler"),
    *("joblib.load", "cloudpickle.load", "cloudpickle.loads", "dill.load", "dill.loads"),
    *("marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load"),
    *("pandas.read_pickle", "pd.read_pickle", "pandas.eval", "pd.eval", "pandas.read_hdf"),
    *("np.fromregex", "os.system", "os.popen", "torch.jit.load", "torch.package.PackageImporter"),
    *("torch.hub.load", "torch.utils.model_zoo.load_url", "torch.hub.load_state_dict_from_url"),
}
"""calls that make code of what they read"""
REQUIRED = {
    "torch.load": ("weights_only", True),
    "get_state_dict": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
}
"""calls that are safe with this argument alone"""


def wrong_calls(text: str) -> list[str]:
    """The calls in a module that could run what they read."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "marshal", "joblib"):
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found += sorted(named & FORBIDDEN)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {each.arg: each.value for each in node.keywords}
        if name in FORBIDDEN or (name.startswith("subprocess.") and "shell" in given):
            found.append(name)
        for ending, (argument, value) in REQUIRED.items():
            if name == ending or name.endswith(f".{ending}"):
                set_to = given.get(argument)
                if not (isinstance(set_to, ast.Constant) and set_to.value is value):
                    found.append(name)
    return found


def test_no_call_makes_code_of_what_it_reads():
    found = {path.relative_to(ROOT).as_posix(): wrong_calls(path.read_text()) for path in SOURCES}
    assert not {path: calls for path, calls in found.items() if calls}
    assert len(found) > 200


@pytest.mark.parametrize(
    "text",
    [
        "import torch; torch.load('a.pt')",
        "torch.load('a.pt', weights_only=False)",
        "torch.load('a.pt', weights_only=flag)",
        "np.load('a.npz')",
        "np.load('a.npz', allow_pickle=True)",
        "from pickle import loads",
        "pickle.load(file)",
        "pd.read_pickle('a')",
        "joblib.load('a')",
        "eval('1')",
        "subprocess.run('ls', shell=True)",
        "weights.get_state_dict(progress=True)",
    ],
)
def test_the_search_finds_what_it_is_for(text):
    assert wrong_calls(text)


# Bombs: files that would make a folder if anything unpickled them


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def as_torch(bomb: Bomb) -> bytes:
    content = io.BytesIO()
    torch.save({"weight": torch.ones(2, 3), "bias": torch.ones(2), "x": bomb}, content)
    return content.getvalue()


def as_old_torch(bomb: Bomb) -> bytes:
    content = io.BytesIO()
    torch.save({"weight": bomb}, content, _use_new_zipfile_serialization=False)
    return content.getvalue()


def as_npy(bomb: Bomb) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([bomb], dtype=object), allow_pickle=True)
    return content.getvalue()


def as_npz(bomb: Bomb) -> bytes:
    content = io.BytesIO()
    np.savez(content, features=np.array([bomb], dtype=object), labels=np.zeros(1, int))
    return content.getvalue()


def as_hidden_npz(bomb: Bomb) -> bytes:
    """Entries whose header says numbers, and whose body is a pickle."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("features.npy", pickle.dumps(bomb))
        archive.writestr("labels.npy", as_npy(bomb))
    return content.getvalue()


BOMBS = {
    "pickle": pickle.dumps,
    "old pickle": lambda bomb: pickle.dumps(bomb, protocol=0),
    "torch": as_torch,
    "old torch": as_old_torch,
    "npy": as_npy,
    "npz": as_npz,
    "hidden npz": as_hidden_npz,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with every kind of file; a test puts back what it changes."""
    return make_whole_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def sprung(tmp_path):
    """The folder that a bomb makes; at the end it must not be there."""
    yield tmp_path / "sprung"
    assert not (tmp_path / "sprung").exists()


def test_the_bombs_are_live(tmp_path):
    for at, make in enumerate((pickle.dumps, lambda bomb: pickle.dumps(bomb, protocol=0))):
        pickle.loads(make(Bomb(tmp_path / str(at))))
        assert (tmp_path / str(at)).is_dir()
    torch.load(io.BytesIO(as_torch(Bomb(tmp_path / "torch"))), weights_only=False)
    np.load(io.BytesIO(as_npy(Bomb(tmp_path / "npy"))), allow_pickle=True)
    assert (tmp_path / "torch").is_dir()
    assert (tmp_path / "npy").is_dir()


def one_line(error: pytest.ExceptionInfo, path: Path) -> None:
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors", ".parquet", ".csv"])
def test_importing_refuses_bombs(sprung, tmp_path, make, suffix):
    part = ".features" if suffix == ".npy" else ""
    for name in ("train", "test"):
        path = tmp_path / f"{name}{part}{suffix}"
        path.write_bytes(make(Bomb(sprung)))
    with pytest.raises(NcvizError) as error:
        read_export(tmp_path)
    one_line(error, tmp_path / f"train{part}{suffix}")


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".npz", ".npy", ".bin"])
def test_adopting_weights_refuses_bombs(sprung, tmp_path, make, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(make(Bomb(sprung)))
    with pytest.raises(CorruptFileError) as error:
        load_weights(nn.Linear(3, 2), path)
    one_line(error, path)


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_no_file_of_a_run_is_unpickled(whole, sprung, make):
    bomb = make(Bomb(sprung))
    for path in [each for each in whole.path.rglob("*") if each.is_file()]:
        before = path.read_bytes()
        path.write_bytes(bomb)
        refused = 0
        try:
            if list_runs(whole.path.parent).problems:
                refused += 1
            for read in readers_of(whole, path).values():
                try:
                    read()
                except NcvizError:
                    refused += 1
        finally:
            path.write_bytes(before)
        assert refused, path
    assert open_run(whole.path).epoch(4).head()


def test_a_data_set_of_pickles_is_read_only_if_it_is_the_published_one(sprung, tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test", "meta"):
        (folder / name).write_bytes(pickle.dumps(Bomb(sprung)))
    with pytest.raises(NcvizError, match="cifar100"):
        data.load("cifar100", "test", root=tmp_path)


# What `weights_only` lets through


def saved(path: Path, weights: object, **options) -> Path:
    torch.save(weights, path, **options)
    return path


def packed(path: Path, content: bytes) -> Path:
    """The file of weights, compressed: torch.save never does, and it unfolds."""
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(path, "w") as made:
        for entry in given.infolist():
            made.writestr(entry.filename, given.read(entry), zipfile.ZIP_DEFLATED)
    return path


def as_bytes(weights: object, **options) -> bytes:
    content = io.BytesIO()
    torch.save(weights, content, **options)
    return content.getvalue()


def with_numbers_claimed(path: Path, *, old: bool) -> Path:
    """A file of weights that says its 1 KiB of numbers are 1 GiB."""
    weights = {"weight": torch.ones(1, 256), "bias": torch.zeros(1)}
    content = as_bytes(weights, _use_new_zipfile_serialization=not old)
    few, many = b"M\x00\x01", b"J" + struct.pack("<i", 2**28)
    if old:
        path.write_bytes(content.replace(few, many))
        return path
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(path, "w") as made:
        for entry in given.infolist():
            body = given.read(entry)
            assert not entry.filename.endswith("data.pkl") or few in body
            made.writestr(entry.filename, body.replace(few, many))
    return path


def repeated(path: Path) -> Path:
    """One number, seen as 2^40 of them."""
    return saved(path, {"weight": torch.ones(1, 1).expand(2**20, 2**20), "bias": torch.ones(2)})


WEIGHTS = {
    "sparse": lambda path: saved(path, {"weight": torch.eye(2, 3).to_sparse()}),
    "complex": lambda path: saved(path, {"weight": torch.ones(2, 3, dtype=torch.complex64)}),
    "meta": lambda path: saved(path, {"weight": torch.ones(2, 3, device="meta")}),
    "no name": lambda path: saved(path, {0: torch.ones(2, 3)}),
    "other objects": lambda path: saved(path, {"weight": [1, 2]}),
    "list": lambda path: saved(path, [torch.ones(2, 3)]),
    "compressed": lambda path: packed(path, as_bytes({"weight": torch.zeros(10**6)})),
    "repeated": repeated,
    "claimed": lambda path: with_numbers_claimed(path, old=False),
    "claimed in the old format": lambda path: with_numbers_claimed(path, old=True),
}


@pytest.mark.parametrize("make", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_no_plain_numbers_are_refused(tmp_path, make):
    path = make(tmp_path / "weights.pt")
    with pytest.raises((CorruptFileError, InvalidArrayError)) as error:
        load_weights(nn.Linear(3, 2), path)
    one_line(error, path)


def lying_npz(path: Path, *, entry: int, shape: int) -> Path:
    """An archive whose entry says it is `entry` bytes long, and its array has `shape` numbers."""
    header = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": (shape, 1)}
    np.lib.format.write_array_header_1_0(header, described)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("features.npy", header.getvalue() + bytes(80))
    found = content.getvalue()
    size = struct.pack("<I", len(header.getvalue()) + 80)
    # The size is stated packed and unpacked, in the entry's own header and in the directory.
    path.write_bytes(found.replace(size * 2, size + struct.pack("<I", entry)))
    return path


@pytest.mark.parametrize(("entry", "shape"), [(2**32 - 1, 2**28), (208, 2**28), (2**32 - 1, 10)])
def test_archives_that_lie_about_their_size(tmp_path, entry, shape):
    path = lying_npz(tmp_path / "train.npz", entry=entry, shape=shape)
    with pytest.raises(CorruptFileError) as error:
        formats.read_contents({"": path})
    one_line(error, path)


def test_what_there_is_no_memory_for_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", features=np.zeros((10**5, 1)))
    monkeypatch.setattr(formats, "_free_memory", lambda: 10**5)
    with pytest.raises(InvalidArrayError, match=r"a\.npz unpacks to .* Export npy files"):
        formats.read_contents({"": tmp_path / "a.npz"})


READ_ALL = """
import resource, sys
from pathlib import Path
from torch import nn
from ncviz.errors import NcvizError
from ncviz.extraction.weights import load_weights
from ncviz.importing import formats
load_weights(nn.Linear(3, 2), Path(sys.argv[1]) / "good.pt")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).glob("bad*")):
    try:
        formats.read_contents({"": path}) if path.suffix == ".npz" else load_weights(
            nn.Linear(3, 2), path)
    except NcvizError:
        continue
    raise SystemExit(f"{path} was read")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_bombs_take_no_memory(tmp_path):
    saved(tmp_path / "good.pt", nn.Linear(3, 2).state_dict())
    for old in (True, False):
        with_numbers_claimed(tmp_path / f"bad{old}.pt", old=old)
    repeated(tmp_path / "bad.pt")
    packed(tmp_path / "bad2.pt", as_bytes({"weight": torch.zeros(4 * 10**7)}))
    lying_npz(tmp_path / "bad.npz", entry=2**32 - 1, shape=2**28)
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    limit = (20 * 2**30, 20 * 2**30)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) < 100_000, "kilobytes"
