"""Pools of one, two and three dimensions, and global ones, with their gradients, ties included."""

import numpy as np
import pytest
from keras import layers

from tests.model_export.conformance import Family, check, of_layer

pytestmark = pytest.mark.tensorflow

LINE, IMAGE, VOLUME = (2, 9, 3), (2, 7, 8, 3), (2, 5, 6, 4, 2)
KINDS = {"max": layers.MaxPooling3D, "average": layers.AveragePooling3D}

CASES = [
    of_layer("max_1d", layers.MaxPooling1D(2), LINE),
    of_layer("max_1d_overlapping", layers.MaxPooling1D(3, strides=2, padding="same"), LINE),
    of_layer("average_1d", layers.AveragePooling1D(3, strides=1, padding="same"), LINE),
    of_layer("average_2d_overlapping", layers.AveragePooling2D(3, strides=2, padding="same"), IMAGE),
    of_layer("global_max_1d", layers.GlobalMaxPooling1D(), LINE),
    of_layer("global_max_2d", layers.GlobalMaxPooling2D(keepdims=True), IMAGE),
    of_layer("global_max_3d", layers.GlobalMaxPooling3D(), VOLUME),
    of_layer("global_average_1d", layers.GlobalAveragePooling1D(), LINE),
    of_layer("global_average_2d", layers.GlobalAveragePooling2D(), IMAGE),
    of_layer("global_average_3d", layers.GlobalAveragePooling3D(keepdims=True), VOLUME),
    of_layer("adaptive_average_2d", layers.AdaptiveAveragePooling2D((3, 2)), IMAGE),
    of_layer("adaptive_max_2d", layers.AdaptiveMaxPooling2D((3, 2)), IMAGE),
]
for kind, pool in KINDS.items():
    CASES += [
        of_layer(f"{kind}_3d", pool(2), VOLUME),
        of_layer(f"{kind}_3d_overlapping", pool((2, 3, 2), strides=1), VOLUME),
        of_layer(f"{kind}_3d_padded", pool(3, strides=2, padding="same"), VOLUME),
        of_layer(f"{kind}_3d_ties", pool(2, padding="same"), VOLUME, draw=np.round),
    ]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_pool_and_its_gradient_are_those_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)
