"""What each collapse metric means, where it comes from and what it is mistaken for."""

from __future__ import annotations

from ncviz.definitions import MetricInfo, by_name

_PAPYAN = "Papyan, Han and Donoho, PNAS 2020"
_ZHU = "Zhu et al., NeurIPS 2021"
_LIU = "Liu et al., ICML 2023 (generalised neural collapse)"
_NECO = "Ben Ammar et al., ICLR 2024 (NECO)"
_REPORT = "project report"

_VARIABILITY = (
    MetricInfo(
        "nc1_pinv",
        "NC1 tr(Σ_W Σ_B⁺)/C",
        "NC1",
        "Spread within classes measured in units of the spread between class means, direction by "
        "direction, averaged over the classes.",
        r"\frac{1}{C}\operatorname{tr}\left(\Sigma_W \Sigma_B^{+}\right)",
        0.0,
        "0",
        "lower",
        f"{_PAPYAN}; with a rank C-1 SVD: Han et al., ICLR 2022",
        "The pseudo-inverse is cut at rank C-1, so both papers' forms agree; directions in which "
        "class means barely differ weigh most.",
    ),
    MetricInfo(
        "nc1_trace",
        "NC1 tr Σ_W / tr Σ_B",
        "NC1",
        "Total variance within classes divided by the total variance between class means.",
        r"\frac{\operatorname{tr}\Sigma_W}{\operatorname{tr}\Sigma_B}",
        0.0,
        "0",
        "lower",
        f"Tirer, Huang and Niles-Weed, ICML 2023; {_REPORT}",
        "Not comparable in size with the trace of the product over C.",
    ),
    MetricInfo(
        "nc1_total",
        "NC1 tr Σ_W / tr Σ_T",
        "NC1",
        "Share of the total variance of the features that lies within classes.",
        r"\frac{\operatorname{tr}\Sigma_W}{\operatorname{tr}\Sigma_T}",
        0.0,
        "0",
        "lower",
        "Analysis of variance (one minus the correlation ratio)",
        "Lies in 0..1; with balanced classes it is q/(1+q) for q = tr Σ_W / tr Σ_B.",
    ),
    MetricInfo(
        "nc1_frobenius",
        "NC1 ‖Σ_W‖/‖Σ_B‖",
        "NC1",
        "Frobenius norm of the within-class covariance divided by that of the between-class one.",
        r"\frac{\|\Sigma_W\|_F}{\|\Sigma_B\|_F}",
        0.0,
        "0",
        "lower",
        _REPORT,
        "Sees the strongest directions only: noise spread over many directions looks small.",
    ),
    MetricInfo(
        "nc1_cdnv",
        "NC1 CDNV",
        "NC1",
        "Variance of two classes relative to the squared distance of their means, averaged over "
        "all pairs of classes.",
        r"\operatorname*{mean}_{i<j}\ \frac{V_i + V_j}{2\,\|\mu_i - \mu_j\|^2}",
        0.0,
        "0",
        "lower",
        "Galanti, György and Hutter, ICLR 2022",
        "One pair of nearly equal means dominates the average.",
    ),
)

