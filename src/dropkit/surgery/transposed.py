"""Linear layers of other libraries whose weight is transposed: ``Conv1D`` of Hugging Face's GPT models."""

from __future__ import annotations

from torch import nn


def is_transposed_linear(module: nn.Module) -> bool:
    """Whether ``module`` is a ``Conv1D`` of Hugging Face: a linear layer with a weight of shape ``(in, out)``.

    It is told by its class's name, so that their library, which may not be there, is not imported.
    """
    return any(
        cls.__name__ == "Conv1D" and cls.__module__.partition(".")[0] == "transformers"
        for cls in type(module).__mro__
    )
