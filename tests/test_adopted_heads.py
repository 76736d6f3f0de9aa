"""Heads of adopted networks: results are those of the network's own logits, whatever the head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from adopted_heads import DIM, KINDS, one_thread, own_logits, rounding, trained
from made_runs import make_run
from PIL import Image
from test_app import LEADERBOARD, SCORES, healthy, open_app, words  # noqa: F401
from torch import Tensor

from ncviz import models
from ncviz.data import Transform, load
from ncviz.errors import InvalidOptionError, MissingDataError, UnknownNameError
from ncviz.evaluation import evaluate
from ncviz.evaluation.summary import as_text
from ncviz.extraction import adopt, adoption_in_words, extract
from ncviz.inference import Pixels, normalise
from ncviz.inference.scorer import Scorer
from ncviz.metrics import detection_metrics
from ncviz.models import registry
from ncviz.store import Run, open_run, write
from ncviz.without_head import unavailable_detectors

CLASSES, SIZE = ("disc", "gate", "hook", "wave"), 8
TRANSFORM = Transform(size=SIZE)
NAMES = ("energy", "odin", "dice")
FLOAT32 = 1e-4
"""error allowed to logits and energies beside the rounding of features to float16"""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A data root with the ID set `tiles`, four classes of 8x8 images, and the OOD set `sand`."""
    root = tmp_path_factory.mktemp("tiles")
    random = np.random.default_rng(0)
    for name, split, classes, count in (
        ("tiles", "train", CLASSES, 30),
        ("tiles", "test", CLASSES, 15),
        ("sand", "test", ("dry",), 40),
    ):
        for label, folder in enumerate(classes):
            (root / name / split / folder).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 200, (SIZE, SIZE, 3))
                if name == "tiles":
                    pixels[2 * label : 2 * label + 2, :, label % 3] += 55
                Image.fromarray(pixels.astype(np.uint8)).save(
                    root / name / split / folder / f"{number:02d}.png"
                )
    return root


def tensors(root: Path, name: str, split: str) -> tuple[Tensor, Tensor]:
    """Normalised images and labels."""
    images = load(name, split, root=root)
    batch, labels = next(Pixels(images, TRANSFORM).batches([np.arange(len(images))]))
    return normalise(batch, TRANSFORM), labels


@pytest.fixture(scope="module")
def networks(root) -> dict:
    """The networks by kind, each trained when it is first used."""
    images, labels = tensors(root, "tiles", "train")

    class Networks(dict):
        def __missing__(self, kind: str) -> torch.nn.Module:
            self[kind] = trained(kind, images, labels, len(CLASSES))
            return self[kind]

    return Networks()


@pytest.fixture
def adopted(root, networks, tmp_path, monkeypatch):
    """Adopt, extract and evaluate the network of a kind."""
    monkeypatch.setattr(registry, "_builders", {})
    for kind, (build, _) in KINDS.items():
        models.register(kind)(_builder(kind, build))

    def make(kind: str, *, evaluated: bool = True, names: Sequence[str] = NAMES) -> Run:
        torch.save(networks[kind].state_dict(), tmp_path / f"{kind}.pt")
        run = adopt(
            tmp_path / "runs" / kind,
            architecture=kind,
            id_set="tiles",
            weights={3: tmp_path / f"{kind}.pt"},
            transform=TRANSFORM,
            data_root=root,
            device="cpu",
            progress=False,
        )
        if evaluated:
            run = extract(run, ood=["sand"], data_root=root, progress=False, device="cpu")
            evaluate([run], names=names, progress=False)
        return run

    return make


def _builder(kind: str, build):
    def wrapped(classes: int, image_size: int) -> models.Wrapped:
        return models.wrap(build(classes), head="head")

    wrapped.__qualname__ = f"build_{kind}"
    return wrapped


