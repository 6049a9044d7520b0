"""A graph that no trace would make is found out, at the line that it says it is from."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import federated as fed
from federated.language.checking import check, free_references
from federated.language.errors import (
    FederatedError,
    MisuseError,
    OutsideComputationError,
    PlacementError,
    TypeMismatchError,
)
from federated.language.nodes import (
    Block,
    Call,
    Intrinsic,
    Lambda,
    Literal,
    Local,
    Node,
    Reference,
    Selection,
    Structure,
)
from federated.language.origin import Origin
from tests.federated.language.random_programs import Program, programs
from tests.federated.numpy_computations import numpy_computation

INT, FLOAT = fed.TensorType(np.int32), fed.TensorType(np.float32)
HERE = Origin("program.py", 12, "y = f(x)")
ONE = Literal(np.asarray(1, np.int32), INT)
X = Reference("x", INT)
PAIR = fed.StructType([("a", INT), (None, FLOAT)])
AT_CLIENTS = fed.FederatedType(INT, fed.CLIENTS)
AT_SERVER = fed.FederatedType(INT, fed.SERVER)


@numpy_computation(np.int32, np.int32)
def same(x: Any) -> Any:
    return x


FUNCTION = same.as_node()
assert isinstance(FUNCTION, Local)
BODY = FUNCTION.body


@given(programs())
def test_what_is_traced_is_sound(program: Program) -> None:
    check(program.computation.as_node())


def intrinsic(name: str, parameter: Any, result: Any, **options: str) -> Intrinsic:
    return Intrinsic(name, fed.FunctionType(parameter, result), options, origin=HERE)


UNSOUND: dict[str, tuple[type[FederatedError], Node, str]] = {
    "a reference that nothing binds": (
        OutsideComputationError,
        Reference("x", INT, origin=HERE),
        "'x' is bound nowhere",
    ),
    "a name used outside its block": (
        OutsideComputationError,
        Structure((Block((("x", ONE),), X, INT), Reference("x", INT, origin=HERE)), fed.StructType([INT, INT])),
        "bound nowhere",
    ),
    "a name used before it is bound": (
        OutsideComputationError,
        Block((("y", Reference("x", INT, origin=HERE)), ("x", ONE)), X, INT),
        "bound nowhere",
    ),
    "a reference of another type than its lambda's parameter": (
        TypeMismatchError,
        Lambda("x", Reference("x", FLOAT, origin=HERE), fed.FunctionType(INT, FLOAT)),
        "the name 'x'",
    ),
    "a reference of another type than its binding": (
        TypeMismatchError,
        Block((("x", ONE),), Reference("x", FLOAT, origin=HERE), FLOAT),
        "the name 'x'",
    ),
    "a constant of another dtype": (
        TypeMismatchError,
        Literal(np.asarray(1.0, np.float64), FLOAT, origin=HERE),
        "a constant has the type float32, but is float64",
    ),
    "a constant of another shape": (
        TypeMismatchError,
        Literal(np.zeros(3, np.float32), fed.TensorType(np.float32, [2]), origin=HERE),
        r"but is float32\[3\]",
    ),
    "a structure of other elements": (TypeMismatchError, Structure((ONE, ONE), PAIR, origin=HERE), "a structure"),
    "a structure of fewer elements": (TypeMismatchError, Structure((ONE,), PAIR, origin=HERE), "a structure"),
    "a selection out of range": (
        TypeMismatchError,
        Lambda("x", Selection(Reference("x", PAIR), 2, INT, origin=HERE), fed.FunctionType(PAIR, INT)),
        "no element 2",
    ),
    "a selection from a tensor": (
        TypeMismatchError,
        Selection(ONE, 0, INT, origin=HERE),
        "no element 0 in a value of type int32",
    ),
    "a selection of another type": (
        TypeMismatchError,
        Lambda("x", Selection(Reference("x", PAIR), 0, FLOAT, origin=HERE), fed.FunctionType(PAIR, FLOAT)),
        "a selection",
    ),
    "a lambda with another result": (
        TypeMismatchError,
        Lambda("x", X, fed.FunctionType(INT, FLOAT), origin=HERE),
        "a function's result",
    ),
    "a lambda without its parameter": (
        TypeMismatchError,
        Lambda(None, ONE, fed.FunctionType(INT, INT), origin=HERE),
        "does not fit",
    ),
    "a call of what is no function": (TypeMismatchError, Call(ONE, None, INT, origin=HERE), "int32 is called"),
    "a call with another argument": (
        TypeMismatchError,
        Call(FUNCTION, Literal(np.asarray(1, np.float32), FLOAT), INT, origin=HERE),
        "a call's argument",
    ),
    "a call without an argument": (TypeMismatchError, Call(FUNCTION, None, INT, origin=HERE), "with no argument"),
    "a call of another type": (TypeMismatchError, Call(FUNCTION, ONE, FLOAT, origin=HERE), "a call has"),
    "a block of another type": (TypeMismatchError, Block((), ONE, FLOAT, origin=HERE), "a block"),
    "an operator that there is not": (
        MisuseError,
        intrinsic("federated_steal", INT, INT),
        "no operator 'federated_steal'",
    ),
    "an operator that its rule refuses": (
        PlacementError,
        intrinsic("federated_sum", AT_SERVER, AT_SERVER),
        "at CLIENTS",
    ),
    "an operator of another result": (
        TypeMismatchError,
        intrinsic("federated_broadcast", AT_SERVER, AT_CLIENTS),
        "federated_broadcast has another type",
    ),
    "a map that claims to be all equal": (
        TypeMismatchError,
        intrinsic("federated_map", [FUNCTION.type, AT_CLIENTS], fed.FederatedType(INT, fed.CLIENTS, all_equal=True)),
        "federated_map",
    ),
    "an operator of too few arguments": (TypeMismatchError, intrinsic("federated_map", [INT], INT), "takes fn, arg"),
    "an operator of no argument": (TypeMismatchError, intrinsic("federated_sum", None, INT), "takes value"),
    "an option that there is not": (
        MisuseError,
        intrinsic("federated_sum", AT_CLIENTS, AT_SERVER, wrap="yes"),
        "wrap=yes",
    ),
    "a local computation of another type": (
        TypeMismatchError,
        Local(BODY, fed.FunctionType(INT, FLOAT), origin=HERE),
        "a local computation",
    ),
}


@pytest.mark.parametrize("what", UNSOUND)
def test_an_unsound_graph_is_refused_at_its_line(what: str) -> None:
    kind, node, message = UNSOUND[what]
    with pytest.raises(kind, match=message) as refusal:
        check(Lambda(None, node, fed.FunctionType(None, node.type)))
    assert refusal.value.where == HERE


def test_a_fault_deep_inside_is_found() -> None:
    node: Node = Literal(np.asarray(1.0, np.float64), INT, origin=HERE)
    for _ in range(50):
        node = Call(Lambda(None, node, fed.FunctionType(None, INT)), None, INT)
    with pytest.raises(TypeMismatchError):
        check(node)


def test_names_are_those_of_the_innermost_binding() -> None:
    inner = Lambda("x", Reference("x", FLOAT), fed.FunctionType(FLOAT, FLOAT))
    check(
        Lambda("x", Structure((X, inner), fed.StructType([INT, inner.type])), fed.FunctionType(INT, [INT, inner.type]))
    )
    check(Block((("x", ONE), ("x", Literal(np.asarray(1, np.float32), FLOAT))), Reference("x", FLOAT), FLOAT))


def test_the_names_that_a_graph_needs_are_told() -> None:
    assert set(free_references(Call(FUNCTION, X, INT))) == {"x"}
    assert free_references(Lambda("x", X, fed.FunctionType(INT, INT))) == {}


def test_a_shared_node_is_looked_at_once() -> None:
    node: Node = FUNCTION
    for _ in range(40):
        body = Call(node, Call(node, X, INT), INT)
        node = Lambda("x", body, fed.FunctionType(INT, INT))
    check(node)
