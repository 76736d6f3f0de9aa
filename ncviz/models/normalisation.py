"""Group normalisation with weight standardisation: statistics of one image, none of the batch."""

from __future__ import annotations

from torch import Tensor, nn

GROUPS = 32


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose filters are brought to zero mean and unit variance before each use.

    Qiao et al., 'Micro-batch training with batch-channel normalization and weight standardization'
    (2019), which makes group normalisation match batch normalisation.
    """

    def forward(self, images: Tensor) -> Tensor:
        axes = tuple(range(1, self.weight.ndim))
        centred = self.weight - self.weight.mean(axes, keepdim=True)
        deviation = centred.square().mean(axes, keepdim=True).add(1e-10).sqrt()
        return self._conv_forward(images, centred / deviation, self.bias)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 32 groups, or as many as divide fewer or odd channels."""
    groups = next(g for g in range(min(GROUPS, channels), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels)


def use_group_norm(module: nn.Module) -> None:
    """Put standardised convolutions and group norms in the place of plain ones and batch norms."""
    for name, child in module.named_children():
        if type(child) is nn.Conv2d:
            setattr(module, name, _standardised(child))
        elif isinstance(child, nn.BatchNorm2d):
            setattr(module, name, group_norm(child.num_features))
        else:
            use_group_norm(child)


def _standardised(convolution: nn.Conv2d) -> StandardisedConv2d:
    new = StandardisedConv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        bias=convolution.bias is not None,
    )
    new.load_state_dict(convolution.state_dict())
    return new
