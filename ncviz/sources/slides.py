"""The slides on controlling neural collapse: their numbers, and what they claim without one."""

from __future__ import annotations

from ncviz.sources.record import Claim, Collapse, Document, Ratio, Row, Table, Trend

_CODE = "The slides give no formula; this is what the paper's code computes."

_EMBEDDINGS = Table(
    "Encoder against projector",
    "slide “Qualitative Results: Encoder Vs. Projector”",
    (
        Row(
            "NC1 of the encoder",
            "2.18",
            Collapse("nc1_pinv", "encoder"),
            note=f"{_CODE} The chart shows 10 ImageNet classes; NC1 depends on the classes that "
            "it is taken over.",
        ),
        Row("NC1 of the projector", "0.39", Collapse("nc1_pinv", "projector")),
        Row(
            "how many times lower",
            "5.6x",
            Ratio("nc1_pinv", "encoder", "projector"),
            note="Follows from the two numbers above.",
        ),
    ),
)

_CRITERIA = Table(
    "The four criteria, which the slides name without a number",
    "slide “What is Neural Collapse?”",
    (
        Row("NC1: feature collapse", "", Collapse("nc1_pinv"), note=_CODE),
        Row(
            "NC2: simplex ETF structure",
            "",
            Collapse("nc2_weights_gram"),
            note="The paper's code looks at the rows of the head, not at the class means.",
        ),
        Row(
            "NC3: self-duality",
            "",
            Collapse("nc3_product"),
            note="The paper's code compares the product of head and class means with the ETF, "
            "which mixes NC2 into it.",
        ),
        Row(
            "NC4: nearest class mean decision",
            "",
            Collapse("nc4_agreement"),
            note="The paper's code has another quantity under this name, ‖Wμ_G + b‖: see the "
            "definition of nc4_bias on this page.",
        ),
    ),
)

SLIDES = Document(
    name="slides",
    title="Controlling Neural Collapse Enhances Out-of-Distribution Detection and Transfer "
    "Learning",
    authors="Md Yousuf Harun, Jhair Gallardo, Christopher Kanan",
    published="arXiv 2502.10691",
    address="https://arxiv.org/abs/2502.10691",
    setting=(
        ("Data", "ImageNet-100 (ID); averaged across eight OOD datasets"),
        ("Network", "various DNNs: encoder, fixed simplex ETF projector"),
        ("Training", "entropy regularization in the encoder"),
    ),
    ood_set="",
    why_other="Other networks, on larger images of other classes, and other OOD sets.",
    tables=(_EMBEDDINGS, _CRITERIA),
    claims=(
        Claim(
            "Projector embeddings exhibit significantly stronger neural collapse",
            "nc1_pinv",
            "NC1",
            "projector",
        ),
        Claim(
            "The encoder mitigates NC and becomes a better OOD generalizer than the projector.",
            "transfer",
            "mean transfer error of a linear probe",
            "encoder",
        ),
        Claim(
            "The projector intensifies NC and becomes a better OOD detector than the encoder.",
            "fpr95",
            "mean FPR95 of the energy of a linear probe",
            "projector",
        ),
        Claim(
            "The projector intensifies NC and becomes a better OOD detector than the encoder.",
            "auroc",
            "mean AUROC of the energy of a linear probe",
            "encoder",
        ),
        Claim(
            "The stronger the neural collapse, the lower the entropy and vice-versa.",
            "entropy",
            "entropy, mean log distance to the nearest neighbour",
            "",
        ),
    ),
    trends=(
        Trend(
            "Increasing neural collapse improves OOD detection",
            "fpr95",
            "mean FPR95 of the energy of a linear probe",
            rises=True,
        ),
        Trend(
            "Increasing neural collapse improves OOD detection",
            "auroc",
            "mean AUROC of the energy of a linear probe",
            rises=False,
        ),
        Trend(
            "hinders OOD generalization",
            "transfer",
            "mean transfer error of a linear probe",
            rises=False,
        ),
        Trend(
            "Neural Collapse (NC1) correlates with entropy.",
            "entropy",
            "entropy, mean log distance to the nearest neighbour",
            rises=True,
        ),
    ),
    notes=(
        "Further results of the slides are charts, whose values are not in their text and are "
        "not guessed here. That control improves on a baseline takes two runs: see the Trade-off "
        "page.",
    ),
)
