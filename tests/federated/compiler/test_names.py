"""Names in a plan come from the computation's type alone, are all different, and are names that plans can hold."""

import keyword
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import federated as fed
from federated.compiler.collections import Collections, on_device, own_collections
from federated.compiler.naming import identifiers, leaf_paths
from federated.compiler.parameters import parts_of, state_tensors
from federated.language.errors import CompilationError, MisuseError
from federated.language.types import StructType, to_type
from plans.manifest import Order
from wire.tensors import NAME_PATTERN

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)


@given(st.lists(st.text(max_size=300), unique=True, max_size=12))
def test_every_list_of_paths_gives_names_of_its_own(paths: list[str]) -> None:
    names = identifiers(paths)
    assert len(set(names)) == len(names) == len(paths)
    assert all(NAME_PATTERN.fullmatch(name) for name in names)
    assert not any(keyword.iskeyword(name) or name == "self" or not name.isidentifier() for name in names)
    assert names == identifiers(paths)


def test_a_name_says_where_the_tensor_is() -> None:
    type_ = to_type({"model": {"Weights": (np.float32, [2]), "b": np.float32}, "rate": np.float32})
    assert identifiers([path for path, _ in leaf_paths(type_)]) == ["model_weights", "model_b", "rate"]


def test_a_name_with_a_slash_is_no_structure() -> None:
    type_ = to_type({"a/b": np.float32, "a": {"b": np.float32}, "a~1b": np.float32})
    paths = [path for path, _ in leaf_paths(type_)]
    assert paths == ["a~1b", "a/b", "a~01b"]
    assert len(set(identifiers(paths))) == 3


def test_the_parts_of_a_parameter_are_its_federated_values() -> None:
    parameter = StructType([("x", FLOATS), ("s", [fed.FederatedType(np.int32, fed.SERVER), np.float32])])
    parts = parts_of(parameter, "value")
    assert [(part.path, part.is_clients, part.index) for part in parts] == [
        ("x", True, (0,)),
        ("s/0", False, (1, 0)),
        ("s/1", False, (1, 1)),
    ]
    assert [name for name, _, _ in state_tensors(parameter, "value")] == ["s_0", "s_1"]
    assert [part.path for part in parts_of(FLOATS, "readings")] == ["readings"]
    assert parts_of(None, "value") == ()


def test_a_parameters_collection_is_called_as_it_is() -> None:
    assert Collections().of("Readings").collection == "readings"
    alike = own_collections({"x": None, "X": 4})
    assert (alike.of("x").collection, alike.of("X").collection, alike.of("X").batch_size) == ("x", "x_2", 4)


def test_the_field_of_a_tensor_is_its_path_unless_it_is_bound() -> None:
    bound = Collections({"x": on_device("readings", fields={"a/b": "kelvin"})})
    paths = {"x__0": "x/a/b", "x__1": "x/c"}
    selector = bound.selector("x", paths, is_sequence=True)
    assert (selector.collection, selector.inputs) == ("readings", {"x__0": "kelvin", "x__1": "c"})
    bound.check_fields("x", list(paths.values()))
    with pytest.raises(CompilationError, match="on_device binds 'a/b'"):
        bound.check_fields("x", ["x/c"])


def test_a_sequence_of_batches_leaves_a_short_one_out() -> None:
    chosen = on_device("readings", batch_size=8, order="shuffled", limit=100, epochs=2)
    selector = Collections({"x": chosen}).selector("x", {"x__0": "x"}, is_sequence=True)
    assert (selector.batch_size, selector.drop_remainder, selector.epochs, selector.limit) == (8, True, 2, 100)
    assert selector.order is Order.SHUFFLED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"field": "a", "fields": {"b": "c"}}, "a field or fields"),
        ({"batch_size": 0}, "batch_size is an integer of at least 1"),
        ({"limit": 0}, "limit is an integer of at least 1"),
        ({"epochs": -1}, "epochs is an integer of at least 1"),
        ({"limit": 1.5}, "limit is an integer of at least 1, found 1.5"),
        ({"epochs": "2"}, "epochs is an integer of at least 1, found '2'"),
        ({"order": "random"}, "order is 'stored'"),
        ({"field": 3}, "fields are names, found 3"),
        ({"fields": "celsius"}, "fields are names, found 'celsius'"),
    ],
)
def test_what_on_device_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        on_device("readings", **arguments)
