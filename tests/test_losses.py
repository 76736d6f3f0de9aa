"""The nearest-neighbour entropy of a batch: value, gradient and edge cases."""

import torch
from torch.nn.functional import normalize

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
