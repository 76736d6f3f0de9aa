"""Files of a run damaged at random: a typed error that names the file, or what was written."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import struct
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from whole_runs import EPOCH, add_distributions, make_whole_run, readers, readers_of

from ncviz.errors import CorruptFileError, MissingDataError, NcvizError
from ncviz.store import Epoch, checksums, files, layout, list_runs, open_run
from ncviz.store.description import SEALED

SECONDS = 10
"""after which a reader of a file of a few kilobytes counts as hung"""
ROOM = 400_000
"""kilobytes that all damaged files together may add to the memory of the process"""


def cases(count: int) -> settings:
    """`count` cases, the same in every run of the tests."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = make_whole_run(tmp_path_factory.mktemp("fuzzed"))
    add_distributions(run)
    return run


@pytest.fixture(scope="module")
def original(run) -> dict[str, object]:
    """What each reader reads of the undamaged run, in a form that can be compared."""
    return Known({name: told(read()) for name, read in readers(run).items()})


class Known(dict):
    """Short where a failing case is printed."""

    def __repr__(self) -> str:
        return f"<{len(self)} readers>"


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """No damaged file makes the process larger than it was, by more than there is room for."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < ROOM


def told(value: Any) -> str:
    """A digest that is equal for equal values alone, to the last bit."""
    return hashlib.sha256(repr(_told(value)).encode()).hexdigest()


def _told(value: Any) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, pd.DataFrame):
        return value.to_json(orient="split", double_precision=15), tuple(map(str, value.dtypes))
    if isinstance(value, dict):
        return tuple((name, _told(each)) for name, each in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_told, value))
    if hasattr(value, "__dict__"):
        return _told(vars(value))
    return repr(value)


@contextmanager
def in_time():
    """A reader that hangs fails the test."""

    def give_up(*_):
        raise AssertionError("hung")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def content_of(path: Path, content: bytes):
    """`path` with other content, for as long as the block takes."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def check(run, original, path: Path, content: bytes) -> str:
    """What became of the readers of a damaged file; fails the test where a value is wrong."""
    errors, wrong = [], []
    with content_of(path, content), in_time():
        if path.name == layout.DESCRIPTION:
            return check_description(run, original)
        for name, read in readers_of(run, path).items():
            try:
                value = told(read())
            except NcvizError as error:
                errors.append(str(error))
                continue
            if value != original[name] and path.name != layout.HISTORY:
                wrong.append(name)
    if not errors:
        assert not wrong, f"{path} was read as something else: {wrong}"
        return "right"
    assert any(path.name in error for error in errors), (path, content, errors)
    assert all("\n" not in error for error in errors)
    # A file that is damaged may be missed by what lists what there is, and by nothing else.
    assert set(wrong) <= {"layers", "detector names", "judges"}, wrong
    return "refused"


def check_description(run, original) -> str:
    listing = list_runs(run.path.parent)
    if listing.problems:
        (error,) = listing.problems.values()
        assert layout.DESCRIPTION in str(error)
        assert "\n" not in str(error)
        return "refused"
    found = open_run(run.path)
    for field in SEALED:
        assert found.description.get(field) == run.description.get(field), field
    assert told(readers(found)["head"]()) == original["head"]
    return "right"


def damage(content: bytes) -> st.SearchStrategy[bytes]:
    """Bits flipped, parts cut off, repeated, zeroed or put in, most often near both ends."""
    size = max(len(content), 1)
    near = st.integers(0, min(size, 600) - 1)
    at = st.one_of(near, near.map(lambda place: size - 1 - place), st.integers(0, size - 1))

    def flip(places: list[tuple[int, int]]) -> bytes:
        changed = bytearray(content or b"\0")
        for place, bit in places:
            changed[place] ^= 1 << bit
        return bytes(changed)

    def zero(place: int, length: int) -> bytes:
        return content[:place] + bytes(min(length, size - place)) + content[place + length :]

    short = st.integers(1, 64)
    return st.one_of(
        st.lists(st.tuples(at, st.integers(0, 7)), min_size=1, max_size=1).map(flip),
        st.lists(st.tuples(at, st.integers(0, 7)), min_size=1, max_size=8).map(flip),
        at.map(lambda place: content[:place]),
        st.builds(lambda place, length: content[:place] + content[place + length :], at, short),
        st.builds(zero, at, short),
        st.builds(lambda place, new: content[:place] + new + content[place:], at, st.binary()),
        st.builds(lambda place, length: content + content[place : place + length], at, short),
        st.binary(max_size=200),
    )


