"""One program, two contexts: what the plan gives is what the local context gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language.errors import ExecutionError
from federated.language.structures import elements_of

RELATIVE = 1e-6


def agree(computation: Any, *args: Any, clients: int = 0) -> Any:
    """The local result, after the plan context gave the same."""
    with fed.local_context(clients):
        expected = computation(*args)
    with fed.plan_context(clients):
        found = computation(*args)
    assert_same(expected, found)
    return expected


def same_outcome(expected: Callable[[], Any], found: Callable[[], Any]) -> None:
    """Both give the same, or both refuse what clients have, such as a mean of weights that are all zero."""
    try:
        value = expected()
    except ExecutionError:
        with pytest.raises(ExecutionError):
            found()
    else:
        assert_same(value, found())


def assert_same(expected: Any, found: Any, path: str = "result") -> None:
    """The same containers, dtypes and shapes; integers and bools exactly, floats to rounding."""
    elements = elements_of(expected)
    if elements is None:
        _assert_same_array(np.asarray(expected), np.asarray(found), path)
        return
    assert type(found) is type(expected), path
    others = elements_of(found)
    assert others is not None, path
    assert [name for name, _ in others] == [name for name, _ in elements], path
    for index, ((name, one), (_, other)) in enumerate(zip(elements, others, strict=True)):
        assert_same(one, other, f"{path}/{name or index}")


def _assert_same_array(expected: Any, found: Any, path: str) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), path
    if expected.dtype.kind == "f":
        scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=RELATIVE * scale, err_msg=path)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=path)
