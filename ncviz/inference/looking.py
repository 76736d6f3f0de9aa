"""Many images, one after the other: results in order while they come, errors among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncviz.errors import NcvizError
from ncviz.inference.scorer import Scorer, Sight
from ncviz.inference.verdict import Verdict, agree

TOP = 5
_BATCH = 16


@dataclass(frozen=True)
class Result:
    """What came of one file: the sight of its image, or why there is none."""

    name: str
    sight: Sight | None = None
    error: str = ""


def look_at(
    scorer: Scorer, files: Iterable[tuple[str, Callable[[], np.ndarray]]]
) -> Iterator[Result]:
    """Results of `files`, in order, batch by batch.

    Parameters
    ----------
    files : names, and functions that return what `Scorer.see` does; a typed error that one raises
        becomes the file's result
    """
    names, batch = [], []
    for name, see in files:
        names.append(name)
        try:
            batch.append(see())
        except NcvizError as error:
            batch.append(str(error))
        if len(batch) == _BATCH:
            yield from _results(scorer, names, batch)
            names, batch = [], []
    yield from _results(scorer, names, batch)


def _results(
    scorer: Scorer, names: Sequence[str], batch: Sequence[np.ndarray | str]
) -> Iterator[Result]:
    seen = [each for each in batch if not isinstance(each, str)]
    sights = iter(scorer.look(np.stack(seen)) if seen else ())
    for name, each in zip(names, batch, strict=True):
        if isinstance(each, str):
            yield Result(name, error=each)
        else:
            yield Result(name, next(sights))


def record(
    result: Result,
    verdicts: Mapping[str, Verdict],
    classes: Sequence[str],
    detectors: Sequence[str],
) -> dict[str, object]:
    """A row of the CSV file: the first detector's verdict, the classes, then every detector.

    An image that could not be read has the same columns, empty but for its name and the reason.
    """
    row: dict[str, object] = {"file": result.name, "error": result.error}
    chosen = verdicts.get(detectors[0])
    row |= {
        "verdict": chosen.word if chosen else "",
        "p_value": chosen.p_value if chosen else "",
        "unknown_by": agree(list(verdicts.values())).unknown if verdicts else "",
        "detectors": len(detectors),
    }
    top = result.sight.top(TOP) if result.sight else []
    for at in range(min(TOP, len(classes))):
        number, probability = top[at] if top else (None, "")
        row[f"class{at + 1}"] = "" if number is None else classes[number]
        row[f"probability{at + 1}"] = probability
    for name in detectors:
        verdict = verdicts.get(name)
        row |= {
            f"{name}_score": verdict.score if verdict else "",
            f"{name}_p_value": verdict.p_value if verdict else "",
            f"{name}_verdict": verdict.word if verdict else "",
        }
    return row
