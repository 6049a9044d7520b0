"""Names are legal, say the layer, and sort in layer order however many there are."""

import pytest

from model_export.names import parameter_names
from wire.tensors import NAME_PATTERN

pytestmark = pytest.mark.tensorflow


def test_names_are_the_last_two_parts_of_a_path_in_legal_letters() -> None:
    assert parameter_names(["CNN/Conv-2D.a/kernel", "bias"]) == ("p000_conv_2d_a_kernel", "p001_bias")


@pytest.mark.parametrize("count", [1, 999, 1001])
def test_sorted_order_is_layer_order(count: int) -> None:
    names = parameter_names([f"layer_{count - index}/{'é' * 300}kernel" for index in range(count)])
    assert list(names) == sorted(set(names))
    assert all(NAME_PATTERN.fullmatch(name) for name in names)