_SIMPLEX = (
    MetricInfo(
        "nc2_equinorm",
        "NC2 spread of ‖μ_c − μ_G‖",
        "NC2",
        "Standard deviation of the lengths of the centred class means divided by their average.",
        r"\frac{\operatorname{std}_c \|\mu_c - \mu_G\|}{\operatorname{mean}_c \|\mu_c - \mu_G\|}",
        0.0,
        "0",
        "lower",
        _PAPYAN,
        "Equal lengths alone say nothing about the angles.",
    ),
    MetricInfo(
        "nc2_gram",
        "NC2 ‖G − G*‖/‖G*‖",
        "NC2",
        "Relative distance between the cosine matrix of the centred class means and that of the "
        "simplex ETF.",
        r"\frac{\|G - G^*\|_F}{\|G^*\|_F},\quad G^*=\tfrac{C}{C-1}\left(I-\tfrac1C 11^\top\right)",
        0.0,
        "0",
        "lower",
        _REPORT,
        "Grows with the number of classes: off-diagonal cosines that deviate by 0.085 give 0.84 "
        "at C = 100.",
    ),
    MetricInfo(
        "nc2_gram_zhu",
        "NC2 Gram (Zhu)",
        "NC2",
        "Distance between the Gram matrix of the centred class means, scaled to norm one, and that "
        "of the simplex ETF.",
        r"\left\|\frac{M M^\top}{\|M M^\top\|_F}-\frac{I-\frac1C 11^\top}{\sqrt{C-1}}\right\|_F",
        0.0,
        "0",
        "lower",
        f"{_ZHU}; rhubarbwu/neural-collapse simplex_etf_error",
        "Keeps the lengths, so it mixes equal norms and equal angles.",
    ),
    MetricInfo(
        "nc2_cosine_mean",
        "NC2 mean cosine",
        "NC2",
        "Average cosine between the centred means of two different classes.",
        r"\operatorname*{mean}_{c\neq c'}\ \cos(\mu_c-\mu_G,\ \mu_{c'}-\mu_G)",
        None,
        "−1/(C−1)",
        "limit",
        _PAPYAN,
        "Centring alone pulls the average close to −1/(C−1), collapsed or not; look at the spread.",
    ),
    MetricInfo(
        "nc2_cosine_std",
        "NC2 spread of cosines",
        "NC2",
        "Standard deviation of the cosines between the centred means of different classes.",
        r"\operatorname*{std}_{c\neq c'}\ \cos(\mu_c-\mu_G,\ \mu_{c'}-\mu_G)",
        0.0,
        "0",
        "lower",
        _PAPYAN,
        "Population standard deviation (ddof = 0) over all pairs.",
    ),
    MetricInfo(
        "nc2_max_angle",
        "NC2 |cos + 1/(C−1)|",
        "NC2",
        "Average absolute difference between the cosine of two classes and the cosine of the "
        "simplex ETF, the widest angle that C directions can share.",
        r"\operatorname*{mean}_{c\neq c'}\left|\cos(\mu_c-\mu_G,\ \mu_{c'}-\mu_G)"
        r"+\tfrac{1}{C-1}\right|",
        0.0,
        "0",
        "lower",
        f"{_PAPYAN} (maximal-angle equiangularity)",
        "It is a mean, not a maximum: the name is the paper's.",
    ),
)

_UNIFORMITY = (
    MetricInfo(
        "nc2_distance_mean",
        "GNC2 mean distance",
        "NC2",
        "Average distance between the directions of two class means on the unit sphere.",
        r"\operatorname*{mean}_{i<j}\ \|u_i-u_j\|,\quad u_c=\tfrac{\mu_c-\mu_G}{\|\mu_c-\mu_G\|}",
        None,
        "√(2C/(C−1))",
        "limit",
        _LIU,
        "The limit needs D ≥ C−1; with fewer dimensions the directions spread as well as they can.",
    ),
    MetricInfo(
        "nc2_distance_variance",
        "GNC2 variance of distances",
        "NC2",
        "Variance of the distances between the directions of two class means on the unit sphere.",
        r"\operatorname*{var}_{i<j}\ \|u_i-u_j\|",
        0.0,
        "0",
        "lower",
        _LIU,
        "Population variance (ddof = 0).",
    ),
    MetricInfo(
        "nc2_log_kernel_mean",
        "GNC2 log kernel",
        "NC2",
        "Average logarithm of the inverse distance between the directions of two class means: the "
        "energy of charges on a sphere, lowest when they are spread uniformly.",
        r"\operatorname*{mean}_{i<j}\ \log \|u_i-u_j\|^{-1}",
        None,
        "−½ log(2C/(C−1))",
        "lower",
        _LIU,
        "Undefined where two directions coincide.",
    ),
    MetricInfo(
        "nc2_log_kernel_variance",
        "GNC2 variance of log kernel",
        "NC2",
        "Variance of the logarithm of the inverse distance between directions of class means.",
        r"\operatorname*{var}_{i<j}\ \log \|u_i-u_j\|^{-1}",
        0.0,
        "0",
        "lower",
        f"{_LIU}; rhubarbwu/neural-collapse kernel_stats",
        "Population variance (ddof = 0). Undefined where two directions coincide.",
    ),
    MetricInfo(
        "nc2_riesz_kernel_mean",
        "GNC2 Riesz kernel (s = 1)",
        "NC2",
        "Average inverse distance between the directions of two class means.",
        r"\operatorname*{mean}_{i<j}\ \|u_i-u_j\|^{-1}",
        None,
        "√((C−1)/(2C))",
        "lower",
        _LIU,
        "Exponent s = 1. The exponent D−2 that some codes use overflows or vanishes for D in the "
        "hundreds.",
    ),
    MetricInfo(
        "nc2_riesz_kernel_variance",
        "GNC2 variance of Riesz kernel",
        "NC2",
        "Variance of the inverse distance between the directions of two class means.",
        r"\operatorname*{var}_{i<j}\ \|u_i-u_j\|^{-1}",
        0.0,
        "0",
        "lower",
        _LIU,
        "Population variance (ddof = 0), exponent s = 1.",
    ),
)