def energy(logits: np.ndarray) -> np.ndarray:
    return np.log(np.exp(logits.astype(np.float64)).sum(axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_the_network_itself(kind, adopted, networks, root):
    run, net = adopted(kind), networks[kind]
    epoch = run.epoch(3)
    with torch.inference_mode():
        images, labels = tensors(root, "tiles", "test")
        known = own_logits(net, images).numpy()
        unknown = own_logits(net, tensors(root, "sand", "test")[0]).numpy()
    probabilities = np.exp(known) / np.exp(known).sum(axis=1, keepdims=True)
    accuracy = (known.argmax(axis=1) == labels.numpy()).mean()
    assert accuracy > 0.5  # otherwise the comparison would mean little

    found = run.calibration().iloc[0]
    assert found["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert found["confidence"] == pytest.approx(probabilities.max(axis=1).mean(), abs=1e-4)
    table = run.detection().set_index(["layer", "detector", "set"])
    auroc = table.loc[("encoder", "energy", "sand"), "auroc"]
    expected = detection_metrics(energy(known), energy(unknown)).auroc
    is_linear = KINDS[kind][1]
    errors = np.full(len(known), FLOAT32)
    if is_linear:
        with torch.inference_mode():
            sets = (tensors(root, "tiles", "test")[0], tensors(root, "sand", "test")[0])
            bodies = [net.body(images).numpy() for images in sets]
        # Features in float16 leave open which of two nearly equal scores is higher.
        difference = energy(known)[:, None] - energy(unknown)
        errors, of_unknown = (rounding(epoch.head(), each) + FLOAT32 for each in bodies)
        step = errors[:, None] + of_unknown
        assert (difference > step).mean() - 1e-4 <= auroc <= (difference > -step).mean() + 1e-4
        auroc = detection_metrics(*(energy(epoch.head().logits(each)) for each in bodies)).auroc
    assert auroc == pytest.approx(expected, abs=1e-4)
    checked = run.description["checked"]
    assert checked["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert checked["confidence"] == pytest.approx(probabilities.max(axis=1).mean(), abs=1e-4)

    scorer = Scorer.load(epoch)
    (sight,) = scorer.look(scorer.see(load("tiles", "test", root=root).image(7))[None])
    np.testing.assert_allclose(sight.probabilities, probabilities[7], rtol=0, atol=2e-4)
    assert sight.scores["energy"] == pytest.approx(energy(known)[7], rel=1e-5, abs=errors[7])
    for name, score in sight.scores.items():
        assert score == pytest.approx(epoch.scores(name, "test")[7], rel=1e-3, abs=1e-4), name

    assert epoch.has_head("encoder") == is_linear
    metrics = set(run.collapse()["metric"])
    scored = set(run.detection()["detector"])
    assert {"energy", "odin", "energy_probe"} <= scored
    assert ("dice" in scored) == ("nc3_duality" in metrics) == is_linear
    if is_linear:
        assert (np.abs(epoch.features("test").logits - known) <= errors[:, None]).all()
    else:
        np.testing.assert_allclose(epoch.features("test").logits, known, rtol=1e-4, atol=1e-4)
    assert run.findings == {}


def test_methods_that_need_the_weights_are_named(adopted, call, root, tmp_path, open_app):  # noqa: F811
    run = adopted("cosine")
    said = adoption_in_words(run)
    assert "Note: adopted with a head that is not linear: the logits are not W h + b" in said
    assert "DICE" in said
    assert "ViM" in said
    assert "KNN" not in said
    assert "Adopted with a head that is not linear. Unavailable: NC3, NC4" in as_text(run)
    with pytest.raises(MissingDataError, match=r"was adopted with a head that is not linear"):
        run.epoch(3).head()
    with pytest.raises(UnknownNameError, match=r"'dice'.*adopted with a head that is not linear"):
        Scorer.load(run.epoch(3), detectors=["dice"])
    for page in (None, SCORES, LEADERBOARD):
        app = healthy(open_app(run.path.parent, page, run="cosine"))
        assert "adopted with a head that is not linear" in words(app), page
    assert "DICE" in words(healthy(open_app(run.path.parent, run="cosine")))
    image = root / "tiles" / "test" / "hook" / "00.png"
    code, out, _ = call("score", "cosine", image, "--checkpoints", run.path.parent)
    assert code == 0
    assert "hook" in out
    code, _, error = call(
        "score", "cosine", image, "--detector", "vim", "--checkpoints", run.path.parent
    )
    assert code == 2
    assert "adopted with a head that is not linear" in error


def test_a_linear_head_is_not_remarked(adopted, open_app):  # noqa: F811
    run = adopted("weight_norm_old")
    assert "Note" not in adoption_in_words(run)
    assert "Unavailable" not in as_text(run)
    assert "not linear" not in words(healthy(open_app(run.path.parent, run="weight_norm_old")))


def test_unavailable_detectors_are_those_that_evaluation_leaves_out(tmp_path):
    run = make_run(tmp_path, "bare", heads=(), epochs=(1,), features=False)
    assert not run.epoch(1).has_head("encoder")
    missing = set(unavailable_detectors())
    assert {"dice", "react", "vim", "gradnorm"} <= missing
    assert not {"energy", "msp", "knn", "mahalanobis", "odin"} & missing


def test_one_nonlinear_epoch_makes_the_run_headless(adopted, networks, root, tmp_path):
    """A scale of one is linear by accident; later epochs of the same network are not."""
    first = {**networks["scale_after"].state_dict(), "scale": torch.tensor(0.0)}
    torch.save(first, tmp_path / "first.pt")
    torch.save(networks["scale_after"].state_dict(), tmp_path / "last.pt")
    adopted("linear", evaluated=False)  # registers the architectures
    run = adopt(
        tmp_path / "runs" / "both",
        architecture="scale_after",
        id_set="tiles",
        weights={1: tmp_path / "first.pt", 2: tmp_path / "last.pt"},
        transform=TRANSFORM,
        data_root=root,
        progress=False,
    )
    assert run.epochs == (1, 2)
    assert not any(run.epoch(number).has_head("encoder") for number in run.epochs)


def test_logits_of_another_number_of_classes_are_an_error(adopted, root, tmp_path):
    adopted("linear", evaluated=False)

    @models.register("wide")
    def wide(classes, image_size):
        return models.wrap(KINDS["mlp"][0](classes + 1), head="head")

    with pytest.raises(InvalidOptionError, match="returns 5 logits, but there are 4 classes"):
        adopt(
            tmp_path / "runs" / "wide",
            architecture="wide",
            id_set="tiles",
            weights={1: tmp_path / "linear.pt"},
            transform=TRANSFORM,
            data_root=root,
        )
    assert not (tmp_path / "runs" / "wide").exists()


def test_permuted_labels_are_reported_when_adopting(adopted, networks, root, tmp_path, open_app):  # noqa: F811
    """A network trained with the classes in another order than the folders' names have."""
    adopted("linear", evaluated=False)
    order = [2, 0, 3, 1]
    state = networks["linear"].state_dict()
    state = {**state, **{n: state[n][order] for n in ("head.weight", "head.bias")}}
    torch.save(state, tmp_path / "shuffled.pt")
    run = adopt(
        tmp_path / "runs" / "shuffled",
        architecture="linear",
        id_set="tiles",
        weights={1: tmp_path / "shuffled.pt"},
        transform=TRANSFORM,
        data_root=root,
        progress=False,
    )
    listed = ", ".join(CLASSES[each] for each in order)
    assert f"in this order: {listed}." in run.findings["labels"]
    assert f"Warning: {run.findings['labels']}" in adoption_in_words(run)
    assert "Labels appear to be permuted" in words(
        healthy(open_app(run.path.parent, run="shuffled"))
    ).replace("\\", "")


def test_transposed_head_is_reported_when_adopting(adopted, root, tmp_path):
    """With C = D, a head whose weight has a column for each class fits by its shape."""
    images, labels = tensors(root, "tiles", "train")
    adopted("linear", evaluated=False)

    def build(classes: int, image_size: int) -> models.Wrapped:
        net = KINDS["linear"][0](classes)
        net.body.append(torch.nn.Linear(DIM, classes))
        net.head = torch.nn.Linear(classes, classes)
        return models.wrap(net, head="head")

    models.register("square")(build)
    torch.manual_seed(1)
    network = build(len(CLASSES), SIZE).module.train()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    with one_thread():
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
    state = network.state_dict()
    # The same network with a turned representation, in which the weight is far from symmetric: a
    # positive matrix times a cyclic permutation.
    left, _, right = torch.linalg.svd(state["head.weight"])
    turn = torch.eye(4).roll(1, dims=0) @ left @ right
    right = {
        **state,
        "body.7.weight": turn @ state["body.7.weight"],
        "body.7.bias": turn @ state["body.7.bias"],
        "head.weight": state["head.weight"] @ turn.T,
    }
    wrong = {**right, "head.weight": right["head.weight"].T.contiguous()}
    found = {}
    for name, weights in (("right", right), ("wrong", wrong)):
        torch.save(weights, tmp_path / f"{name}.pt")
        run = adopt(
            tmp_path / "runs" / name,
            architecture="square",
            id_set="tiles",
            weights={1: tmp_path / f"{name}.pt"},
            transform=TRANSFORM,
            data_root=root,
            progress=False,
        )
        found[name] = run.findings
    assert found["right"] == {}
    assert "appears to be transposed" in found["wrong"]["head"]


def test_an_edited_reason_stays_on_one_line(adopted):
    run = adopted("cosine", evaluated=False)
    write.update_description(run, without_head="adopted\nby *somebody*")
    assert "\n" not in open_run(run.path).without_head
