"""Batch normalisation over the whole batch, however many processes it is split over."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


def use_whole_batch(network: nn.Module, device: torch.device) -> nn.Module:
    """`network`, its batch norms taking mean and variance over the batches of all processes.

    Names and parameters stay as they are. On GPUs by torch's own module, which refuses a CPU.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = WholeBatchNorm2d
    return network


class WholeBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` whose batch, while training, is that of all processes together."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to the same, B of this process alone."""
        if not self.training:
            return super().forward(images)
        size = images.new_tensor([images.numel() // images.shape[1]])
        variance, mean = torch.var_mean(images, (0, 2, 3), correction=0)
        means, variances, sizes = _Gather.apply(torch.cat([mean, variance, size])).split(
            (len(mean), len(mean), 1), dim=1
        )  # (P, C), (P, C), (P, 1) of P processes
        count = sizes.sum()
        mean = (means * sizes).sum(0) / count
        # By parts, so that no two nearly equal numbers are subtracted.
        variance = ((variances + (means - mean).square()) * sizes).sum(0) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return images * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


class _Gather(torch.autograd.Function):
    """Each process's vector (K,) as the rows (P, K) that all of them compute with."""

    @staticmethod
    def forward(context, vector: Tensor) -> Tensor:
        rows = [torch.empty_like(vector) for _ in range(distributed.get_world_size())]
        distributed.all_gather(rows, vector.contiguous())
        return torch.stack(rows)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total[distributed.get_rank()]
