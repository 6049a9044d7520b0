"""Computations that are no learning: several passes and collections, temp, typed results, phases, no data at all."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from plans import bundle, client, contract, server
from plans.accumulators.work import WorkAccumulator
from plans.errors import InvalidPlanError, ProgramError, UnfitExamplesError, UnsupportedPlanError, ZeroWeightError
from plans.manifest import Aggregation, Manifest, Order, Phase, ResultTensor, Work, check_supported, features_of
from plans.program import Program
from tests.golden.make_analytics import DEVIATION, FAR, HEADCOUNT, READINGS
from tests.plans.readings import BROADCAST, COUNTING, PHASES, PLAN, WORK, Column, Station, computed, expected, stations
from wire.tensors import Array

STREAM, SPREAD, NEWEST, TICK = WORK.passes


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(PLAN.client)


@pytest.fixture(scope="module")
def servers() -> Program:
    return Program(PLAN.server)


@pytest.mark.parametrize("path", [READINGS, HEADCOUNT, DEVIATION])
def test_the_plans_keep_the_contract_of_plans(path: Any) -> None:
    plan = bundle.unpack(path.read_bytes())
    contract.check(plan)
    assert bundle.pack(plan) == path.read_bytes()


def test_what_a_plan_needs_is_known_by_its_works() -> None:
    check_supported(PLAN.manifest)
    needed = ("custom_aggregation", "extremes", "mean", "newest", "passes", "result", "sum", "temp", "wide_sums")
    assert PLAN.manifest.required_features == features_of(WORK) == needed
    counting = COUNTING.manifest.works["headcount"]
    assert COUNTING.manifest.required_features == features_of(counting) == ("passes", "result", "sum")


@pytest.mark.parametrize("counts", [(1,), (4,), (5, 2, 9), (3, 3)])
def test_a_round_equals_numpy(counts: tuple[int, ...]) -> None:
    devices = stations(*counts)
    result = computed(PLAN, [device.examples for device in devices]).result
    assert result.keys() == WORK.result.keys()
    for name, value in expected(devices).items():
        np.testing.assert_allclose(result[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_what_the_computation_says_may_be_nan() -> None:
    cold = [Station(np.full(3, 10, np.float32), np.array([50], np.int32)).examples]
    result = computed(PLAN, cold).result
    assert np.isnan(result["excess"])
    assert result["mean"] == 10.5


def test_the_newest_example_is_the_last_one_stored(program: Program) -> None:
    (station,) = stations(4)
    update = client.run(program, WORK, BROADCAST, station.examples, seed=1).update
    assert update["level"] == station.percent[-1]


def test_a_pass_opens_with_what_the_one_before_left(program: Program) -> None:
    (station,) = stations(6)
    update = client.run(program, WORK, BROADCAST, station.examples, seed=1).update
    np.testing.assert_allclose(update["squares"], station.squares, rtol=1e-5)


def test_a_pass_without_a_whole_batch_makes_no_step(program: Program) -> None:
    (station,) = stations(1)
    result = client.run(program, WORK, BROADCAST, station.examples, seed=1)
    assert result.update["squares"] == 0
    assert (result.steps, result.examples) == (5, 5)  # one of the stream, the newest level, a tick for each of three


def test_every_pass_is_told_as_one_run(program: Program) -> None:
    told: list[tuple[int, int]] = []
    (station,) = stations(5)
    client.run(
        program,
        WORK,
        BROADCAST,
        station.examples,
        seed=1,
        on_step=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 8) for done in range(1, 9)]  # two batches of four, two of two, the newest, three ticks


class Growing:
    """A collection that gets another example whenever one is read."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        values = self._column.values
        self._column = replace(self._column, values=np.append(values, values.dtype.type(99)))
        return {self._column.name: values[indices]}


def test_examples_that_come_meanwhile_are_in_no_pass(program: Program) -> None:
    (station,) = stations(6)
    growing = {name: Growing(column) for name, column in station.examples.items() if isinstance(column, Column)}
    growing["battery"].read([0])  # one came before
    result = client.run(program, WORK, BROADCAST, growing, seed=1)
    assert (int(result.update["count"]), int(result.update["level"])) == (6, 99)
    np.testing.assert_allclose(result.update["squares"], station.squares, rtol=1e-5)


