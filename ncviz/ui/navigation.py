"""The pages there are; a new page is one entry here and one file in `pages/`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page: its script, its name in the sidebar, an icon and the question it answers.

    `terms` are the words of `ncviz.glossary` that it is read with.
    """

    path: str
    title: str
    icon: str
    question: str
    terms: tuple[str, ...] = ()


OVERVIEW = Page(
    "app.py",
    "Overview",
    ":material/dashboard:",
    "What is here, and what should I look at first?",
    ("Run", "Epoch", "Layer", "Neural collapse", "NC1", "ID", "OOD", "Near and far", "AUROC"),
)
NEURAL_COLLAPSE = Page(
    "pages/1_Neural_collapse.py",
    "Neural collapse",
    ":material/hub:",
    "How collapsed is this network at this epoch?",
    ("NC1", "NC2", "NC3", "NC4", "NC5", "Class mean", "ETF", "Gram matrix", "Head"),
)
OOD_SCORES = Page(
    "pages/2_OOD_scores.py",
    "OOD scores",
    ":material/troubleshoot:",
    "How well does this score tell known from unknown, and where would I cut?",
    ("ID", "OOD", "Detector", "Score", "Threshold", "AUROC", "FPR95", "AUPR"),
)
EMBEDDINGS = Page(
    "pages/3_Embeddings.py",
    "Embeddings",
    ":material/scatter_plot:",
    "What does the network see?",
    (
        *("Features", "Encoder", "Projector", "ID", "Near and far", "UMAP", "PCA", "Percentile"),
        *("Trustworthiness", "Preserved neighbours", "Explained variance"),
    ),
)
TRADE_OFF = Page(
    "pages/4_Trade-off.py",
    "Trade-off",
    ":material/balance:",
    "Does more collapse mean better detection and worse transfer, here?",
    (
        "NC1",
        "Encoder",
        "Projector",
        "FPR95",
        "Transfer error",
        "Linear probe",
        "Entropy",
        "Correlation",
    ),
)
LEADERBOARD = Page(
    "pages/5_Leaderboard.py",
    "Leaderboard",
    ":material/leaderboard:",
    "Which detector for which kind of unknown?",
    (
        *("Detector", "OOD", "Near and far", "AUROC", "FPR95", "AUPR", "AURC", "AUGRC"),
        *("Confidence interval", "Critical difference", "ECE"),
    ),
)
COMPARE = Page(
    "pages/8_Compare.py",
    "Compare",
    ":material/compare:",
    "What changed between these two?",
    ("Run", "Epoch", "Layer", "Detector", "Score", "Percentile", "AUROC", "Confidence interval"),
)
UPLOAD = Page(
    "pages/6_Upload.py",
    "Upload",
    ":material/upload:",
    "Would the network know this image?",
    ("Detector", "Score", "ID", "OOD", "Verdict", "Percentile", "p-value", "Nearest neighbours"),
)
REFERENCE = Page(
    "pages/7_Reference.py",
    "Reference",
    ":material/menu_book:",
    "What does this number mean?",
)
PAGES = (
    OVERVIEW,
    NEURAL_COLLAPSE,
    OOD_SCORES,
    LEADERBOARD,
    EMBEDDINGS,
    TRADE_OFF,
    COMPARE,
    UPLOAD,
    REFERENCE,
)
