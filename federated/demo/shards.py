"""Who holds which digits: private, uneven shards for the demo's devices."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wire.tensors import Array

_SKEW = 1.0  # the concentration of the Dirichlet draw: small is one-sided, large is even
_FEWEST_EXAMPLES = 20
_DRAWS = 100
_IMAGE_RANKS = (3, 4)


class DemoDataError(Exception):
    """The data cannot be dealt to the demo's devices."""


@dataclass(frozen=True)
class Shard:
    """One device's private examples.

    Attributes:
        x: float32[n, height, width, 1], values in [0, 1].
        y: int32[n]
    """

    x: Array
    y: Array


def bundled_digits(devices: int, seed: int) -> list[Shard]:
    """scikit-learn's 1,797 handwritten digits of 8x8, dealt with label skew.

    For each digit, a Dirichlet draw says which share every device gets (Hsu, Qi, Brown, "Measuring the Effects of
    Non-Identical Data Distribution for Federated Visual Classification", 2019).
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = _images(digits.images), digits.target.astype(np.int32)
    generator = np.random.default_rng(seed)
    for _ in range(_DRAWS):
        owners = _deal_by_label(y, devices, generator)
        shards = [Shard(x[owners == device], y[owners == device]) for device in range(devices)]
        if min(len(shard.y) for shard in shards) >= _FEWEST_EXAMPLES:
            return shards
    raise DemoDataError(f"1,797 digits are too few for {devices} devices of {_FEWEST_EXAMPLES} and more; use fewer")


def shards_of_file(path: Path, devices: int | None, most: int) -> list[Shard]:
    """The clients of a file with the arrays `x`, `y` and `client`, as one device each.

    Args:
        devices: deal the clients, each as a whole, to so many devices; None for one device a client.
        most: so many devices where `devices` is None and there are more clients.

    Raises:
        DemoDataError: not such a file, or fewer clients than devices.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y, client = (arrays[name] for name in ("x", "y", "client"))
    except (OSError, ValueError, KeyError) as error:
        raise DemoDataError(f"{path}: expected an .npz file with the arrays x, y and client, found {error}") from None
    if x.ndim not in _IMAGE_RANKS or not len(x) == len(y) == len(client):
        raise DemoDataError(
            f"{path}: expected images x of [n,height,width] or [n,height,width,1], y and client of [n]; "
            f"found {x.shape}, {y.shape}, {client.shape}"
        )
    names = np.unique(client)
    count = min(len(names), most) if devices is None else devices
    if count > len(names):
        raise DemoDataError(f"{path} has {len(names)} clients, too few for {count} devices")
    images = _images(x)
    dealt = [np.isin(client, names[device::count]) for device in range(count)]
    return [Shard(images[mine], y[mine].astype(np.int32)) for mine in dealt]


def _images(x: Array) -> Array:
    images = x.reshape(*x.shape[:3], -1).astype(np.float32)
    scaled: Array = images / max(float(images.max()), 1.0)
    return scaled


def _deal_by_label(y: Array, devices: int, generator: np.random.Generator) -> Array:
    owners = np.empty(len(y), np.int64)
    for label in np.unique(y):
        (members,) = np.nonzero(y == label)
        shares = generator.dirichlet(np.full(devices, _SKEW))
        owners[members] = generator.choice(devices, len(members), p=shares)
    return owners
