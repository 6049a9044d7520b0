"""What the passes make of small programs, seen in the draft of the plan; no TensorFlow is loaded."""

from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.compiler.flat import Aggregate, Broadcast
from federated.compiler.flattening import inline
from federated.compiler.phases import phases_of, second_trip
from federated.compiler.sections import Section, reachable, schedule
from federated.language.errors import CompilationError, NothingForDevicesError
from plans.manifest import Kind, Order
from tests.federated.compiler.draft_runner import draft_of, run_draft, signatures_of
from tests.federated.compiler.numpy_library import NumpyLibrary
from tests.federated.numpy_computations import numpy_computation

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)
STREAM = fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS)


@numpy_computation([np.float32, np.float32], np.float32)
def add(a: Any, b: Any) -> Any:
    return a + b


@numpy_computation(np.float32, np.float32)
def twice(a: Any) -> Any:
    return a + a


@fed.federated_computation(FLOATS, NUMBER)
def shifted_mean(x: Any, offset: Any) -> Any:
    sent = fed.federated_broadcast(fed.federated_map(twice, offset))
    return fed.federated_mean(fed.federated_map(add, (x, sent))), offset


def _flat(computation: Any) -> Any:
    return inline(computation.as_node(), computation.type_signature.parameter, NumpyLibrary())


def test_a_program_of_one_phase_has_begin_a_reading_and_finish() -> None:
    draft = draft_of(shifted_mean, [1.0, 2.0], 3.0)
    assert list(signatures_of(draft.client)) == ["begin", "read_0", "finish"]
    assert list(signatures_of(draft.server)) == ["prepare", "update"]
    assert run_draft(shifted_mean, [1.0, 2.0], 3.0) == (7.5, 3.0)


def test_what_the_server_can_compute_before_is_computed_there() -> None:
    draft = draft_of(shifted_mean, [1.0], 3.0)
    sent = signatures_of(draft.server)["prepare"].outputs
    assert [tensor.operation.kernel.name for tensor in sent.values() if hasattr(tensor.operation, "kernel")] == [
        "twice"
    ]


def test_a_tensor_is_broadcast_once_however_often_it_is_used() -> None:
    @fed.federated_computation(FLOATS, NUMBER)
    def often(x: Any, state: Any) -> Any:
        sent = [fed.federated_broadcast(state) for _ in range(3)]
        return [fed.federated_sum(fed.federated_map(add, (x, one))) for one in sent]

    (work,) = [phase.works["compute"] for phase in draft_of(often, [1.0], 2.0).manifest.phases]
    assert len(work.broadcast) == 1


def test_an_aggregate_that_is_broadcast_begins_another_phase() -> None:
    @fed.federated_computation(FLOATS)
    def variance(x: Any) -> Any:
        mean = fed.federated_broadcast(fed.federated_mean(x))
        return fed.federated_max(fed.federated_map(add, (x, mean))), fed.federated_min(x)

    program = _flat(variance)
    kinds = [[one.kind for one in phase.aggregates] for phase in phases_of(program)]
    assert kinds == [[Kind.MEAN, Kind.MIN], [Kind.MAX]]
    trip = second_trip(program)
    assert trip is not None
    assert isinstance(trip.operation, Broadcast)
    assert second_trip(_flat(shifted_mean)) is None


def test_a_value_that_later_phases_need_is_carried_and_one_that_update_needs_is_temporary() -> None:
    @fed.federated_computation(FLOATS, NUMBER)
    def across(x: Any, state: Any) -> Any:
        made = fed.federated_map(twice, state)
        first = fed.federated_sum(fed.federated_map(add, (x, fed.federated_broadcast(made))))
        second = fed.federated_sum(fed.federated_map(add, (x, fed.federated_broadcast(first))))
        return fed.federated_map(add, (second, first)), fed.federated_map(add, (first, made))

    first, second = (phase.works["compute"] for phase in draft_of(across, [1.0], 2.0).manifest.phases)
    assert (len(first.temp), len(second.temp)) == (1, 0)
    assert len(first.carried) >= 1
    assert (len(second.carried), len(second.result), len(first.result)) == (0, 2, 0)
    assert run_draft(across, [1.0, 2.0], 2.0) == (36.0, 15.0)


