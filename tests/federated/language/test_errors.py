"""What an error of a federated program shows."""

import pickle

import numpy as np
import pytest

from federated.language import errors
from federated.language.errors import FederatedError, TypeMismatchError, TypeSpecError
from federated.language.placements import CLIENTS
from federated.language.types import FederatedType


def test_the_message_comes_first_then_the_line_then_the_fix() -> None:
    error = FederatedError("a mean of nothing", where="sums.py:3: mean(x)", fix="give it a value")
    assert str(error) == "a mean of nothing\nat sums.py:3: mean(x)\ngive it a value"


def test_the_line_and_the_fix_can_be_told_later() -> None:
    error = FederatedError("a mean of nothing")
    assert str(error) == "a mean of nothing"
    error.where = "sums.py:3: mean(x)"
    assert str(error) == "a mean of nothing\nat sums.py:3: mean(x)"


def test_two_types_stand_one_under_the_other_with_what_differs() -> None:
    error = TypeMismatchError(
        "the argument has the wrong type",
        expected=FederatedType(np.float32, CLIENTS),
        found=FederatedType(np.int32, CLIENTS),
    )
    assert str(error).splitlines() == [
        "the argument has the wrong type",
        "  expected: {float32}@CLIENTS",
        "  found:    {int32}@CLIENTS",
        "  differs:  member: expected float32, found int32",
    ]
    assert error.difference == "member: expected float32, found int32"


def test_an_error_survives_pickling_with_everything_it_knows() -> None:
    error = TypeMismatchError("no", expected=FederatedType(np.float32, CLIENTS), where="a.py:1: f()", fix="do")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.expected) == (TypeMismatchError, str(error), error.expected)


def test_a_bad_spec_is_both_of_the_builtin_errors_that_tensorflow_federated_raises() -> None:
    assert issubclass(TypeSpecError, TypeError)
    assert issubclass(TypeSpecError, ValueError)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("TypeMismatchError", TypeError),
        ("NotationError", ValueError),
        ("ValueMismatchError", TypeError),
        ("PlacementError", TypeError),
        ("MisuseError", TypeError),
        ("OutsideComputationError", RuntimeError),
        ("CompilationError", Exception),
        ("ExecutionError", RuntimeError),
    ],
)
def test_every_error_has_the_root_and_the_builtin_that_python_would_raise(name: str, builtin: type) -> None:
    error = getattr(errors, name)("why", where="here", fix="so")
    assert isinstance(error, FederatedError)
    assert isinstance(error, builtin)
    assert str(error) == "why\nat here\nso"
