"""Any module as a network of ncviz: what goes into its head and out of its stages is looked up."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import get_ident

from torch import Tensor, nn

from ncviz.errors import InvalidArrayError, InvalidOptionError, UnknownNameError
from ncviz.models.network import Outputs, stage_name

_SHOWN = 8


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

    def forward(self, images: Tensor) -> Outputs:
        """Normalised images (B, 3, S, S) to Outputs.

        Raises
        ------
        InvalidArrayError : the head's input is not (B, D), or a stage's output cannot be pooled.
        InvalidOptionError : the module's forward pass leaves out the head or a stage.
        """
        taken: dict[str, Tensor] = {}
        # A network is shared by the threads of the app: each sees its own forward pass alone.
        thread = get_ident()

        def take_head(_, inputs, output) -> None:
            if get_ident() == thread:
                # A copy: the module may go on to turn its logits into a softmax in place.
                taken["encoder"], taken["logits"] = inputs[0], output.clone()

        def take_stage(stage: str) -> Callable[..., None]:
            def take(_, inputs, output) -> None:
                if get_ident() == thread:
                    # Pooled at once: the next layer may overwrite its input in place.
                    taken[stage] = _pooled(stage, output)

            return take

        with ExitStack() as hooks:
            hooks.callback(self._head().register_forward_hook(take_head).remove)
            for stage, name in self._stage_names.items():
                part = self.module.get_submodule(name)
                hooks.callback(part.register_forward_hook(take_stage(stage)).remove)
            self.module(images)
        self._require_taken(taken, len(images))
        stages = tuple(taken[stage] for stage in self._stage_names)
        return Outputs(taken["encoder"], None, taken["logits"], stages)

    def heads(self) -> dict[str, nn.Linear]:
        """The linear classifier of the encoder."""
        return {"encoder": self._head()}

    def _head(self) -> nn.Linear:
        return self.module.get_submodule(self._head_name)

    def _require_taken(self, taken: Mapping[str, Tensor], batch: int) -> None:
        for layer, name in {"encoder": self._head_name, **self._stage_names}.items():
            if layer not in taken:
                raise InvalidOptionError(
                    f"The forward pass of {type(self.module).__name__} does not call '{name}'; "
                    "name a submodule that it calls."
                )
        shape = tuple(taken["encoder"].shape)
        if len(shape) != 2 or shape[0] != batch:
            raise InvalidArrayError(
                f"The head '{self._head_name}' takes an input of shape {shape}; expected "
                f"({batch}, D), one row of features for each image. {_linear(self.module)}"
            )


def wrap(module: nn.Module, *, head: str, stages: Mapping[str, str] | None = None) -> Wrapped:
    """`module` as a network whose forward pass returns Outputs.

    Encoder features are what goes into the head, logits what comes out of it, whatever the module
    itself returns. The module is not changed, and gradients reach the images.

    Parameters
    ----------
    module : takes images (B, 3, S, S)
    head : name of the submodule that is its linear classifier, as in ``named_modules()``
    stages : submodules whose outputs are pooled to further layers, in the order of the forward
        pass: ``{"stage1": "layer1", "stage2": "layer2"}``. Outputs are (B, channels, h, w),
        (B, tokens, channels) or (B, channels).

    Raises
    ------
    UnknownNameError : the module has no such submodule.
    InvalidOptionError : the head is not linear, or stages are not called stage1, stage2, ...
    """
    stages = dict(stages or {})
    expected = [stage_name(number) for number in range(1, len(stages) + 1)]
    if list(stages) != expected:
        raise InvalidOptionError(
            f"Stages are called {', '.join(stages)}; expected {', '.join(expected)}, in order."
        )
    for name in (head, *stages.values()):
        _require_submodule(module, name)
    found = module.get_submodule(head)
    if not isinstance(found, nn.Linear):
        raise InvalidOptionError(
            f"The head '{head}' is of type {type(found).__name__}; expected Linear. "
            f"{_linear(module)}"
        )
    return Wrapped(module, head, stages)


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