_WEIGHTS = (
    MetricInfo(
        "nc2_weights_equinorm",
        "NC2 spread of ‖w_c‖",
        "NC2",
        "Standard deviation of the lengths of the head's rows divided by their average.",
        r"\frac{\operatorname{std}_c \|w_c\|}{\operatorname{mean}_c \|w_c\|}",
        0.0,
        "0",
        "lower",
        _PAPYAN,
        "Concerns the classifier, not the features.",
    ),
    MetricInfo(
        "nc2_weights_gram",
        "NC2-W ‖WWᵀ − ETF‖",
        "NC2",
        "Distance between the Gram matrix of the head's rows, scaled to norm one, and that of the "
        "simplex ETF.",
        r"\left\|\frac{W W^\top}{\|W W^\top\|_F}-\frac{I-\frac1C 11^\top}{\sqrt{C-1}}\right\|_F",
        0.0,
        "0",
        "lower",
        f"{_ZHU}; called NC2 in the code of arXiv 2502.10691",
        "Some codes call this NC2: it looks at the head's rows (not centred), not at class means.",
    ),
)

_DUALITY = (
    MetricInfo(
        "nc3_duality",
        "NC3 ‖W/‖W‖ − M/‖M‖‖",
        "NC3",
        "Distance between the head and the matrix of centred class means, each scaled to norm one.",
        r"\left\|\frac{W}{\|W\|_F}-\frac{M}{\|M\|_F}\right\|_F",
        0.0,
        "0",
        "lower",
        f"{_PAPYAN}; {_REPORT}",
        "Lies in 0..2; √2 means that head and means have nothing in common.",
    ),
    MetricInfo(
        "nc3_product",
        "NC3 ‖WM − ETF‖",
        "NC3",
        "Distance between the product of head and centred class means, scaled to norm one, and the "
        "Gram matrix of the simplex ETF.",
        r"\left\|\frac{W M^\top}{\|W M^\top\|_F}-\frac{I-\frac1C 11^\top}{\sqrt{C-1}}\right\|_F",
        0.0,
        "0",
        "lower",
        f"{_ZHU}; called NC3 in the code of arXiv 2502.10691",
        "Zero only if the simplex of NC2 holds too: it mixes both properties.",
    ),
    MetricInfo(
        "nc3_cosine_mean",
        "NC3 mean cos(w_c, μ_c − μ_G)",
        "NC3",
        "Average cosine between a class's row of the head and its centred mean.",
        r"\operatorname*{mean}_c\ \cos(w_c,\ \mu_c-\mu_G)",
        1.0,
        "1",
        "higher",
        f"{_PAPYAN}; {_REPORT}",
        "With un-centred means, as some codes have it, the value is another.",
    ),
    MetricInfo(
        "nc3_cosine_min",
        "NC3 min cos(w_c, μ_c − μ_G)",
        "NC3",
        "Smallest cosine between a class's row of the head and its centred mean.",
        r"\min_c\ \cos(w_c,\ \mu_c-\mu_G)",
        1.0,
        "1",
        "higher",
        _REPORT,
        "One class decides it.",
    ),
    MetricInfo(
        "nc3_variance",
        "NC3 var w_c·(μ_c − μ_G)",
        "NC3",
        "Variance over the classes of the inner product of a head's row and its centred class mean "
        "(uniform duality).",
        r"\operatorname*{var}_c\ w_c^\top(\mu_c-\mu_G)",
        0.0,
        "0",
        "lower",
        "Wu and Papyan, NeurIPS 2024 (UNC3); rhubarbwu/neural-collapse similarities",
        "Not scale free: it grows with the size of features and weights. Population variance.",
    ),
)

_AGREEMENT = (
    MetricInfo(
        "nc4_agreement",
        "NC4 agreement",
        "NC4",
        "Share of samples for which the network decides as the nearest class mean would.",
        r"P\left(\operatorname*{argmax}_c\,(Wh+b)_c=\operatorname*{argmin}_c\|h-\mu_c\|\right)",
        1.0,
        "1",
        "higher",
        _PAPYAN,
        "The paper plots one minus it. The bias is included here; some codes leave it out.",
    ),
    MetricInfo(
        "network_accuracy",
        "Accuracy of the network",
        "NC4",
        "Share of samples whose label the network predicts.",
        r"P\left(\operatorname*{argmax}_c\,(Wh+b)_c=y\right)",
        1.0,
        "1 (training set)",
        "higher",
        "Standard",
        "Accuracy of the stored head on the stored features.",
    ),
    MetricInfo(
        "ncc_accuracy",
        "Accuracy of the nearest class mean",
        "NC4",
        "Share of samples whose label is the class of the nearest training mean.",
        r"P\left(\operatorname*{argmin}_c\|h-\mu_c\|=y\right)",
        1.0,
        "1 (training set)",
        "higher",
        _PAPYAN,
        "Not the agreement: both classifiers can be wrong together.",
    ),
)

