"""A computation is written down and read back as the same program; damaged documents are refused."""

import base64
import collections
import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import federated as fed
from federated.language import document
from federated.language.computation import Computation
from federated.language.errors import DocumentError, FederatedError, OutsideComputationError, TypeMismatchError
from tests.federated.language.random_programs import Program, programs
from tests.federated.numpy_computations import load_body, numpy_computation
from tests.golden.make_computations import AVERAGE, average

INT = fed.FederatedType(np.int32, fed.SERVER)


class Reading(NamedTuple):
    value: Any
    unit: Any


@numpy_computation(np.int32, np.int32)
def next_number(x: Any) -> Any:
    return np.int32(x + 1)


def again(computation: Computation) -> Computation:
    return document.load(document.dump(computation), load_body)


@given(programs())
def test_a_loaded_program_is_the_same_and_gives_the_same(program: Program) -> None:
    loaded = again(program.computation)
    assert loaded.type_signature.is_identical_to(program.computation.type_signature)
    assert loaded.compact_representation() == program.computation.compact_representation()
    assert document.dump(loaded) == document.dump(program.computation)
    expected, found = program.computation(*program.arguments), loaded(*program.arguments)
    np.testing.assert_array_equal(_leaves(found), _leaves(expected))


@given(
    st.one_of(
        st.integers(-(2**63), 2**64 - 1), st.booleans(), st.text().filter(lambda text: "\0" not in text),
        st.floats(width=32), st.lists(st.floats()).map(lambda xs: np.array(xs, np.float64)),
        st.lists(st.integers(0, 255)).map(lambda xs: np.array(xs, np.uint8)),
        st.complex_numbers().map(np.complex128),
        st.lists(st.text(max_size=3).filter(lambda text: "\0" not in text), min_size=1).map(np.array),
    )
)  # fmt: skip
def test_constants_are_exact(value: Any) -> None:
    computation = fed.federated_computation(lambda: value)
    found, expected = again(computation)(), computation()
    np.testing.assert_array_equal(found, expected)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


@pytest.mark.parametrize(
    "value",
    [(1, 2), [1, 2], {"b": 1, "a": 2}, collections.OrderedDict(b=1, a=2), fed.Struct([("a", 1), (None, 2)]), (), [{}]],
)
def test_containers_of_python_are_kept(value: Any) -> None:
    loaded = again(
        fed.federated_computation(
            lambda x: (x, [value]), fed.federated_computation(lambda: value).type_signature.result
        )
    )
    assert loaded(value) == (value, [value])
    assert type(loaded(value)[0]) is type(value)


def test_named_tuples_come_back_as_some_of_the_same_name_and_fields() -> None:
    loaded = again(fed.federated_computation(lambda x: (x, x), Reading(np.int32, np.str_)))
    first, second = loaded(Reading(1, "a"))
    assert (first.value, first.unit) == (1, "a")
    assert first == Reading(1, "a")
    assert type(first) is type(second)
    assert type(first).__name__ == "Reading"


def test_names_lines_and_options_are_kept() -> None:
    @fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS))
    def lenient(readings: Any) -> Any:
        return fed.federated_mean(readings, on_zero_weight="nan")

    loaded = again(lenient)
    assert loaded.__name__ == "lenient"
    assert loaded.parameter_names == ("readings",)
    assert np.isnan(loaded([]))
    body: Any = loaded.as_node()
    assert str(body.body.locals[0][1].origin).endswith('return fed.federated_mean(readings, on_zero_weight="nan")')
    assert body.body.locals[0][1].origin.file == "test_document.py"


def test_a_computation_that_is_called_twice_is_written_once() -> None:
    doubled = fed.federated_computation(next_number, np.int32)
    for _ in range(12):
        doubled = fed.federated_computation(lambda x, inner=doubled: inner(inner(x)), np.int32)
    loaded = again(doubled)
    assert len(document.dump(doubled)) < 20_000
    assert loaded(0) == 4096


def test_a_program_that_is_nested_too_deeply_is_refused_by_its_writer() -> None:
    deep: Any = fed.federated_computation(lambda x: x, np.int32)
    for _ in range(100):
        deep = fed.federated_computation(lambda x, inner=deep: inner(x), np.int32)
    with pytest.raises(DocumentError, match="more than 200 deep"):
        document.dump(deep)


def test_the_golden_document_is_what_is_written_and_means_the_same() -> None:
    """Its bytes change only with the format; then its version does as well."""
    assert document.dump(average) == AVERAGE.read_bytes()
    loaded = document.load(AVERAGE.read_bytes(), load_body)
    assert loaded([1.0, 3.0], [1.0, 0.0]) == {"mean": 1.0, "limits": (1.0, 3.0)}


