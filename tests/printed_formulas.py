"""Every printed formula beside a NumPy function written from its text, in plain loops.

A function of a detector takes the network `n` (training features `H`, logits `Z` and labels `Y`,
head `W` and `b`, class means `mu`, their mean or that of all samples, covariances) and one sample's
`h` and `z`. A function of a metric takes what the metric is computed from.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

FORMULAS: dict[tuple[str, str], tuple[str, Callable]] = {}


def printed(kind: str, name: str, latex: str) -> Callable:
    """Register the function that evaluates the LaTeX text of a formula."""

    def keep(function: Callable) -> Callable:
        FORMULAS[kind, name] = latex, function
        return function

    return keep


def norm(values):
    return float(np.sqrt(np.sum(np.square(values))))


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def log_sum_exp(z):
    return float(np.log(np.exp(z).sum()))


def cosine(first, second):
    return float(first @ second) / (norm(first) * norm(second))


def unit(h):
    return h / norm(h)


def top(h, share):
    """Return m: 1 where an activation is among the given share of the largest."""
    count = max(1, round(len(h) * share))
    return (h >= np.sort(h)[-count]).astype(float)


def positive(h):
    return np.where(h > 0, h, 0.0)


def residual(n, h):
    """Return ||R^T (h - u)|| with R beyond the first D/2 directions of the training features."""
    u = -np.linalg.pinv(n.W) @ n.b
    about = n.H - u
    _, axes = np.linalg.eigh(about.T @ about / len(about))
    return norm(axes[:, : len(h) - len(h) // 2].T @ (h - u))


def pairs(n):
    classes = len(n.mu)
    return [(i, j) for i in range(classes) for j in range(i + 1, classes)]


def ordered_cosines(n):
    centred = n.mu - n.mu_g
    classes = range(len(n.mu))
    return [cosine(centred[i], centred[j]) for i in classes for j in classes if i != j]


def distances(n):
    directions = [unit(row - n.mu_g) for row in n.mu]
    return [norm(directions[i] - directions[j]) for i, j in pairs(n)]


def simplex(n):
    classes = len(n.mu)
    return np.eye(classes) - np.ones((classes, classes)) / classes


def from_simplex(product, n):
    return norm(product / norm(product) - simplex(n) / np.sqrt(len(n.mu) - 1))


def share(hits):
    return sum(bool(hit) for hit in hits) / len(hits)


def nearest(n, h):
    return int(np.argmin([norm(h - row) for row in n.mu]))


def decided(n, h):
    return int(np.argmax(n.W @ h + n.b))


@printed(
    "detector",
    "msp",
    r"\max_c\ \operatorname{softmax}(z)_c",
)
def msp(n, h, z):
    return max(softmax(z))


@printed(
    "detector",
    "max_logit",
    r"\max_c\ z_c",
)
def max_logit(n, h, z):
    return max(z)


@printed(
    "detector",
    "energy",
    r"T \log \sum_c \exp(z_c / T)",
)
def energy(n, h, z):
    temperature = 1.0
    return temperature * log_sum_exp(z / temperature)


@printed(
    "detector",
    "temperature_scaling",
    r"\max_c\ \operatorname{softmax}(z/T)_c,\quad T=\arg\min_T \sum_i -\log\operatorname{s"
    r"oftmax}(z_i/T)_{y_i}",
)
def temperature_scaling(n, h, z):
    def loss(temperature):
        return sum(-np.log(softmax(row / temperature)[y]) for row, y in zip(n.Z, n.Y, strict=True))

    found = minimize_scalar(loss, bounds=(0.05, 100), method="bounded", options={"xatol": 1e-10})
    return max(softmax(z / found.x))


@printed(
    "detector",
    "entropy",
    r"\sum_c p_c \log p_c,\quad p=\operatorname{softmax}(z)",
)
def entropy_score(n, h, z):
    return sum(p * np.log(p) for p in softmax(z))


@printed(
    "detector",
    "gen",
    r"-\sum_{j=1}^{M} p_{(j)}^{\gamma}\,(1-p_{(j)})^{\gamma},\quad p_{(1)}\ge p_{(2)}\ge\d"
    r"ots",
)
def gen(n, h, z):
    gamma, largest = 0.1, sorted(softmax(z))[::-1][:100]
    return -sum(p**gamma * (1 - p) ** gamma for p in largest)


@printed(
    "detector",
    "kl_matching",
    r"-\min_k\ \mathrm{KL}(p\,\|\,d_k),\quad d_k=\operatorname{mean}\{p(x_i) : \arg\max p("
    r"x_i)=k\}",
)
def kl_matching(n, h, z):
    p, divergences = softmax(z), []
    for k in range(len(z)):
        own = [softmax(row) for row in n.Z if np.argmax(row) == k]
        d = np.mean(own, axis=0)
        divergences.append(sum(p * np.log(p / d)))
    return -min(divergences)


@printed(
    "detector",
    "react",
    r"\log\sum_c \exp\left(W\min(h,t)+b\right)_c,\quad t=\text{percentile}_{90}(h_{id})",
)
def react(n, h, z):
    t = np.percentile(n.H, 90)
    return log_sum_exp(n.W @ np.minimum(h, t) + n.b)


@printed(
    "detector",
    "vra",
    r"\log\sum_c \exp\left(W\operatorname{clip}(h,\,t_{10},\,t_{90})+b\right)_c,\quad t_q="
    r"\text{percentile}_q(h_{id})",
)
def vra(n, h, z):
    return log_sum_exp(n.W @ np.clip(h, np.percentile(n.H, 10), np.percentile(n.H, 90)) + n.b)


@printed(
    "detector",
    "dice",
    r"\log\sum_c \exp\left((W\odot M)h+b\right)_c,\quad M_{cd}=1\left[W_{cd}\,\bar h_d > "
    r"\text{percentile}_{90}\{W_{ij}\,\bar h_j\}\right]",
)
def dice(n, h, z):
    contributions = n.W * n.H.mean(axis=0)
    mask = contributions > np.percentile(contributions, 90)
    return log_sum_exp((n.W * mask) @ h + n.b)


@printed(
    "detector",
    "ash_p",
    r"\log\sum_c \exp\left(W(h\odot m)+b\right)_c,\quad m=1[h \text{ in the top } 10\,\%]",
)
def ash_p(n, h, z):
    return log_sum_exp(n.W @ (h * top(h, 0.1)) + n.b)


@printed(
    "detector",
    "ash_b",
    r"\log\sum_c \exp\left(W m \tfrac{1}{k}\textstyle\sum_d h_d+b\right)_c,\quad m=1[h \te"
    r"xt{ in the top } 10\,\%],\ k=\sum_d m_d",
)
def ash_b(n, h, z):
    m = top(h, 0.1)
    return log_sum_exp(n.W @ m / sum(m) * sum(h) + n.b)


@printed(
    "detector",
    "ash_s",
    r"\log\sum_c \exp\left(W(h\odot m)\,e^{s_1/s_2}+b\right)_c,\quad s_1=\sum_d h_d^+,\ s_"
    r"2=\sum_d m_d h_d^+,\ m=1[h \text{ in the top } 10\,\%]",
)
def ash_s(n, h, z):
    m = top(h, 0.1)
    s1, s2 = sum(positive(h)), sum(m * positive(h))
    return log_sum_exp(n.W @ (h * m) * np.exp(s1 / s2) + n.b)


@printed(
    "detector",
    "scale",
    r"\log\sum_c \exp\left(W h\,e^{s_1/s_2}+b\right)_c,\quad s_1=\sum_d h_d^+,\ s_2=\sum_{"
    r"d \text{ in the top } 15\,\%} h_d^+",
)
def scale(n, h, z):
    s1, s2 = sum(positive(h)), sum(top(h, 0.15) * positive(h))
    return log_sum_exp(n.W @ h * np.exp(s1 / s2) + n.b)


@printed(
    "detector",
    "lts",
    r"\log\sum_c \exp\left(z_c\,(s_1/s_2)^2\right),\quad s_1=\sum_d h_d^+,\ s_2=\sum_{d \t"
    r"ext{ in the top } 5\,\%} h_d^+",
)
def lts(n, h, z):
    s1, s2 = sum(positive(h)), sum(top(h, 0.05) * positive(h))
    return log_sum_exp(z * (s1 / s2) ** 2)


@printed(
    "detector",
    "mahalanobis",
    r"-\min_c\ (h-\mu_c)^\top \Sigma_W^{+} (h-\mu_c)",
)
def mahalanobis(n, h, z):
    inverse = np.linalg.pinv(n.within)
    return -min((h - row) @ inverse @ (h - row) for row in n.mu)


@printed(
    "detector",
    "relative_mahalanobis",
    r"-\min_c\left[(h-\mu_c)^\top \Sigma_W^{+} (h-\mu_c)\right] + (h-\mu_G)^\top \Sigma_T^"
    r"{+} (h-\mu_G)",
)
def relative_mahalanobis(n, h, z):
    about = h - n.H.mean(axis=0)
    return mahalanobis(n, h, z) + about @ np.linalg.pinv(n.total) @ about


@printed(
    "detector",
    "gradnorm",
    r"\left\|\tfrac{\partial}{\partial W}\textstyle\sum_c -\log p_c\right\|_1=\|C\,p-1\|_1"
    r"\,\|h\|_1",
)
def gradnorm(n, h, z):
    # d/dz_k of sum_c -log p_c is C p_k - 1, and dz_k/dW_kd is h_d.
    p = softmax(z)
    gradient = [[(len(z) * p[k] - 1) * h[d] for d in range(len(h))] for k in range(len(z))]
    product = sum(abs(len(z) * p - 1)) * sum(abs(h))
    assert np.isclose(product, np.abs(gradient).sum())  # both sides of the equation
    return product


@printed(
    "detector",
    "odin",
    r"\max_c\ \operatorname{softmax}(z(\tilde x)/T)_c,\quad \tilde x=x-\varepsilon\operato"
    r"rname{sign}\nabla_x\left(-\log\operatorname{softmax}(z(x)/T)_{\hat y}\right)",
)
def odin(n, h, z):
    # The image is h itself, the network is linear: the gradient of -log p_y is W^T (p - 1_y) / T.
    temperature, epsilon = 1000.0, 0.0014
    p = softmax(z / temperature)
    p[np.argmax(z)] -= 1
    moved = h - epsilon * np.sign(n.W.T @ p / temperature)
    return max(softmax((n.W @ moved + n.b) / temperature))


@printed(
    "detector",
    "she",
    r"\langle h,\ S_{\hat y}\rangle,\quad S_c = \mathrm{mean}\{h_i : y_i = c,\ \hat y_i = "
    r"c\},\quad \hat y=\arg\max_c z_c",
)
def she(n, h, z):
    own = [
        row
        for row, logits, y in zip(n.H, n.Z, n.Y, strict=True)
        if y == np.argmax(z) == np.argmax(logits)
    ]
    return h @ np.mean(own, axis=0)


@printed(
    "detector",
    "fdbd",
    r"\frac{1}{\|h-\mu_G\|_2}\sum_{c\neq\hat y}\frac{|z_{\hat y}-z_c|}{\|w_{\hat y}-w_c\|_"
    r"2},\quad \hat y=\arg\max_c z_c",
)
def fdbd(n, h, z):
    y = int(np.argmax(z))
    others = [c for c in range(len(z)) if c != y]
    total = sum(abs(z[y] - z[c]) / norm(n.W[y] - n.W[c]) for c in others)
    return total / norm(h - n.H.mean(axis=0))


@printed(
    "detector",
    "nci",
    r"\frac{w_{\hat y}^\top (h-\mu_G)}{\|h-\mu_G\|_2} + \alpha\,\|h\|_1,\quad \hat y=\arg"
    r"\max_c z_c",
)
def nci(n, h, z):
    centred = h - n.H.mean(axis=0)
    return n.W[np.argmax(z)] @ centred / norm(centred) + 1e-4 * sum(abs(h))


@printed(
    "detector",
    "knn",
    r"-\|\hat h - \hat h_{(k)}\|_2,\quad \hat h = \frac{h}{\|h\|_2},\quad \hat h_{(k)}\ \t"
    r"ext{the } k\text{-th nearest training feature}",
)
def knn(n, h, z):
    return -sorted(norm(unit(h) - unit(row)) for row in n.H)[50 - 1]


@printed(
    "detector",
    "nnguide",
    r"E(z)\cdot\operatorname{mean}_{\text{top-}k}\left[\hat h^\top \hat h_i\,E(z_i)\right]"
    r",\quad E(z)=\log\sum_c e^{z_c},\quad \hat h = \frac{h}{\|h\|_2}",
)
def nnguide(n, h, z):
    # All training samples are in the bank, and k is a fifth of it.
    rows = zip(n.H, n.Z, strict=True)
    guides = sorted(unit(h) @ unit(row) * log_sum_exp(logits) for row, logits in rows)
    return log_sum_exp(z) * np.mean(guides[-(len(n.H) // 5) :])


@printed(
    "detector",
    "relation",
    r"\sum_i r_i^{\,a}\ \mathbf 1[r_i > t],\quad r_i = \max(0,\ \hat h^\top \hat h_i)\ p^"
    r"\top p_i,\quad \hat h = \frac{h}{\|h\|_2}",
)
def relation(n, h, z):
    relations = [
        max(0, unit(h) @ unit(row)) * (softmax(z) @ softmax(logits))
        for row, logits in zip(n.H, n.Z, strict=True)
    ]
    return sum(r for r in relations if r > 0.03)


@printed(
    "detector",
    "residual",
    r"-\|R^\top(h-u)\|_2,\quad u=-W^{+}b",
)
def residual_score(n, h, z):
    return -residual(n, h)


@printed(
    "detector",
    "vim",
    r"\log\sum_c e^{z_c} - \alpha\,\|R^\top(h-u)\|_2,\quad u=-W^{+}b,\quad \alpha=\frac{\s"
    r"um_i \max_c z_c(x_i)}{\sum_i\|R^\top(h_i-u)\|}",
)
def vim(n, h, z):
    alpha = sum(max(row) for row in n.Z) / sum(residual(n, row) for row in n.H)
    return log_sum_exp(z) - alpha * residual(n, h)


@printed(
    "detector",
    "neco",
    r"\frac{\|P_d\,\varphi(h)\|_2}{\|\varphi(h)\|_2},\quad \varphi(h)=\frac{h-\mu}{\sigma}",
)
def neco(n, h, z):
    mu, sigma = n.H.mean(axis=0), n.H.std(axis=0)
    phi = (n.H - mu) / sigma
    _, axes = np.linalg.eigh(phi.T @ phi)
    d, own = len(n.mu) - 1, (h - mu) / sigma
    return norm(axes[:, -d:].T @ own) / norm(own)


@printed(
    "detector",
    "pnml",
    r"-\log\sum_c \frac{p_c}{p_c + (1 - p_c)\,p_c^{\,g}},\quad g = \frac{q}{1+q},\quad q ="
    r" \hat h^\top (\hat H^\top \hat H)^{+} \hat h,\quad p = \mathrm{softmax}(W \hat h + b"
    r")",
)
def pnml(n, h, z):
    bank = np.array([unit(row) for row in n.H])
    q = unit(h) @ np.linalg.pinv(bank.T @ bank) @ unit(h)
    g = q / (1 + q)
    p = softmax(n.W @ unit(h) + n.b)
    return -np.log(sum(p / (p + (1 - p) * p**g)))


@printed(
    "detector",
    "energy_probe",
    r"\log \sum_c \exp\left((Vh + a)_c\right)",
)
def energy_probe(n, h, z):
    return log_sum_exp(n.V @ h + n.a)


@printed(
    "collapse",
    "nc1_pinv",
    r"\frac{1}{C}\operatorname{tr}\left(\Sigma_W \Sigma_B^{+}\right)",
)
def nc1_pinv(n):
    return np.trace(n.within @ np.linalg.pinv(n.between)) / len(n.mu)


@printed(
    "collapse",
    "nc1_trace",
    r"\frac{\operatorname{tr}\Sigma_W}{\operatorname{tr}\Sigma_B}",
)
def nc1_trace(n):
    return np.trace(n.within) / np.trace(n.between)


@printed(
    "collapse",
    "nc1_total",
    r"\frac{\operatorname{tr}\Sigma_W}{\operatorname{tr}\Sigma_T}",
)
def nc1_total(n):
    return np.trace(n.within) / np.trace(n.total)


@printed(
    "collapse",
    "nc1_frobenius",
    r"\frac{\|\Sigma_W\|_F}{\|\Sigma_B\|_F}",
)
def nc1_frobenius(n):
    return norm(n.within) / norm(n.between)


@printed(
    "collapse",
    "nc1_cdnv",
    r"\operatorname*{mean}_{i<j}\ \frac{V_i + V_j}{2\,\|\mu_i - \mu_j\|^2}",
)
def nc1_cdnv(n):
    variances = [
        np.mean([norm(row - n.mu[c]) ** 2 for row in n.H[c == n.Y]]) for c in range(len(n.mu))
    ]
    return np.mean(
        [(variances[i] + variances[j]) / (2 * norm(n.mu[i] - n.mu[j]) ** 2) for i, j in pairs(n)]
    )


@printed(
    "collapse",
    "nc2_equinorm",
    r"\frac{\operatorname{std}_c \|\mu_c - \mu_G\|}{\operatorname{mean}_c \|\mu_c - \mu_G"
    r"\|}",
)
def nc2_equinorm(n):
    lengths = [norm(row - n.mu_g) for row in n.mu]
    return np.std(lengths) / np.mean(lengths)


@printed(
    "collapse",
    "nc2_gram",
    r"\frac{\|G - G^*\|_F}{\|G^*\|_F},\quad G^*=\tfrac{C}{C-1}\left(I-\tfrac1C 11^\top\rig"
    r"ht)",
)
def nc2_gram(n):
    gram = [[cosine(a - n.mu_g, b - n.mu_g) for b in n.mu] for a in n.mu]
    ideal = len(n.mu) / (len(n.mu) - 1) * simplex(n)
    return norm(gram - ideal) / norm(ideal)


@printed(
    "collapse",
    "nc2_gram_zhu",
    r"\left\|\frac{M M^\top}{\|M M^\top\|_F}-\frac{I-\frac1C 11^\top}{\sqrt{C-1}}\right\|_"
    r"F",
)
def nc2_gram_zhu(n):
    centred = n.mu - n.mu_g
    return from_simplex(centred @ centred.T, n)


@printed(
    "collapse",
    "nc2_cosine_mean",
    r"\operatorname*{mean}_{c\neq c'}\ \cos(\mu_c-\mu_G,\ \mu_{c'}-\mu_G)",
)
def nc2_cosine_mean(n):
    return np.mean(ordered_cosines(n))


@printed(
    "collapse",
    "nc2_cosine_std",
    r"\operatorname*{std}_{c\neq c'}\ \cos(\mu_c-\mu_G,\ \mu_{c'}-\mu_G)",
)
def nc2_cosine_std(n):
    return np.std(ordered_cosines(n))


@printed(
    "collapse",
    "nc2_max_angle",
    r"\operatorname*{mean}_{c\neq c'}\left|\cos(\mu_c-\mu_G,\ \mu_{c'}-\mu_G)+\tfrac{1}{C-"
    r"1}\right|",
)
def nc2_max_angle(n):
    return np.mean([abs(each + 1 / (len(n.mu) - 1)) for each in ordered_cosines(n)])


@printed(
    "collapse",
    "nc2_distance_mean",
    r"\operatorname*{mean}_{i<j}\ \|u_i-u_j\|,\quad u_c=\tfrac{\mu_c-\mu_G}{\|\mu_c-\mu_G"
    r"\|}",
)
def nc2_distance_mean(n):
    return np.mean(distances(n))


@printed(
    "collapse",
    "nc2_distance_variance",
    r"\operatorname*{var}_{i<j}\ \|u_i-u_j\|",
)
def nc2_distance_variance(n):
    return np.var(distances(n))


@printed(
    "collapse",
    "nc2_log_kernel_mean",
    r"\operatorname*{mean}_{i<j}\ \log \|u_i-u_j\|^{-1}",
)
def nc2_log_kernel_mean(n):
    return np.mean([np.log(1 / d) for d in distances(n)])


@printed(
    "collapse",
    "nc2_log_kernel_variance",
    r"\operatorname*{var}_{i<j}\ \log \|u_i-u_j\|^{-1}",
)
def nc2_log_kernel_variance(n):
    return np.var([np.log(1 / d) for d in distances(n)])


@printed(
    "collapse",
    "nc2_riesz_kernel_mean",
    r"\operatorname*{mean}_{i<j}\ \|u_i-u_j\|^{-1}",
)
def nc2_riesz_kernel_mean(n):
    return np.mean([1 / d for d in distances(n)])


@printed(
    "collapse",
    "nc2_riesz_kernel_variance",
    r"\operatorname*{var}_{i<j}\ \|u_i-u_j\|^{-1}",
)
def nc2_riesz_kernel_variance(n):
    return np.var([1 / d for d in distances(n)])


@printed(
    "collapse",
    "nc2_weights_equinorm",
    r"\frac{\operatorname{std}_c \|w_c\|}{\operatorname{mean}_c \|w_c\|}",
)
def nc2_weights_equinorm(n):
    lengths = [norm(row) for row in n.W]
    return np.std(lengths) / np.mean(lengths)


@printed(
    "collapse",
    "nc2_weights_gram",
    r"\left\|\frac{W W^\top}{\|W W^\top\|_F}-\frac{I-\frac1C 11^\top}{\sqrt{C-1}}\right\|_"
    r"F",
)
def nc2_weights_gram(n):
    return from_simplex(n.W @ n.W.T, n)


@printed(
    "collapse",
    "nc3_duality",
    r"\left\|\frac{W}{\|W\|_F}-\frac{M}{\|M\|_F}\right\|_F",
)
def nc3_duality(n):
    centred = n.mu - n.mu_g
    return norm(n.W / norm(n.W) - centred / norm(centred))


@printed(
    "collapse",
    "nc3_product",
    r"\left\|\frac{W M^\top}{\|W M^\top\|_F}-\frac{I-\frac1C 11^\top}{\sqrt{C-1}}\right\|_"
    r"F",
)
def nc3_product(n):
    return from_simplex(n.W @ (n.mu - n.mu_g).T, n)


@printed(
    "collapse",
    "nc3_cosine_mean",
    r"\operatorname*{mean}_c\ \cos(w_c,\ \mu_c-\mu_G)",
)
def nc3_cosine_mean(n):
    return np.mean([cosine(w, row - n.mu_g) for w, row in zip(n.W, n.mu, strict=True)])


@printed(
    "collapse",
    "nc3_cosine_min",
    r"\min_c\ \cos(w_c,\ \mu_c-\mu_G)",
)
def nc3_cosine_min(n):
    return min(cosine(w, row - n.mu_g) for w, row in zip(n.W, n.mu, strict=True))


@printed(
    "collapse",
    "nc3_variance",
    r"\operatorname*{var}_c\ w_c^\top(\mu_c-\mu_G)",
)
def nc3_variance(n):
    return np.var([w @ (row - n.mu_g) for w, row in zip(n.W, n.mu, strict=True)])


@printed(
    "collapse",
    "nc4_agreement",
    r"P\left(\operatorname*{argmax}_c\,(Wh+b)_c=\operatorname*{argmin}_c\|h-\mu_c\|\right)",
)
def nc4_agreement(n):
    return share([decided(n, h) == nearest(n, h) for h in n.H])


@printed(
    "collapse",
    "network_accuracy",
    r"P\left(\operatorname*{argmax}_c\,(Wh+b)_c=y\right)",
)
def network_accuracy(n):
    return share([decided(n, h) == y for h, y in zip(n.H, n.Y, strict=True)])


@printed(
    "collapse",
    "ncc_accuracy",
    r"P\left(\operatorname*{argmin}_c\|h-\mu_c\|=y\right)",
)
def ncc_accuracy(n):
    return share([nearest(n, h) == y for h, y in zip(n.H, n.Y, strict=True)])


@printed(
    "collapse",
    "nc4_bias",
    r"\|W\mu_G+b\|_2",
)
def nc4_bias(n):
    return norm(n.W @ n.mu_g + n.b)


@printed(
    "collapse",
    "nc5_cosine",
    r"\operatorname*{mean}_c\ \frac{|\langle\mu_c,\mu_{OOD}\rangle|}{\|\mu_c\|\,\|\mu_{OOD"
    r"}\|}",
)
def nc5_cosine(n):
    return np.mean([abs(cosine(row, n.ood.mean(axis=0))) for row in n.mu])


@printed(
    "collapse",
    "nc5_cosine_max",
    r"\max_c\ \frac{|\langle\mu_c,\mu_{OOD}\rangle|}{\|\mu_c\|\,\|\mu_{OOD}\|}",
)
def nc5_cosine_max(n):
    return max(abs(cosine(row, n.ood.mean(axis=0))) for row in n.mu)


@printed(
    "collapse",
    "nc5_cosine_centred",
    r"\operatorname*{mean}_c\ |\cos(\mu_c-\mu_G,\ \mu_{OOD}-\mu_G)|",
)
def nc5_cosine_centred(n):
    return np.mean([abs(cosine(row - n.mu_g, n.ood.mean(axis=0) - n.mu_g)) for row in n.mu])


@printed(
    "collapse",
    "entropy",
    r"\frac{1}{N}\sum_i \log\left(\rho_i + 10^{-8}\right),\quad \rho_i = \min_{j\neq i}\le"
    r"ft\|\frac{h_i}{\|h_i\|}-\frac{h_j}{\|h_j\|}\right\|",
)
def entropy(n):
    rows = [unit(h) for h in n.H]
    gaps = [
        min(norm(one - other) for j, other in enumerate(rows) if j != i)
        for i, one in enumerate(rows)
    ]
    return np.mean([np.log(gap + 1e-8) for gap in gaps])


@printed(
    "collapse",
    "effective_rank",
    r"\exp\left(-\sum_k q_k\log q_k\right),\quad q_k=\sigma_k/\textstyle\sum_j\sigma_j",
)
def effective_rank(n):
    values = np.linalg.svd(n.H, compute_uv=False)
    q = values / values.sum()
    return np.exp(-sum(q * np.log(q)))


@printed(
    "score",
    "auroc",
    r"P(S_{ID} > S_{OOD}) + \tfrac12 P(S_{ID} = S_{OOD})",
)
def auroc(ids, oods):
    return np.mean([(i > o) + (i == o) / 2 for i in ids for o in oods])


@printed(
    "score",
    "aupr_in",
    r"\sum_k (R_k - R_{k-1})\,P_k",
)
def aupr_in(ids, oods):
    total, before = 0.0, 0.0
    for t in sorted({*ids, *oods}, reverse=True):
        recall, wrong = share(ids >= t), sum(oods >= t)
        total += (recall - before) * sum(ids >= t) / (sum(ids >= t) + wrong)
        before = recall
    return total


@printed(
    "score",
    "aupr_out",
    r"\sum_k (R_k - R_{k-1})\,P_k",
)
def aupr_out(ids, oods):
    return aupr_in(-oods, -ids)


@printed(
    "score",
    "fpr95",
    r"P(S_{OOD} \ge t),\quad t=\max\{t : P(S_{ID}\ge t)\ge 0.95\}",
)
def fpr95(ids, oods):
    return share(oods >= max(t for t in ids if share(ids >= t) >= 0.95))


@printed(
    "score",
    "fpr95_ood",
    r"P(S_{ID} \le t),\quad t=\min\{t : P(S_{OOD}\le t)\ge 0.95\}",
)
def fpr95_ood(ids, oods):
    return share(ids <= min(t for t in oods if share(oods <= t) >= 0.95))


@printed(
    "score",
    "detection_accuracy",
    r"\max_t\ \tfrac12\left(P(S_{ID}\ge t)+P(S_{OOD}<t)\right)",
)
def detection_accuracy(ids, oods):
    cuts = [*ids, *oods, np.inf]
    return max((share(ids >= t) + share(oods < t)) / 2 for t in cuts)


def accepted_failures(confidence, failures):
    """Return the number of failures among the k most confident samples, for k = 1 to n."""
    ranked = sorted(zip(confidence, failures, strict=True), reverse=True)
    return [sum(wrong for _, wrong in ranked[:k]) for k in range(1, len(ranked) + 1)]


def aurc(confidence, failures):
    found = accepted_failures(confidence, failures)
    return sum(w / k for k, w in enumerate(found, 1)) / len(found)


def augrc(confidence, failures):
    found = accepted_failures(confidence, failures)
    return sum(found) / len(found) ** 2


for _name in ("aurc", "scod_aurc"):
    printed("risk", _name, r"\tfrac1n\sum_{k=1}^{n}\tfrac1k\sum_{i\le k} w_i")(aurc)
for _name in ("augrc", "scod_augrc"):
    printed("risk", _name, r"\tfrac1{n^2}\sum_{k=1}^{n}\sum_{i\le k} w_i")(augrc)


@printed(
    "score",
    "threshold95",
    r"\max\{t : P(S_{ID}\ge t)\ge 0.95\}",
)
def threshold95(ids, oods):
    return max(t for t in ids if share(ids >= t) >= 0.95)


@printed(
    "calibration",
    "temperature",
    r"\arg\min_T\ -\tfrac1N\sum_i \log\operatorname{softmax}(z_i/T)_{y_i}",
)
def temperature(logits, labels):
    def loss(value):
        return nll(logits / value, labels)

    found = minimize_scalar(loss, bounds=(0.05, 100), method="bounded", options={"xatol": 1e-10})
    return found.x


@printed(
    "calibration",
    "ece",
    r"\sum_b \tfrac{n_b}{N}\,\left|\operatorname{conf}_b-\operatorname{acc}_b\right|",
)
def ece(logits, labels):
    bins = [[] for _ in range(15)]
    for z, y in zip(logits, labels, strict=True):
        confidence = max(softmax(z))
        bins[int(np.ceil(confidence * 15)) - 1].append((confidence, np.argmax(z) == y))
    return sum(
        len(own) / len(labels) * abs(np.mean([c for c, _ in own]) - np.mean([a for _, a in own]))
        for own in bins
        if own
    )


@printed(
    "calibration",
    "nll",
    r"-\tfrac1N\sum_i \log\operatorname{softmax}(z_i)_{y_i}",
)
def nll(logits, labels):
    return -np.mean([np.log(softmax(z)[y]) for z, y in zip(logits, labels, strict=True)])


@printed(
    "transfer",
    "probe_error",
    r"P\left(\operatorname*{argmax}_k\,(Vh+a)_k \neq y\right)",
)
def probe_error(probe, means, features, labels):
    return share(
        [np.argmax(probe[0] @ h + probe[1]) != y for h, y in zip(features, labels, strict=True)]
    )


@printed(
    "transfer",
    "ncm_error",
    r"P\left(\operatorname*{argmin}_k \|h-\mu_k\| \neq y\right)",
)
def ncm_error(probe, means, features, labels):
    return share(
        [
            np.argmin([norm(h - mu) for mu in means]) != y
            for h, y in zip(features, labels, strict=True)
        ]
    )
