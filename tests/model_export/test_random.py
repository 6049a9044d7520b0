"""The numbers that random layers draw: uniform, independent, reproducible, and the same on every runtime."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from model_export.drawing import AS_ON_DEVICE, drawing
from model_export.lowering import random
from model_export.signature import Signature
from tests.model_export.lowered import Lowered
from wire.tensors import Array, TensorSpec

pytestmark = pytest.mark.tensorflow

SHAPE = [50, 40, 16]
CELLS = 64
KEY = TensorSpec("int32", (2,))


def _uniform(seed: int, step: int, shape: list[int] = SHAPE) -> Array:
    return random.uniform(shape, tf.constant([seed, step], tf.int32)).numpy()  # type: ignore[no-any-return]


def _correlation(one: Array, other: Array) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("seed", [0, 1, 2, 1234567, 2**31 - 1])
@pytest.mark.parametrize("step", [0, 1, 2, 1000])
def test_the_numbers_are_uniform(seed: int, step: int) -> None:
    u = _uniform(seed, step)
    assert u.min() >= 0
    assert u.max() < 1
    # Five standard errors: one test in two million fails by chance.
    assert abs(u.mean() - 1 / 2) < 5 / np.sqrt(12 * u.size)
    assert abs(u.var() - 1 / 12) < 5 / np.sqrt(180 * u.size)
    counts = np.bincount((u.ravel() * CELLS).astype(int), minlength=CELLS)
    chi_square = ((counts - u.size / CELLS) ** 2 / (u.size / CELLS)).sum()
    assert abs(chi_square - (CELLS - 1)) < 5 * np.sqrt(2 * (CELLS - 1))


def test_pairs_of_neighbours_fill_the_square_evenly() -> None:
    u = _uniform(3, 4, [400, 400])
    for first, second in ((u[:, ::2], u[:, 1::2]), (u[::2], u[1::2])):
        cells = (first * 16).astype(int) * 16 + (second * 16).astype(int)
        counts = np.bincount(cells.ravel(), minlength=256)
        chi_square = ((counts - cells.size / 256) ** 2 / (cells.size / 256)).sum()
        assert abs(chi_square - 255) < 5 * np.sqrt(2 * 255)


def test_steps_seeds_and_places_do_not_correlate() -> None:
    u = _uniform(7, 100)
    others = [_uniform(7, step) for step in (101, 102, 200)] + [_uniform(seed, 100) for seed in (6, 8, 7 + (1 << 16))]
    for other in others:
        assert abs(_correlation(u, other)) < 5 / np.sqrt(u.size)
    for axis in range(3):
        for lag in (1, 2, 8):
            first = np.take(u, range(u.shape[axis] - lag), axis)
            second = np.take(u, range(lag, u.shape[axis]), axis)
            assert abs(_correlation(first, second)) < 5 / np.sqrt(first.size)


def test_every_bit_of_the_key_changes_half_of_the_masks() -> None:
    mask = _uniform(5, 5) < 0.5
    for bit in range(31):
        for other in (_uniform(5 ^ (1 << bit), 5) < 0.5, _uniform(5, 5 ^ (1 << bit)) < 0.5):
            assert 0.47 < (mask != other).mean() < 0.53


def test_a_shorter_batch_has_the_numbers_of_the_first_examples() -> None:
    np.testing.assert_array_equal(_uniform(9, 9)[:7], _uniform(9, 9, [7, *SHAPE[1:]]))


def test_normal_numbers_are_normal() -> None:
    z = random.normal([300, 200], tf.constant([11, 12], tf.int32)).numpy()
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)
    for limit, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):
        assert abs((np.abs(z) < limit).mean() - share) < 5 * np.sqrt(share * (1 - share) / z.size)


@pytest.mark.parametrize("key", [(0, 0), (0, 1), (1, 0), (2**31 - 1, 7)])
def test_both_halves_of_a_word_are_uniform_and_independent(key: tuple[int, int]) -> None:
    halves = random.words([1000, 1000], tf.constant(key, tf.int32)).numpy().view(np.uint16).reshape(1000, 1000, 2)
    lower, upper = halves[..., 0].astype(int), halves[..., 1].astype(int)
    across = [(one[:, :-1], one[:, 1:]) for one in (lower, upper)] + [(one[:-1], one[1:]) for one in (lower, upper)]
    pairs = [(lower, upper), *across]
    tables = [lower, upper]
    tables += [(one >> shift & 255) * 256 + (other >> shift & 255) for one, other in pairs for shift in (0, 8)]
    for table in tables:
        counts = np.bincount(table.ravel(), minlength=1 << 16)
        chi_square = ((counts - table.size / counts.size) ** 2 / (table.size / counts.size)).sum()
        assert abs(chi_square - (counts.size - 1)) < 5 * np.sqrt(2 * (counts.size - 1))


def test_masks_of_steps_and_examples_are_as_unlike_as_coins() -> None:
    """Of a million pairs of examples none agrees more than chance allows: six standard errors, one in a thousand."""
    masks = [_mask((600, 512), 0.25, step) - 0.75 for step in (1, 2)]
    for one, other in ((masks[0], masks[0]), (masks[0], masks[1])):
        products = one @ other.T
        if one is other:
            np.fill_diagonal(products, 0)
        assert np.abs(products).max() < 6 * 0.25 * 0.75 * np.sqrt(512)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(400, 500), (50, 8, 7, 64), (7, 11, 13, 3), (9, 1), (200000,)])
def test_dropout_keeps_its_share_and_scales_it(rate: float, shape: tuple[int, ...]) -> None:
    kept = _mask(shape, rate)
    assert set(np.unique(kept)) <= {0.0, 1.0}
    assert abs(kept.mean() - (1 - rate)) < 2**-16 + 5 * np.sqrt(rate * (1 - rate) / kept.size)


def test_a_shorter_batch_is_dropped_out_like_the_first_examples() -> None:
    for shape in ((20, 6, 4), (20, 5, 3)):
        np.testing.assert_array_equal(_mask(shape, 0.5)[:7], _mask((7, *shape[1:]), 0.5))


def _mask(shape: tuple[int, ...], rate: float, step: int = 3) -> Array:
    with drawing(AS_ON_DEVICE, tf.constant([17]), tf.constant([step])):
        kept = keras.layers.Dropout(rate)(tf.ones(shape), training=True).numpy()
    return np.round(kept * (1 - rate), 6)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def drawn() -> Lowered:
    def uniform(key: Any) -> dict[str, Any]:
        return {"u": tf.random.stateless_uniform([6, 5, 3], key)}

    def normal(key: Any) -> dict[str, Any]:
        return {"z": tf.random.stateless_normal([6, 5, 3], key)}

    def words(key: Any) -> dict[str, Any]:
        return {"w": tf.random.stateless_uniform([6, 5, 3], key, None, None, tf.int32)}

    bodies = {"uniform": uniform, "normal": normal, "words": words}
    return Lowered([Signature(name, {"key": KEY}, body) for name, body in bodies.items()])


@pytest.mark.parametrize("key", [(0, 0), (1, 0), (0, 1), (-5, 2**31 - 1)])
def test_a_device_draws_the_very_numbers(drawn: Lowered, key: tuple[int, int]) -> None:
    given = np.array(key, np.int32)
    np.testing.assert_array_equal(drawn.on_device("uniform", {"key": given})["u"], _uniform(*key, [6, 5, 3]))
    words = random.words([6, 5, 3], tf.constant(key, tf.int32))
    np.testing.assert_array_equal(drawn.on_device("words", {"key": given})["w"], words)
    expected = random.normal([6, 5, 3], tf.constant(key, tf.int32))
    np.testing.assert_allclose(drawn.on_device("normal", {"key": given})["z"], expected, rtol=0, atol=2e-6)
