"""Names of tensors: `[a-z0-9_]+`, numbered in layer order, so that sorted order is layer order."""

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
    digits = max(_DIGITS, len(str(len(paths) - 1)))
    return tuple(f"p{index:0{digits}d}_{_slug(path)}" for index, path in enumerate(paths))


def _slug(path: str) -> str:
    last_two = "_".join(path.split("/")[-2:])
    return re.sub(r"[^a-z0-9]+", "_", last_two.lower()).strip("_")[:_LONGEST_SLUG]
