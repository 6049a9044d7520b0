"""Names of tensors: `[a-z0-9_]+`, numbered in layer order, so that sorted order is layer order.

The first letter is the group: `p` for parameters, `s` for statistics, `o` for the optimizer's slots.
"""

import re
from collections.abc import Sequence

_DIGITS = 3
_LONGEST_SLUG = 120  # leaves room for a number and a prefix within the 200 characters that wire.tensors allows


def parameter_names(paths: Sequence[str]) -> tuple[str, ...]:
    """A name for each parameter, from Keras's paths in layer order.

    Example:
        >>> parameter_names(["cnn/conv2d/kernel", "cnn/conv2d/bias"])
        ('p000_conv2d_kernel', 'p001_conv2d_bias')
    """
    return _numbered("p", ["_".join(path.split("/")[-2:]) for path in paths])


def statistic_names(paths: Sequence[str]) -> tuple[str, ...]:
    """A name for each statistic that training moves, as `parameter_names`: `s000_bn_moving_mean`."""
    return _numbered("s", ["_".join(path.split("/")[-2:]) for path in paths])


def slot_names(paths: Sequence[str]) -> tuple[str, ...]:
    """A name for each slot: `o001_p000_conv2d_kernel_momentum`, the last part of Keras's path.

    A slot without a name of its own, which Keras numbers anew for every optimizer, is an `o002_slot`.
    """
    return _numbered("o", [re.sub(r"^variable(_\d+)?$", "slot", path.split("/")[-1]) for path in paths])


def slug(text: str) -> str:
    """The text in the letters that names have."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_LONGEST_SLUG]


def _numbered(group: str, texts: Sequence[str]) -> tuple[str, ...]:
    digits = max(_DIGITS, len(str(len(texts) - 1)))
    return tuple(f"{group}{index:0{digits}d}_{slug(text)}" for index, text in enumerate(texts))