def _golden() -> Any:
    return json.loads(AVERAGE.read_bytes())


def _changed(change: Any) -> bytes:
    value = copy.deepcopy(_golden())
    change(value)
    return json.dumps(value).encode()


def _first(value: Any, kind: str) -> Any:
    return next(node for node in value["nodes"] if node["kind"] == kind)


DAMAGES: dict[str, Any] = {
    "the format version 2": lambda value: value.update(format_version=2),
    "$.format_version": lambda value: value.update(format_version="1"),
    "$.name": lambda value: value.update(name=3),
    "expected 1 to 1000000 nodes": lambda value: value.update(nodes=[]),
    "$.nodes[0].kind": lambda value: value["nodes"][0].pop("kind"),
    "no node of the kind 'loop'": lambda value: value["nodes"][0].update(kind="loop"),
    "expected a place in a table of": lambda value: value["nodes"][0].update(type=999),
    ".origin: expected a place": lambda value: value["nodes"][0].update(origin=-1),
    "is not one of the": lambda value: _first(value, "call").update(parts=[0, 999]),
    "has 3 parts": lambda value: _first(value, "call").update(parts=[0, 0, 0]),
    "there is no operator 'federated_steal'": lambda value: _first(value, "intrinsic").update(name="federated_steal"),
    "has no option": lambda value: _first(value, "intrinsic").update(options={"on_zero_weight": "maybe"}),
    "is not a type": lambda value: value["types"][0].update(notation="float33"),
    "more structures than containers": lambda value: [one.update(containers=[]) for one in value["types"]],
    "fewer structures than containers": lambda value: [one["containers"].append("dict") for one in value["types"]],
    "no class of named tuples": lambda value: [
        one.update(containers=["namedtuple:import os"] * len(one["containers"])) for one in value["types"]
    ],
    "expected base64": lambda value: _first(value, "literal")["array"].update(data="*"),
    "bytes, found": lambda value: _first(value, "literal")["array"].update(data=base64.b64encode(b"1").decode()),
    "is no shape": lambda value: _first(value, "literal")["array"].update(shape=[-1]),
    "not one of the dtypes": lambda value: _first(value, "literal")["array"].update(dtype="object"),
    "expected 1 strings, found 0": lambda value: _first(value, "literal")["array"].update(dtype="str"),
    "bound nowhere": lambda value: _first(value, "reference").update(name="q"),
}


def _append_tensor(value: Any) -> None:
    value["types"].append({"notation": "int32", "containers": []})
    value["nodes"].append({"kind": "reference", "name": "x", "type": len(value["types"]) - 1, "parts": []})


DAMAGES["a computation is a function"] = _append_tensor


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_document_is_refused_with_what_is_wrong(message: str) -> None:
    with pytest.raises(FederatedError) as refusal:
        document.load(_changed(DAMAGES[message]), load_body)
    assert message in str(refusal.value) or (message == "is not a type" and "float33" in str(refusal.value))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff", b"{" * 100_000, b'{"format_version": NaN}'])
def test_bytes_that_are_no_document_are_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        document.load(data, load_body)


@given(st.data())
def test_nothing_but_our_errors_comes_out_of_a_document(data: st.DataObject) -> None:
    """Any single value in it is replaced; then it is either read or refused, and never fails otherwise."""
    value = _golden()
    holder = data.draw(st.sampled_from(_holders(value)))
    key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(
        st.one_of(st.integers(-2, 40), st.text(max_size=5), st.none(), st.sampled_from(["call", "lambda", "block"]))
    )
    with suppress(FederatedError):
        document.load(json.dumps(value).encode(), load_body)


def test_a_graph_whose_types_do_not_fit_is_refused() -> None:
    def swap(value: Any) -> None:
        floats = next(place for place, one in enumerate(value["types"]) if one["notation"] == "float32@SERVER")
        value["types"][floats]["notation"] = "int32@SERVER"

    with pytest.raises(TypeMismatchError, match=r"make_computations.py"):
        document.load(_changed(swap), load_body)


def test_a_document_of_a_local_value_is_refused() -> None:
    with pytest.raises(OutsideComputationError):
        document.load(_changed(DAMAGES["bound nowhere"]), load_body)


def _holders(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value] * (bool(inner) and True) + [holder for item in inner for holder in _holders(item)]


def _leaves(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [float(value)]


def test_the_golden_documents_hold_no_path_of_a_machine() -> None:
    for path in Path(AVERAGE).parent.glob("*.computation"):
        assert b"/home" not in path.read_bytes()
        assert str(Path.cwd()).encode() not in path.read_bytes()
