"""The arithmetic of compression: what is packed comes back, rotations keep lengths, and keys tell clients apart."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.tensors import Array

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def vectors() -> Any:
    from federated.backends import vectors

    return vectors


@settings(max_examples=20, deadline=None)
@given(bits=st.integers(1, 8), seed=st.integers(0, 1000))
def test_packed_codes_come_back(bits: int, seed: int) -> None:
    from federated.backends.vectors import packed, unpacked

    codes = np.random.default_rng(seed).integers(0, 2**bits, (3, 16)).astype(np.float32)
    planes = packed(codes, bits)
    assert planes.dtype == "uint8"
    assert np.size(planes) * 8 == codes.size * bits
    np.testing.assert_array_equal(unpacked(planes, bits, 16), codes)


@pytest.mark.parametrize("size", [1, 2, 8, 64, 128, 4096])
def test_the_hadamard_transform_is_a_rotation_that_undoes_itself(vectors: Any, size: int) -> None:
    rows = np.random.default_rng(size).normal(size=(2, size)).astype(np.float32)
    rotated = vectors.hadamard(vectors.blocks(np.ravel(rows), size))
    np.testing.assert_allclose(np.linalg.norm(rotated, axis=1), np.linalg.norm(rows, axis=1), rtol=1e-5)
    np.testing.assert_allclose(vectors.hadamard(rotated), rows, atol=1e-5)
    first = vectors.hadamard(vectors.blocks(np.eye(1, size, dtype=np.float32)[0], size))
    np.testing.assert_allclose(first, np.full((1, size), size**-0.5), rtol=1e-5)


def test_signs_are_fair_and_depend_on_the_key(vectors: Any) -> None:
    one, same, other = (np.asarray(vectors.random_signs([64, 64], np.array(key, np.int32))) for key in KEYS)
    assert set(np.unique(one)) == {-1.0, 1.0}
    assert abs(one.mean()) < 0.06
    np.testing.assert_array_equal(one, same)
    assert abs((one * other).mean()) < 0.06


KEYS = [[7, 1], [7, 1], [7, 2]]


def test_a_fingerprint_survives_the_last_bits_and_tells_vectors_apart(vectors: Any) -> None:
    random = np.random.default_rng(0)
    vector = random.normal(size=5000).astype(np.float32)

    def of(other: Array) -> int:
        return int(vectors.fingerprint(other.astype(np.float32)))

    roundings = [of(vector * (1 + 1e-7 * random.normal(size=5000))) for _ in range(20)]
    assert sum(one == of(vector) for one in roundings) >= 18
    others = [of(vector + 0.05 * random.normal(size=5000)) for _ in range(50)] + [of(-vector), of(1.2 * vector)]
    assert len({*others, of(vector)}) == 53
    assert of(np.zeros(10)) == of(np.zeros(10))
