"""The nearest-neighbour entropy of a batch: value, gradient, edge cases, several processes."""

from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy, normalize

from ncviz.training.losses import nearest_neighbour_entropy


def naive_entropy(embeddings: torch.Tensor) -> torch.Tensor:
    unit = normalize(embeddings, dim=1)
    logs = []
    for i in range(len(unit)):
        others = [j for j in range(len(unit)) if j != i]
        logs.append(min((unit[i] - unit[j]).norm() for j in others).log())
    return torch.stack(logs).mean()


def batch(count: int = 9, dim: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, dim, generator=generator)


def test_value_and_gradient_equal_those_of_the_naive_loss():
    ours, naive = batch().requires_grad_(), batch().requires_grad_()
    value, expected = nearest_neighbour_entropy(ours), naive_entropy(naive)
    value.backward()
    expected.backward()
    assert torch.allclose(value, expected, atol=1e-5)
    assert torch.allclose(ours.grad, naive.grad, atol=1e-5)


def test_gradient_equals_finite_differences():
    embeddings = batch().requires_grad_()
    nearest_neighbour_entropy(embeddings).backward()
    step = 1e-3
    for row, column in [(0, 0), (3, 2), (8, 3)]:
        shifted = [embeddings.detach().clone() for _ in range(2)]
        shifted[0][row, column] += step
        shifted[1][row, column] -= step
        high, low = (naive_entropy(each.double()) for each in shifted)
        slope = (high - low) / (2 * step)
        assert torch.isclose(embeddings.grad[row, column].double(), slope, atol=1e-3)


def test_length_of_an_embedding_does_not_matter():
    lengths = torch.rand(9, 1) + 0.5
    scaled = nearest_neighbour_entropy(batch() * lengths)
    assert torch.allclose(scaled, nearest_neighbour_entropy(batch()), atol=1e-5)


def test_spread_embeddings_have_more_entropy_than_collapsed_ones():
    collapsed = batch(1).repeat(9, 1) + 0.01 * batch()
    assert nearest_neighbour_entropy(batch()) > nearest_neighbour_entropy(collapsed)


def test_equal_embeddings_give_a_finite_gradient():
    embeddings = torch.ones(4, 3, requires_grad=True)
    nearest_neighbour_entropy(embeddings).backward()
    assert embeddings.grad.isfinite().all()


def test_a_batch_of_one_adds_nothing():
    embeddings = batch(1).requires_grad_()
    value = nearest_neighbour_entropy(embeddings)
    value.backward()
    assert value == 0
    assert not embeddings.grad.any()


PROCESSES = 2


def half(rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of a batch that one process sees."""
    rows = slice(rank, None, PROCESSES)
    return batch(12, 5)[rows], (torch.arange(12) % 3)[rows]


def encoder_and_head() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))


def loss_of(encoder: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    loss = cross_entropy(logits, labels, label_smoothing=0.1)
    return loss - 0.05 * nearest_neighbour_entropy(encoder)


class BothOutputs(nn.Module):
    def __init__(self, layers: nn.Sequential):
        super().__init__()
        self.encoder, self.head = layers

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        encoder = self.encoder(inputs)
        return encoder, self.head(encoder)


def one_of_several(rank: int, folder: str) -> None:
    """One process of a data-parallel step; leaves its averaged gradients in `folder`."""
    # Not a port that is free now: another test may take it before these processes meet there.
    where = (Path(folder) / "meeting").as_uri()
    distributed.init_process_group("gloo", where, rank=rank, world_size=PROCESSES)
    network = nn.parallel.DistributedDataParallel(BothOutputs(encoder_and_head()))
    inputs, labels = half(rank)
    loss_of(*network(inputs), labels).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    torch.save(gradients, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_average_the_losses_of_their_own_batches(tmp_path):
    """Each looks for neighbours in its own part: no neighbour is shared between processes."""
    torch.multiprocessing.spawn(one_of_several, (str(tmp_path),), nprocs=PROCESSES)
    network = BothOutputs(encoder_and_head())
    sum(loss_of(*network(x), y) / PROCESSES for x, y in map(half, range(PROCESSES))).backward()
    expected = [parameter.grad for parameter in network.parameters()]
    for rank in range(PROCESSES):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for gradient, other in zip(found, expected, strict=True):
            assert torch.allclose(gradient, other, atol=1e-6)
    # Neighbours among the whole batch would give another gradient.
    network.zero_grad()
    inputs, labels = map(torch.cat, zip(*map(half, range(PROCESSES)), strict=True))
    loss_of(*network(inputs), labels).backward()
    assert not torch.allclose(network.encoder.weight.grad, expected[0], atol=1e-4)