def test_a_collection_that_is_not_there_is_named(program: Program) -> None:
    (station,) = stations(2)
    examples = {"temperature": station.examples["temperature"]}
    with pytest.raises(UnfitExamplesError, match="there is no collection battery"):
        client.run(program, WORK, BROADCAST, examples, seed=1)


def test_the_same_shuffle_orders_every_pass() -> None:
    first, second = (replace(one.selector, order=Order.SHUFFLED, batch_size=1) for one in (STREAM, SPREAD))
    assert list(client.batches(first, 9, seed=3)) == list(client.batches(second, 9, seed=3))


def test_devices_alone_are_counted_without_data_state_or_broadcast() -> None:
    assert computed(COUNTING, [{}] * 5).result["devices"] == 5


def test_a_work_without_an_update_still_gives_a_result() -> None:
    (work,) = COUNTING.manifest.works.values()
    silent = replace(work, update={}, aggregation=(), update_state="note")
    plan = replace(COUNTING, manifest=replace(COUNTING.manifest, phases=(Phase({"note": silent}),)))
    contract.check(plan)
    assert computed(plan, [{}, {}]).result["devices"] == 0


def test_a_second_phase_takes_what_the_first_one_carried() -> None:
    devices = stations(5, 8, 2)
    readings = np.concatenate([device.celsius for device in devices]).astype(np.float64)
    updated = computed(PHASES, [device.examples for device in devices])
    np.testing.assert_allclose(updated.result["around"], readings.mean(), rtol=1e-5)
    np.testing.assert_allclose(updated.result["deviation"], 2 * np.abs(readings - readings.mean()).mean(), rtol=1e-5)
    assert updated.state == {"scale": 3}
    assert updated.carried == {}


def test_a_phase_that_another_follows_gives_no_state_and_no_result() -> None:
    first, second = (phase.works["deviation"] for phase in PHASES.manifest.phases)
    assert not PHASES.manifest.gives_state(first)
    assert PHASES.manifest.gives_state(second)
    assert PHASES.manifest.carried_to(first) == {}
    assert PHASES.manifest.carried_to(second) == first.carried


def test_a_second_phase_without_what_was_carried_is_refused() -> None:
    work = PHASES.manifest.phases[1].works["deviation"]
    with pytest.raises(ProgramError, match="second_prepare takes mean, which nobody gave"):
        server.prepare(Program(PHASES.server), PHASES.manifest, work, PHASES.initial)


def test_devices_and_orchestrators_refuse_several_phases_by_name() -> None:
    with pytest.raises(UnsupportedPlanError, match="needs 2 phases over one cohort"):
        check_supported(PHASES.manifest)


# --- custom aggregation -----------------------------------------------------------------------------------------------


def update_of(level: int, program: Program) -> dict[str, Array]:
    station = Station(np.array([20], np.float32), np.array([level], np.int32))
    return client.run(program, WORK, BROADCAST, station.examples, seed=1).update


def test_partial_custom_aggregates_merge(program: Program, servers: Program) -> None:
    parts = [WorkAccumulator(WORK, 8, servers) for _ in range(3)]
    for index, level in enumerate((40, 90, 10, 55)):
        parts[index % 2].accumulate(update_of(level, program))
    for before, after in pairwise(parts[::-1]):
        after.merge(before)
    assert parts[0].finalize()["span"] == 80
    assert parts[0].count == 4


def test_a_custom_aggregate_of_nobody_is_what_zero_reports(servers: Program) -> None:
    span = WORK.aggregation[-1]
    work = replace(WORK, update={"level": WORK.update["level"]}, aggregation=(span,))
    assert WorkAccumulator(work, 1, servers).finalize()["span"] == -2 * FAR


def test_a_mean_over_nobody_is_refused_or_left_to_the_computation(servers: Program) -> None:
    with pytest.raises(ZeroWeightError, match="the mean 'mean' is over 0 updates whose weights"):
        WorkAccumulator(WORK, 1, servers).finalize()
    mean, *others = WORK.aggregation
    lenient = replace(WORK, aggregation=(replace(mean, on_zero_weight="nan"), *others))
    updated = server.update(
        servers,
        with_work(lenient),
        lenient,
        {},
        WorkAccumulator(lenient, 1, servers).finalize(),
        temp={"offset": np.array(0, np.float32)},
    )
    assert np.isnan(updated.result["mean"])
    assert updated.result["highest"] == np.finfo(np.float32).min


