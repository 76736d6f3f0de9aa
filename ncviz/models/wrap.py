"""Any module as a network of ncviz: hooks read the input of its head and outputs of its stages."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import get_ident

import torch
from torch import Tensor, nn

from ncviz.errors import InvalidArrayError, InvalidOptionError, UnknownNameError
from ncviz.models.network import Outputs, stage_name

_SHOWN = 8
_SAME = 1e-5
"""largest difference between two computations of the same softmax"""


class Wrapped(nn.Module):
    """A module whose forward pass returns Outputs; made by `wrap`."""

    def __init__(self, module: nn.Module, head: str, stages: Mapping[str, str]):
        super().__init__()
        self.module = module
        self._head_name, self._stage_names = head, dict(stages)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the layers before the encoder's: stage1, stage2, ..."""
        return tuple(self._stage_names)

    @property
    def head(self) -> nn.Module:
        """The classifier on the encoder, which need not be linear."""
        return self.module.get_submodule(self._head_name)

    def forward(self, images: Tensor) -> Outputs:
        """Return the Outputs of normalised images (B, 3, S, S).

        Logits are what the module returns, as (B, C), first element of a tuple or list, or the
        entry ``logits``. Where it returns none, or the softmax or log-softmax of the head's output,
        they are the head's output. Where it returns another softmax p, they are log p.

        Raises
        ------
        InvalidArrayError : the head's input is not (B, D), its output not (B, C), or a stage's
            output cannot be pooled.
        InvalidOptionError : the module's forward pass leaves out the head or a stage.
        """
        taken: dict[str, Tensor] = {}
        # A network is shared by the threads of the app: each sees its own forward pass alone.
        thread = get_ident()

        def take_head(_, inputs, keywords, output) -> None:
            if get_ident() == thread:
                taken["encoder"] = next(iter((*inputs, *keywords.values())), None)
                # A copy: the module may turn its logits into a softmax in place afterwards.
                taken["logits"] = output.clone() if isinstance(output, Tensor) else output

        def take_stage(stage: str) -> Callable[..., None]:
            def take(_, inputs, output) -> None:
                if get_ident() == thread:
                    # Pooled at once: the next layer may overwrite its input in place.
                    taken[stage] = _pooled(stage, output)

            return take

        with ExitStack() as hooks:
            hook = self.head.register_forward_hook(take_head, with_kwargs=True)
            hooks.callback(hook.remove)
            for stage, name in self._stage_names.items():
                part = self.module.get_submodule(name)
                hooks.callback(part.register_forward_hook(take_stage(stage)).remove)
            returned = self.module(images)
        self._require_taken(taken, len(images))
        stages = tuple(taken[stage] for stage in self._stage_names)
        logits = _own_logits(returned, taken["logits"])
        return Outputs(taken["encoder"], None, logits, stages)

    def _require_taken(self, taken: Mapping[str, Tensor], batch: int) -> None:
        for layer, name in {"encoder": self._head_name, **self._stage_names}.items():
            if layer not in taken:
                raise InvalidOptionError(
                    f"The forward pass of {type(self.module).__name__} does not call '{name}'; "
                    "name a submodule that it calls."
                )
        for layer, what in (("encoder", "takes an input"), ("logits", "returns an output")):
            shape = tuple(getattr(taken[layer], "shape", ()))
            if len(shape) != 2 or shape[0] != batch:
                raise InvalidArrayError(
                    f"The head '{self._head_name}' {what} of shape {shape}; expected ({batch}, "
                    f"{'D' if layer == 'encoder' else 'C'}), one row for each image. "
                    f"{_linear(self.module)}"
                )


def wrap(module: nn.Module, *, head: str, stages: Mapping[str, str] | None = None) -> Wrapped:
    """Return `module` as a network whose forward pass returns Outputs.

    Encoder features are the input of the head. Logits are what the module itself returns (see
    `Wrapped.forward`). The module is not changed, and gradients reach the images.

    Parameters
    ----------
    module : takes images (B, 3, S, S)
    head : name of the submodule that is its classifier, as in ``named_modules()``. It need not be
        an ``nn.Linear``; adopting checks whether the logits are W h + b.
    stages : submodules whose outputs are pooled to further layers, in the order of the forward
        pass: ``{"stage1": "layer1", "stage2": "layer2"}``. Outputs are (B, channels, h, w),
        (B, tokens, channels) or (B, channels).

    Raises
    ------
    UnknownNameError : the module has no such submodule.
    InvalidOptionError : stages are not called stage1, stage2, ...
    """
    stages = dict(stages or {})
    expected = [stage_name(number) for number in range(1, len(stages) + 1)]
    if list(stages) != expected:
        raise InvalidOptionError(
            f"Stages are called {', '.join(stages)}; expected {', '.join(expected)}, in order."
        )
    for name in (head, *stages.values()):
        _require_submodule(module, name)
    return Wrapped(module, head, stages)


def _own_logits(returned: object, of_head: Tensor) -> Tensor:
    """Return the logits (B, C) of a forward pass, given what module and head returned."""
    if isinstance(returned, Mapping):
        returned = returned.get("logits")
    elif isinstance(returned, tuple | list) and not hasattr(returned, "logits"):
        returned = returned[0] if len(returned) else None
    returned = getattr(returned, "logits", returned)
    if not isinstance(returned, Tensor) or returned.ndim != 2 or len(returned) != len(of_head):
        return of_head
    if returned.shape != of_head.shape or not returned.is_floating_point():
        # An embedding or class numbers; logits of another number of classes do not fit either.
        return of_head
    found, head = returned.detach().float(), of_head.detach().float()
    if torch.equal(found, head):
        return of_head
    for normalised in (head.softmax(dim=1), head.log_softmax(dim=1)):
        if torch.allclose(normalised, found, rtol=_SAME, atol=_SAME):
            return of_head
    total = found.sum(dim=1)
    if bool((found >= 0).all()) and torch.allclose(total, torch.ones_like(total), atol=_SAME):
        # The softmax of unknown logits, which are log p but for a constant.
        return returned.clamp_min(torch.finfo(returned.dtype).tiny).log()
    return returned


def _pooled(stage: str, output: Tensor) -> Tensor:
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        raise InvalidArrayError(
            f"The output of {stage} is {shape}; expected (B, channels, h, w), "
            "(B, tokens, channels) or (B, channels)."
        )
    axes = {2: (), 3: (1,), 4: (2, 3)}[output.ndim]
    # A copy where nothing is averaged: the next layer may work in place.
    return output.mean(dim=axes) if axes else output.clone()


def _require_submodule(module: nn.Module, name: str) -> None:
    names = [each for each, _ in module.named_modules() if each]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=_SHOWN, cutoff=0.3)
        top = [each for each, _ in module.named_children()]
        known = dict.fromkeys([*close, *top])
        raise UnknownNameError("submodule", name, known, _linear(module))


def _linear(module: nn.Module) -> str:
    names = [name for name, each in module.named_modules() if isinstance(each, nn.Linear)]
    return f"Linear submodules: {', '.join(names[-_SHOWN:]) or 'none'}."
