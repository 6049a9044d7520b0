"""Types, and pairs of types of which one may be used as the other, for tests that hold for all of them."""

from collections import OrderedDict
from typing import Any

import numpy as np
from hypothesis import strategies as st

from federated.language.conversion import DTYPES
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import (
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    StructWithPythonType,
    TensorType,
    Type,
)

dtypes = st.sampled_from(DTYPES).map(np.dtype)
shapes = st.none() | st.lists(st.none() | st.integers(0, 20), max_size=3)
tensors = st.builds(TensorType, dtypes, shapes)
names = st.sampled_from(["a", "b", "loss/train", "items", "0"]) | st.text(max_size=6)


def structs(
    elements: st.SearchStrategy[Any], container: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[Any]:
    """Structures whose elements all have names, have none, or are mixed."""
    pairs = st.tuples(st.none() | names, elements)
    mixed = st.lists(pairs, max_size=4, unique_by=lambda pair: object() if pair[0] is None else pair[0])
    containers = st.sampled_from([None, dict, OrderedDict, list, tuple]) if container is None else container
    return st.builds(_struct, mixed, containers)


def _struct(pairs: list[tuple[str | None, Type]], container: type | None) -> StructType:
    return StructType(pairs) if container is None else StructWithPythonType(pairs, container)


leafy = st.recursive(tensors, structs, max_leaves=6)
"""Tensors, and structures of them."""

members = st.recursive(tensors | st.builds(SequenceType, leafy), structs, max_leaves=5)
federated = st.builds(FederatedType, members, st.sampled_from([CLIENTS, SERVER]), st.none() | st.booleans())


def _outer(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return structs(inner) | st.builds(FunctionType, st.none() | inner, inner)


types: st.SearchStrategy[Type] = st.recursive(members | federated, _outer, max_leaves=5)


def written_without_containers(type_: Type) -> Type:
    """The same type, with no Python container remembered anywhere."""
    match type_:
        case StructType(elements):
            return StructType([(name, written_without_containers(element)) for name, element in elements])
        case SequenceType(element):
            return SequenceType(written_without_containers(element))
        case FunctionType(parameter, result):
            return FunctionType(
                None if parameter is None else written_without_containers(parameter), written_without_containers(result)
            )
        case FederatedType(member, placement, all_equal):
            return FederatedType(written_without_containers(member), placement, all_equal)
    return type_


@st.composite
def narrower(draw: st.DrawFn, type_: Type) -> Type:
    """A type whose values can be used as those of `type_`."""
    match type_:
        case TensorType(dtype, shape):
            sizes = (
                draw(shapes)
                if shape is None
                else [draw(st.none() | st.integers(0, 9)) if s is None else s for s in shape]
            )
            return TensorType(dtype, sizes)
        case StructType(elements):
            pairs = [(draw(st.sampled_from([name, None])), draw(narrower(element))) for name, element in elements]
            return _struct(pairs, draw(st.sampled_from([None, dict, list])))
        case SequenceType(element):
            return SequenceType(draw(narrower(element)))
        case FunctionType(parameter, result):
            return FunctionType(None if parameter is None else draw(wider(parameter)), draw(narrower(result)))
        case FederatedType(member, placement, all_equal):
            return FederatedType(draw(narrower(member)), placement, all_equal or draw(st.booleans()))
    raise AssertionError(type_)


@st.composite
def wider(draw: st.DrawFn, type_: Type) -> Type:
    """A type as which the values of `type_` can be used."""
    match type_:
        case TensorType(dtype, shape):
            if shape is None or draw(st.booleans()):
                return TensorType(dtype, None)
            return TensorType(dtype, [draw(st.sampled_from([size, None])) for size in shape])
        case StructType(elements):
            fresh = iter(["fresh_0", "fresh_1", "fresh_2", "fresh_3"])
            pairs = []
            for name, element in elements:
                new = name if name is not None else draw(st.sampled_from([None, next(fresh)]))
                pairs.append((new, draw(wider(element))))
            return _struct(pairs, draw(st.sampled_from([None, dict, list])))
        case SequenceType(element):
            return SequenceType(draw(wider(element)))
        case FunctionType(parameter, result):
            return FunctionType(None if parameter is None else draw(narrower(parameter)), draw(wider(result)))
        case FederatedType(member, placement, all_equal):
            return FederatedType(draw(wider(member)), placement, all_equal and draw(st.booleans()))
    raise AssertionError(type_)