def test_what_the_update_takes_is_named_with_its_ports() -> None:
    assert WORK.aggregate.keys() == {"total", "count", "squares", "ticks", "highest", "span"}
    assert WORK.aggregate["span"] == WORK.aggregation[-1].result["span"]


# --- contract ---------------------------------------------------------------------------------------------------------


def with_work(work: Work) -> Manifest:
    return replace(PLAN.manifest, phases=(Phase({"readings": work}),))


def custom(**changes: Any) -> Work:
    *others, span = WORK.aggregation
    return replace(WORK, aggregation=(*others, replace(span, **changes)))


SIGNATURES = WORK.aggregation[-1].signatures
SCALAR = WORK.temp["offset"]
BROKEN: dict[str, tuple[Work, str]] = {
    "no open": (
        replace(WORK, passes=(STREAM, replace(SPREAD, open="begin"), NEWEST, TICK)),
        r"begin must take flag=float32\[1\]",
    ),
    "another batch": (
        replace(WORK, passes=(STREAM, replace(SPREAD, selector=replace(SPREAD.selector, batch_size=3)), NEWEST, TICK)),
        r"spread must take reading=float32\[3\]",
    ),
    "a weight that a step does not take": (
        replace(WORK, passes=(STREAM, SPREAD, replace(NEWEST, example_weight="weight"), TICK)),
        r"newest must take level=int32\[1\], weight=float32\[1\]",
    ),
    "temp that prepare does not give": (
        replace(WORK, temp=WORK.temp | {"more": SCALAR}),
        r"prepare must give more=float32\[1\]",
    ),
    "a result that update does not give": (
        replace(WORK, result=WORK.result | {"more": ResultTensor(SCALAR)}),
        r"update must give more=float32\[1\]",
    ),
    "temp that is called like a sum": (
        replace(WORK, temp={"sum_total": SCALAR}),
        "update takes 'sum_total' as a sum and as temp; rename one",
    ),
    "no zero": (custom(signatures=SIGNATURES | {"zero": "nil"}), "no signature 'nil'"),
    "another accumulator": (
        custom(accumulator={"low": WORK.update["level"]}),
        r"span_accumulate must take low=int32\[1\], value_level=int32\[1\]; it takes high",
    ),
    "a merge that is none": (
        custom(signatures=SIGNATURES | {"merge": "span_report"}),
        r"span_report must take high=int32\[1\], low=int32\[1\], other_high=int32\[1\], other_low",
    ),
    "a report that gives something else": (
        custom(result={"spread": WORK.update["level"]}),
        r"span_report must give spread=int32\[1\]; it gives span",
    ),
}


@pytest.mark.parametrize(("work", "message"), BROKEN.values(), ids=BROKEN)
def test_programs_that_are_not_the_manifests_are_refused(work: Work, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        contract.check(replace(PLAN, manifest=with_work(work)))


def test_a_second_phases_programs_are_checked_too() -> None:
    first, second = PHASES.manifest.phases
    works = {"deviation": replace(second.works["deviation"], prepare="first_prepare")}
    manifest = replace(PHASES.manifest, phases=(first, Phase(works)))
    with pytest.raises(InvalidPlanError, match=r"work 'deviation' of phase 2: first_prepare must take mean"):
        contract.check(replace(PHASES, manifest=manifest))


def test_a_temp_that_was_lost_is_named(servers: Program) -> None:
    aggregate = {name: np.zeros(port.spec.shape, port.spec.dtype) for name, port in WORK.aggregate.items()}
    with pytest.raises(ProgramError, match="update takes offset, which nobody gave"):
        server.update(servers, PLAN.manifest, WORK, {}, aggregate)


def test_an_entry_is_wide_by_its_bits() -> None:
    assert [entry.is_wide for entry in WORK.aggregation] == [True, False, False, False]
    assert not Aggregation("v", WORK.aggregation[1].kind, ("v",)).is_wide
