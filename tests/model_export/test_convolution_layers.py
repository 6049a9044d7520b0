"""Convolutions of one, two and three dimensions, transposed, depthwise, separable and in groups, as Keras has them."""

import pytest
import tensorflow as tf
from keras import layers

from tests.model_export.conformance import Case, Family, check, of_layer

pytestmark = pytest.mark.tensorflow

LINE, IMAGE, VOLUME = (2, 9, 4), (2, 8, 7, 4), (2, 6, 5, 4, 2)
EXPLICIT = [[0, 0], [2, 1], [0, 1], [0, 0]]

CASES = [
    of_layer("conv1d", layers.Conv1D(3, 3), LINE),
    of_layer("conv1d_causal", layers.Conv1D(3, 3, padding="causal", dilation_rate=2), LINE),
    of_layer("conv1d_strided", layers.Conv1D(3, 3, strides=2, padding="same"), LINE),
    of_layer("conv1d_groups", layers.Conv1D(6, 3, groups=2), LINE),
    of_layer("conv2d_groups", layers.Conv2D(6, 3, groups=2, padding="same", strides=2), IMAGE),
    of_layer("conv2d_many_groups", layers.Conv2D(8, (3, 2), groups=4), IMAGE),
    of_layer("conv2d_dilated", layers.Conv2D(3, 3, dilation_rate=(2, 1), padding="same"), IMAGE),
    Case("conv2d_explicit", lambda x, k: tf.nn.conv2d(x, k, 2, EXPLICIT), (IMAGE, (3, 3, 4, 5))),
    of_layer("conv1d_wide", layers.Conv1D(5, 5, padding="same"), (2, 9, 30)),
    of_layer("conv1d_wide_causal", layers.Conv1D(5, 4, padding="causal"), (2, 9, 30)),
    of_layer("conv2d_wide_groups", layers.Conv2D(6, 3, groups=2, padding="same"), (2, 8, 7, 40)),
    Case("conv2d_wide_explicit", lambda x, k: tf.nn.conv2d(x, k, 1, EXPLICIT), ((2, 8, 7, 20), (3, 3, 20, 5))),
    of_layer("conv2d_wide_transposed", layers.Conv2DTranspose(20, 3, padding="same"), (2, 8, 7, 5)),
    of_layer("conv2d_strided_1x1", layers.Conv2D(6, 1, strides=2), (2, 8, 7, 30)),
    of_layer("conv1d_transposed", layers.Conv1DTranspose(3, 3, strides=2), LINE),
    of_layer("conv2d_transposed", layers.Conv2DTranspose(3, 3), IMAGE),
    of_layer("conv2d_transposed_same", layers.Conv2DTranspose(3, 3, strides=2, padding="same"), IMAGE),
    of_layer("conv2d_transposed_gaps", layers.Conv2DTranspose(3, 2, strides=3, output_padding=0), IMAGE),
    of_layer("conv2d_transposed_dilated", layers.Conv2DTranspose(3, 3, dilation_rate=2), IMAGE),
    of_layer("depthwise", layers.DepthwiseConv2D(3), IMAGE),
    of_layer("depthwise_same", layers.DepthwiseConv2D(3, padding="same", strides=2), IMAGE),
    of_layer("depthwise_multiplied", layers.DepthwiseConv2D((3, 2), depth_multiplier=3), IMAGE),
    of_layer("depthwise_dilated", layers.DepthwiseConv2D(2, dilation_rate=2, padding="same"), IMAGE),
    of_layer("depthwise_1d", layers.DepthwiseConv1D(3, depth_multiplier=2, strides=2), LINE),
    Case(
        "depthwise_explicit",
        lambda x, k: tf.nn.depthwise_conv2d(x, k, [1, 2, 2, 1], EXPLICIT),
        (IMAGE, (3, 3, 4, 2)),
    ),
    of_layer("separable", layers.SeparableConv2D(5, 3, padding="same"), IMAGE),
    of_layer("separable_strided", layers.SeparableConv2D(5, 3, strides=2, depth_multiplier=2), IMAGE),
    of_layer("separable_1d", layers.SeparableConv1D(5, 3), LINE),
    of_layer("conv3d", layers.Conv3D(3, 2), VOLUME),
    of_layer("conv3d_same", layers.Conv3D(3, 3, padding="same", strides=2), VOLUME),
    of_layer("conv3d_uneven", layers.Conv3D(3, (1, 2, 3), strides=(1, 2, 1)), VOLUME),
    of_layer("conv3d_dilated", layers.Conv3D(3, 2, dilation_rate=(2, 1, 2), padding="same"), VOLUME),
    of_layer("conv3d_groups", layers.Conv3D(4, 2, groups=2, strides=2), VOLUME),
    of_layer("conv3d_wide", layers.Conv3D(3, 3, padding="same"), (2, 6, 5, 4, 9)),
    of_layer("conv3d_transposed", layers.Conv3DTranspose(3, 2, strides=2), VOLUME),
    of_layer("conv3d_transposed_same", layers.Conv3DTranspose(3, 3, padding="same"), VOLUME),
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_convolution_and_its_gradients_are_those_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)