_BIAS = (
    MetricInfo(
        "nc4_bias",
        "NC4 ‖Wμ_G + b‖",
        "NC4",
        "Length of the logits that the head gives the global mean: zero if the bias cancels it.",
        r"\|W\mu_G+b\|_2",
        0.0,
        "0",
        "lower",
        f"{_ZHU}; called NC4 in the code of arXiv 2502.10691",
        "The same label as Papyan's NC4 for another quantity (bias collapse). Not scale free.",
    ),
)

_ORTHOGONALITY = (
    MetricInfo(
        "nc5_cosine",
        "NC5 mean |cos(μ_c, μ_OOD)|",
        "NC5",
        "Average absolute cosine between a class mean and the mean of the OOD set, un-centred.",
        r"\operatorname*{mean}_c\ \frac{|\langle\mu_c,\mu_{OOD}\rangle|}"
        r"{\|\mu_c\|\,\|\mu_{OOD}\|}",
        0.0,
        "0",
        "lower",
        _NECO,
        "Features after a ReLU lie in the positive orthant, which keeps it well above 0. The "
        "official code returns the last class only.",
    ),
    MetricInfo(
        "nc5_cosine_max",
        "NC5 max |cos(μ_c, μ_OOD)|",
        "NC5",
        "Largest absolute cosine between a class mean and the mean of the OOD set, un-centred.",
        r"\max_c\ \frac{|\langle\mu_c,\mu_{OOD}\rangle|}{\|\mu_c\|\,\|\mu_{OOD}\|}",
        0.0,
        "0",
        "lower",
        f"after {_NECO}",
        "One class decides it, and the ReLU keeps it above 0.",
    ),
    MetricInfo(
        "nc5_cosine_centred",
        "NC5 centred |cos|",
        "NC5",
        "Average absolute cosine between a class mean and the mean of the OOD set, both seen from "
        "the mean of class means.",
        r"\operatorname*{mean}_c\ |\cos(\mu_c-\mu_G,\ \mu_{OOD}-\mu_G)|",
        0.0,
        "0",
        "lower",
        "this project, after NECO",
        "Free of the ReLU's bias, but not the paper's quantity.",
    ),
)

_SPREAD = (
    MetricInfo(
        "entropy",
        "Entropy, mean log ρ",
        "spread",
        "Average logarithm of the distance of a sample to its nearest neighbour among the "
        "L2-normalised embeddings: the differential entropy up to constants.",
        r"\frac{1}{N}\sum_i \log\left(\rho_i + 10^{-8}\right),\quad "
        r"\rho_i = \min_{j\neq i}\left\|\frac{h_i}{\|h_i\|}-\frac{h_j}{\|h_j\|}\right\|",
        None,
        "without bound; log 1e-8 = -18.4 where every sample has an equal",
        "lower",
        "Kozachenko and Leonenko, 1987; as the loss of arXiv 2502.10691 (KoLeo: Sablayrolles et "
        "al., ICLR 2019)",
        "Neighbours come closer the more samples there are: compare at an equal number only. "
        "Features kept in float16 may coincide, which lowers it.",
    ),
    MetricInfo(
        "effective_rank",
        "Effective rank",
        "spread",
        "Number of directions the embeddings use, as the exponential of the entropy of their "
        "singular values; neither centred nor normalised.",
        r"\exp\left(-\sum_k q_k\log q_k\right),\quad q_k=\sigma_k/\textstyle\sum_j\sigma_j",
        None,
        "C-1 (class means around the origin) to C",
        "lower",
        "Roy and Vetterli, EUSIPCO 2007; used by arXiv 2502.10691",
        "At most min(N, D). A large common mean, as after a ReLU, counts as one strong direction "
        "and lowers it.",
    ),
)

_MEANS = "sums over the training set by class"
_MEANS_AND_HEAD = f"{_MEANS}, and the head"
METRICS: dict[str, MetricInfo] = (
    by_name(_VARIABILITY + _SIMPLEX + _UNIFORMITY, needs=_MEANS)
    | by_name(_WEIGHTS, needs="the head")
    | by_name(_DUALITY, needs=_MEANS_AND_HEAD)
    | by_name(_AGREEMENT, needs=f"labelled training features, {_MEANS_AND_HEAD}")
    | by_name(_BIAS, needs=_MEANS_AND_HEAD)
    | by_name(_ORTHOGONALITY, needs=f"{_MEANS}, and features of an OOD set")
    | by_name(_SPREAD, needs="training features")
)
"""Every field of CollapseMetrics, Agreement, Orthogonality and Spread, by name."""
