"""`Struct`, and what counts as a container."""

import copy
import dataclasses
import pickle
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from federated.language.errors import ValueMismatchError
from federated.language.structures import Struct, elements_of

Pair = namedtuple("Pair", ["x", "y"])


@dataclasses.dataclass
class Reading:
    value: float
    label: str


def test_elements_are_reached_by_position_by_name_and_as_attributes() -> None:
    struct = Struct([("foo", 10), (None, 20), ("bar", 30)])
    assert (struct[0], struct[-1], struct["bar"], struct.foo, struct[1:]) == (10, 30, 30, 10, (20, 30))
    assert (len(struct), list(struct), dir(struct)) == (3, [10, 20, 30], ["bar", "foo"])


def test_it_prints_as_tensorflow_federateds_does() -> None:
    struct = Struct([("a", 1), (None, Struct.named(b=2))])
    assert repr(struct) == "Struct([('a', 1), (None, Struct([('b', 2)]))])"
    assert str(struct) == "<a=1,<b=2>>"


def test_it_is_equal_to_another_with_the_same_names_and_values() -> None:
    assert Struct.named(a=1) == Struct([("a", 1)])
    assert Struct.named(a=1) != Struct.unnamed(1)
    assert Struct.unnamed(1) != (1,)
    assert len({Struct.named(a=1), Struct([("a", 1)])}) == 1


def test_it_does_not_change() -> None:
    struct = Struct.named(a=1)
    with pytest.raises(AttributeError, match="doesn't change"):
        struct.a = 2
    with pytest.raises(AttributeError, match="doesn't change"):
        del struct.a


def test_it_survives_copying_and_pickling() -> None:
    struct = Struct([("a", 1), (None, [2])])
    assert pickle.loads(pickle.dumps(struct)) == copy.deepcopy(struct) == copy.copy(struct) == struct  # noqa: S301


def test_it_becomes_a_dict_where_all_elements_have_names() -> None:
    assert Struct.named(b=1, a=2)._asdict() == {"b": 1, "a": 2}
    with pytest.raises(ValueMismatchError, match="without a name"):
        Struct.unnamed(1)._asdict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Struct([("a", 1), ("a", 2)]), "two elements have the name 'a'"),
        (lambda: Struct([1]), r"\(name or None, value\) pairs, found 1"),  # type: ignore[list-item]
        (lambda: Struct([(1, 2)]), "pairs"),  # type: ignore[list-item]
    ],
)
def test_elements_that_are_no_pairs_are_refused(make: Callable[[], Struct], message: str) -> None:
    with pytest.raises(ValueMismatchError, match=message):
        make()


def test_a_missing_name_is_told_with_those_that_are_there() -> None:
    with pytest.raises(AttributeError, match=r"no element 'b'; its names are \['a'\]"):
        _ = Struct.named(a=1).b


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ((1, 2), [(None, 1), (None, 2)]),
        ([], []),
        ({"b": 1, "a": 2}, [("b", 1), ("a", 2)]),
        (OrderedDict(a=1), [("a", 1)]),
        (Pair(1, 2), [("x", 1), ("y", 2)]),
        (Reading(1.0, "one"), [("value", 1.0), ("label", "one")]),
        (Struct([(None, 1), ("a", 2)]), [(None, 1), ("a", 2)]),
    ],
)
def test_containers_have_elements(value: Any, elements: list[Any]) -> None:
    assert elements_of(value) == elements


@pytest.mark.parametrize("value", [1, "ab", b"ab", None, np.zeros(2), {1, 2}, Pair, Reading, dict, range(3)])
def test_other_values_have_none(value: Any) -> None:
    assert elements_of(value) is None


def test_names_are_strings() -> None:
    with pytest.raises(ValueMismatchError, match="found the key 1"):
        elements_of({1: 2})
