"""Prints every detector as Markdown: python -m ncviz.detectors."""

from __future__ import annotations

from collections.abc import Iterator

from ncviz.detectors import DetectorInfo, info, names, probe_energy


def document() -> str:
    """Every detector with formula, source, needs, defaults and caveat, family by family."""
    found = [*map(info, names()), probe_energy.INFO]
    families = dict.fromkeys(each.family for each in found)
    lines = [
        "# Detectors",
        "",
        "Printed by `python -m ncviz.detectors`. A detector turns what a network makes of a sample",
        "into one number, its score, which is always HIGHER = MORE IN-DISTRIBUTION; some papers",
        "define it with the other sign. `h` are the features of a layer, `z` the logits, `p` their",
        "softmax, `ŷ` the predicted class; `W` and `b` are the head, `μ_c` and `μ_G` the means of",
        "a class and of all training features, `Σ_W` and `Σ_T` the covariance within classes and",
        "the total one, `ĥ` is `h / ‖h‖`. Parameters have the defaults of their papers.",
        "",
        "| name | looks at | learns from | source |",
        "|---|---|---|---|",
    ]
    for one in found:
        seen, learned = (", ".join(each) or "nothing" for each in _split_needs(one))
        lines.append(f"| [`{one.name}`](#{_anchor(one)}) | {seen} | {learned} | {one.source} |")
    for family in families:
        lines += ["", f"## {family[:1].upper()}{family[1:]}"]
        for one in found:
            if one.family == family:
                lines += _section(one)
    return "\n".join(lines)


def _section(one: DetectorInfo) -> Iterator[str]:
    yield from ("", f"### {_title(one)}", "", "$$", one.formula, "$$", "")
    if one.defaults:
        defaults = ", ".join(f"`{name} = {value}`" for name, value in one.defaults.items())
        none = (
            " (None: chosen from the layer, fitted, or not used)"
            if None in one.defaults.values()
            else ""
        )
        yield from (f"Parameters: {defaults}{none}.", "")
    yield f"{one.source}. {one.caveat}"


def _title(one: DetectorInfo) -> str:
    return f"{one.label}: `{one.name}`"


def _anchor(one: DetectorInfo) -> str:
    # As GitHub makes anchors of headings: lower case, marks dropped, blanks to hyphens.
    kept = (each for each in _title(one).lower() if each.isalnum() or each in " _-")
    return "".join(kept).replace(" ", "-")


def _split_needs(one: DetectorInfo) -> tuple[list[str], list[str]]:
    """What it looks at of a sample, and what it learned from beforehand."""
    seen = [need for need in one.needs if need in ("features", "logits", "network")]
    return seen, [need for need in one.needs if need not in seen]


if __name__ == "__main__":
    print(document())