def paths_of(run) -> list[Path]:
    return sorted(path for path in run.path.rglob("*") if path.is_file())


@cases(300)
@given(data=st.data())
def test_random_damage(run, original, data):
    path = data.draw(st.sampled_from(paths_of(run)))
    content = path.read_bytes()
    changed = data.draw(damage(content))
    outcome = check(run, original, path, changed)
    if changed == content:
        assert outcome == "right"


def test_every_kind_of_file_is_fuzzed(run, original):
    sets = ("made/train", "made/test", "letters/test", "noise/test")
    of_epoch = (
        *(layout.MODEL, layout.HEAD, layout.STATISTICS, layout.TEST_STATISTICS, layout.PROBES),
        *(layout.DETECTORS, layout.SCORES, layout.DISTRIBUTIONS, layout.MAPS, layout.TRANSFER),
        *layout.TABLES.values(),
        *(f"{layout.FEATURES}/{name}.safetensors" for name in sets),
        *(f"{layout.NETWORK_SCORES}/{name}.safetensors" for name in sets[1:]),
    )
    epoch = layout.epoch_folder(run.path, EPOCH)
    expected = {epoch / name for name in of_epoch}
    of_run = (layout.DESCRIPTION, layout.HISTORY, layout.SAMPLES, layout.TRAINING_STATE)
    expected |= {run.path / name for name in of_run}
    assert set(paths_of(run)) == expected  # without duplicates, which this run has none of
    for path in paths_of(run):
        assert readers_of(run, path), path
        assert check(run, original, path, path.read_bytes()) == "right"


def test_single_bits_of_numbers_are_never_missed(run, original):
    """Every file with arrays or tables: 8 single bits in the middle, where its numbers are."""
    rng = np.random.default_rng(0)
    for path in paths_of(run):
        if path.suffix not in (".safetensors", ".parquet"):
            continue
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little") if path.suffix == ".safetensors" else 4
        for place in rng.integers(start, len(content), 8):
            changed = bytearray(content)
            changed[place] ^= 1 << int(rng.integers(8))
            outcome = check(run, original, path, bytes(changed))
            assert outcome == "refused" or path.suffix == ".parquet", path


# Lies that are well-formed


NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2**31, 2**53, 2**63, 2**64, 10**30, -(2**63), 0.5, 1e308, -0.0]),
    st.sampled_from(["", "a", "../../x", "a\0b", "\ud800", "F64", "BF16", "I8", "x" * 1000, "é"]),
    st.lists(st.integers(-5, 2**62), max_size=4),
    st.just([[]] * 3),
    st.just({}),
)