def test_folds_over_one_stream_share_a_pass_and_one_that_follows_has_its_own() -> None:
    @fed.federated_computation(STREAM)
    def folds(stream: Any) -> Any:
        first = fed.sequence_reduce(stream, 0.0, add)
        beside = fed.sequence_sum(stream)
        after = fed.sequence_reduce(stream, first, add)
        return fed.federated_sum((first, beside, after))

    (work,) = [phase.works["compute"] for phase in draft_of(folds, [[1.0]]).manifest.phases]
    assert [(one.step, one.open) for one in work.passes] == [("step_0", None), ("step_1", "open_1")]
    assert {one.selector.collection for one in work.passes} == {"stream"}
    assert [one.selector.order for one in work.passes] == [Order.STORED, Order.STORED]
    assert run_draft(folds, [[1.0, 2.0], []]) == (3.0, 3.0, 6.0)


def test_a_reduction_inside_another_that_needs_nothing_of_it_is_done_once() -> None:
    @fed.federated_computation(STREAM, STREAM)
    def products(left: Any, right: Any) -> Any:
        def each(both: Any) -> Any:
            return fed.sequence_sum(fed.sequence_map(lambda x: add(x, fed.sequence_sum(both[1])), both[0]))

        return fed.federated_sum(fed.federated_map(each, (left, right)))

    values = [[1.0, 2.0], []], [[10.0], [5.0]]
    assert run_draft(products, *values) == products(*values) == 23.0


def test_a_clients_tensor_is_the_newest_example() -> None:
    (work,) = [phase.works["compute"] for phase in draft_of(shifted_mean, [1.0], 3.0).manifest.phases]
    (selector,) = [one.selector for one in work.passes]
    assert (selector.order, selector.limit, selector.batch_size) == (Order.NEWEST, 1, 1)
    assert selector.inputs == {"x__0": "value"}


def test_a_constant_is_computed_where_it_is_needed_and_never_sent() -> None:
    @fed.federated_computation(FLOATS)
    def constants(x: Any) -> Any:
        at_clients = fed.federated_value(2.0, fed.CLIENTS)
        return fed.federated_sum(fed.federated_map(add, (x, at_clients))), fed.federated_value(2.0, fed.SERVER)

    (work,) = [phase.works["compute"] for phase in draft_of(constants, [1.0]).manifest.phases]
    assert work.broadcast == {}
    assert run_draft(constants, [1.0]) == (3.0, 2.0)


def test_every_aggregate_of_the_result_is_in_the_flat_program_once() -> None:
    program = _flat(shifted_mean)
    found = {t.operation for t in reachable(program.results, through=True) if isinstance(t.operation, Aggregate)}
    assert [one.name for one in found] == ["federated_mean"]


def test_a_section_computes_what_no_earlier_one_has() -> None:
    program = _flat(shifted_mean)
    (mean,) = {t.operation for t in reachable(program.results) if isinstance(t.operation, Aggregate)}
    update = mean.inputs[0]
    (x, sent) = update.operation.inputs  # type: ignore[union-attr]
    early = schedule([Section((x, sent), (update,)), Section(roots=(update,))])
    late = schedule([Section((x, sent)), Section(roots=(update,))])
    assert early.crossing(1) == (update,)
    assert set(late.crossing(1)) == {x, sent}


def test_nothing_for_devices_is_told_apart_from_what_cannot_be_compiled() -> None:
    with pytest.raises(NothingForDevicesError):
        _flat(fed.federated_computation(NUMBER)(lambda state: fed.federated_map(twice, state)))
    with pytest.raises(CompilationError, match="the result holds") as refused:
        _flat(fed.federated_computation(FLOATS)(lambda x: fed.federated_map(twice, x)))
    assert not isinstance(refused.value, NothingForDevicesError)