def places_in(value: Any, at: tuple = ()) -> list[tuple]:
    """Where there are values inside JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, each in inner:
        found.append((*at, key))
        if isinstance(each, dict | list):
            found += places_in(each, (*at, key))
    return found


def put(value: Any, place: tuple, new: Any) -> Any:
    """A copy of JSON with another value in one place."""
    changed = json.loads(json.dumps(value))
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return changed


def header_of(content: bytes) -> tuple[dict, bytes]:
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), content[start:]


def as_arrays(header: Any, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


@cases(150)
@given(data=st.data())
def test_headers_of_arrays_that_lie(run, original, data):
    paths = [path for path in paths_of(run) if path.suffix == ".safetensors"]
    path = data.draw(st.sampled_from(paths))
    header, body = header_of(path.read_bytes())
    place = data.draw(st.sampled_from(places_in(header)))
    check(run, original, path, as_arrays(put(header, place, data.draw(NASTY)), body))


@cases(60)
@given(data=st.data())
def test_descriptions_that_lie(run, original, data):
    path = run.path / layout.DESCRIPTION
    description = json.loads(path.read_text())
    place = data.draw(st.sampled_from(places_in(description)))
    text = json.dumps(put(description, place, data.draw(NASTY)))
    check(run, original, path, text.encode())


RAW = {
    "NaN": '{"format": 1, "accuracy": NaN, ',
    "infinity": '{"format": 1, "accuracy": -Infinity, ',
    "too large": '{"format": 1, "accuracy": 1e999, ',
    "twice": '{"format": 1, "classes": ["a", "b"], "classes": ["a", "c"], ',
    "long number": '{"format": 1, "accuracy": ' + "9" * 10_000 + ", ",
    "deep": '{"format": 1, "x": ' + "[" * 50_000 + "]" * 50_000 + ", ",
    "deep objects": '{"x": ' + '{"y": ' * 50_000 + "1" + "}" * 50_000 + ", ",
    "byte order": '\ufeff{"format": 1, ',
    "zero": '{"format": 1, "\0": 1, ',
}


@pytest.mark.parametrize("start", RAW.values(), ids=RAW)
def test_json_that_is_none(run, original, start):
    path = run.path / layout.DESCRIPTION
    text = path.read_text().replace("{", start, 1)
    assert check(run, original, path, text.encode()) == "refused"


def test_a_description_is_not_read_without_end(run, original, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_TEXT", 100)
    with pytest.raises(CorruptFileError, match=r"run\.json .* at most 100 are read"):
        open_run(run.path)


@pytest.mark.parametrize("field", SEALED)
def test_a_description_changed_by_hand_says_in_what(run, original, field):
    path = run.path / layout.DESCRIPTION
    description = json.loads(path.read_text())
    kept = {
        "recipe": {"name": "made", "model": {"backbone": "resnet18", "width": 9}},
        "classes": ["cat", "dog", "cow"],
        "id_set": "other",
        "layers": ["encoder", "more"],
        "transform": {"size": 8, "mean": [0.4] * 3, "std": [0.5] * 3},
        "ood_sets": {"letters": "far", "noise": "far"},
        "superclasses": ["a", "b", "b"],
        "class_order": "natural",
        "left_out": {"noise": {"grey": "cat"}},
        "sets": {},
        "packed": True,
    }
    description[field] = kept.get(field, {"a": "b"})
    with content_of(path, json.dumps(description).encode()):
        with pytest.raises(CorruptFileError, match=rf"changed in '{field}'.*Undo.*'seal'"):
            open_run(run.path)
        del description["seal"][field]
        path.write_text(json.dumps(description))
        assert open_run(run.path).description[field] == description[field]


def test_notes_in_a_description_may_be_changed(run):
    path = run.path / layout.DESCRIPTION
    description = json.loads(path.read_text()) | {"note": "the good one"}
    with content_of(path, json.dumps(description).encode()):
        assert open_run(run.path).description["note"] == "the good one"


CELLS = ["", "nan", "inf", "-inf", "1e999", "x", '"', "1,2", "9" * 30, "0x10", "\0", "\u202e", "-1"]


@cases(60)
@given(data=st.data())
def test_histories_that_lie(run, original, data):
    path = run.path / layout.HISTORY
    rows = [line.split(",") for line in path.read_text().splitlines()]
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, len(rows[0]) - 1))
    rows[row][column] = data.draw(st.sampled_from([*CELLS, *rows[0]]))
    text = "\n".join(",".join(cells) for cells in rows) + "\n"
    check(run, original, path, text.encode())
    with content_of(path, text.encode()):
        try:
            table = open_run(run.path).history
        except NcvizError:
            return
    # What is left to be edited by hand is still of numbers, and of each epoch once.
    assert np.isfinite(table.to_numpy(float)).all()
    assert (np.diff(table["epoch"]) > 0).all()


TABLE_LIES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no rows": lambda table: table.slice(0, 0),
    "fewer rows": lambda table: table.slice(1),
    "twice": lambda table: pa.concat_tables([table, table]),
    "other order": lambda table: table.take(list(range(len(table)))[::-1]),
    "a column less": lambda table: table.drop_columns(table.column_names[-1]),
    "a column twice": lambda table: table.append_column(
        table.column_names[-1], table.column(table.column_names[-1])
    ),
    "all text": lambda table: pa.table(
        {name: table[name].cast(pa.string()) for name in table.column_names}
    ),
    "nothing": lambda table: pa.table({name: pa.nulls(len(table)) for name in table.column_names}),
    "lists": lambda table: pa.table({name: [[1, 2]] * len(table) for name in table.column_names}),
    "dates": lambda table: pa.table(
        {name: pa.array([0] * len(table), pa.timestamp("ns")) for name in table.column_names}
    ),
}


@pytest.mark.parametrize("lie", TABLE_LIES.values(), ids=TABLE_LIES)
def test_tables_that_lie(run, original, tmp_path, lie):
    for path in [each for each in paths_of(run) if each.suffix == ".parquet"]:
        table = pq.read_table(path, partitioning=None)
        other = tmp_path / path.name
        for metadata in (table.schema.metadata, None):
            try:
                pq.write_table(lie(table).replace_schema_metadata(metadata), other)
            except pa.ArrowException:
                continue
            outcome = check(run, original, path, other.read_bytes())
            assert outcome == "refused" or lie(table).equals(table) or metadata is None, path


def test_a_table_that_unfolds_is_refused(run, original):
    """A value that repeats takes no room in a file, and eight bytes in memory."""
    path = run.path / layout.SAMPLES
    rows = 2 * 10**8
    encoded = pa.RunEndEncodedArray.from_arrays([rows], [1])
    assert len(encoded) == rows
    with content_of(path, path.read_bytes()):
        one = pa.chunked_array([pa.array(np.zeros(10**6, np.int64))] * 20)
        pq.write_table(pa.table({"a": one, "b": one, "c": one, "set": one}), path)
        with pytest.MonkeyPatch.context() as patch, in_time():
            patch.setattr(files, "MOST_CELLS", 10**6)
            with pytest.raises(CorruptFileError, match=r"samples\.parquet .*80,000,000 cells"):
                _ = open_run(run.path).samples


# Seals


def test_a_file_is_read_for_its_seal_once_and_again_when_it_has_changed(run, monkeypatch):
    path = run.path / f"epochs/{EPOCH:04d}" / layout.STATISTICS
    long_ago = time.time() - 100
    os.utime(path, (long_ago, long_ago))
    seals = []
    digest = checksums._of_stored_arrays
    monkeypatch.setattr(
        checksums, "_of_stored_arrays", lambda *args: seals.append(1) or digest(*args)
    )
    monkeypatch.setattr(checksums, "_SETTLED_S", -1.0)
    monkeypatch.setattr(checksums, "_whole", {})
    epoch = run.epoch(EPOCH)
    epoch.statistics()
    epoch.statistics()
    assert len(seals) == 1
    with content_of(path, path.read_bytes()):
        epoch.statistics()
        assert len(seals) == 2


def test_a_file_just_written_is_not_believed_the_second_time(run):
    path = run.path / f"epochs/{EPOCH:04d}" / layout.STATISTICS
    content = path.read_bytes()
    changed = bytearray(content)
    changed[-1] ^= 1
    for _ in range(20):  # within one tick of the clock of most file systems
        with content_of(path, content):
            run.epoch(EPOCH).statistics()
            path.write_bytes(changed)
            with pytest.raises(CorruptFileError, match=r"statistics\.safetensors"):
                run.epoch(EPOCH).statistics()


def without_seal(path: Path) -> None:
    """Remove the seal from the header of a file."""
    content = path.read_bytes()
    if path.suffix == ".safetensors":
        header, body = header_of(content)
        header["__metadata__"].pop(checksums.SEAL)
        path.write_bytes(as_arrays(header, body))
        return
    table = pq.read_table(path, partitioning=None)
    kept = {k: v for k, v in table.schema.metadata.items() if k != checksums.SEAL.encode()}
    pq.write_table(table.replace_schema_metadata(kept), path)


def test_file_without_seal_is_refused(run, original):
    for path in paths_of(run):
        if path.suffix not in (".safetensors", ".parquet"):
            continue
        content = path.read_bytes()
        with content_of(path, content):
            without_seal(path)
            assert check(run, original, path, path.read_bytes()) == "refused", path


def test_every_file_that_is_shipped_is_what_was_written():
    shipped = Path(__file__).resolve().parents[1] / "checkpoints"
    found = [each for each in shipped.rglob("*") if each.suffix in (".safetensors", ".parquet")]
    for path in found:
        if path.suffix == ".safetensors":
            files.array_names(path)
        else:
            files.read_table(path, {})
    assert len(found) > 600
    assert not list_runs(shipped).problems


def test_a_group_that_was_changed_on_purpose_makes_results_stale(run):
    path = run.path / layout.DESCRIPTION
    description = json.loads(path.read_text()) | {"ood_sets": {"letters": "far", "noise": "far"}}
    del description["seal"]["ood_sets"]
    with content_of(path, json.dumps(description).encode()):
        for table in (Epoch.detection, Epoch.detection_means):
            with pytest.raises(MissingDataError, match=r"'letters' as near.*evaluate\.py whole"):
                table(open_run(run.path).epoch(EPOCH))
