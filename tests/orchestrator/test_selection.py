"""Whom a task selects: what a device must have, be and have rested, each said in words where it lacks it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import selection
from orchestrator.domain.selection import NEVER
from tests.orchestrator.rows import CHECK_IN
from tests.plans.linear import PLAN, TRAIN
from wire.messages import CheckIn, CollectionSummary, Runtime
from wire.operator_messages import RoundPolicy

POLICY = RoundPolicy(
    attributes={"place": "garden"},
    minimum_examples=8,
    minimum_sdk_version="0.1",
    interpreters={"ai-edge-litert": "2.1", "tflite-runtime": ""},
    evaluation_share=0.25,
)
WILLING = replace(CHECK_IN, attributes={"place": "garden", "model": "pi-4"})


def running(sdk_version: str = "0.1.0", interpreter: str = "ai-edge-litert", version: str = "2.3.0") -> CheckIn:
    features = WILLING.runtime.features
    return replace(WILLING, runtime=Runtime(sdk_version, interpreter, version, features))


INELIGIBLE: dict[str, tuple[CheckIn, str]] = {
    "no attribute": (replace(WILLING, attributes={}), "its attribute 'place' is not 'garden'"),
    "another attribute": (replace(WILLING, attributes={"place": "attic"}), "its attribute 'place' is not 'garden'"),
    "too few features": (
        replace(WILLING, runtime=Runtime("0.1.0", "tflite-runtime", "1", ("passes",))),
        "its runtime lacks the feature 'mean'",
    ),
    "no collection": (replace(WILLING, collections=()), "it holds fewer than 8 examples in 'default'"),
    "another collection": (
        replace(WILLING, collections=(CollectionSummary("other", 100),)),
        "it holds fewer than 8 examples in 'default'",
    ),
    "too few examples": (replace(WILLING, collections=(CollectionSummary("default", 7),)), "it holds fewer than 8"),
    "an older SDK": (running(sdk_version="0.0.9"), "its SDK is older than 0.1"),
    "an SDK of no version": (running(sdk_version="unknown"), "its SDK is older than 0.1"),
    "another interpreter": (running(interpreter="onnx"), "its interpreter is not ai-edge-litert or tflite-runtime"),
    "an older interpreter": (running(version="2.0.9"), "its interpreter is older than 2.1"),
}


def reason(check_in: CheckIn, policy: RoundPolicy = POLICY, draw: float = 0.9, reads: bool = False) -> str | None:
    return selection.ineligible_because(check_in, draw, policy, PLAN.manifest, TRAIN, reads=reads)


@pytest.mark.parametrize(
    "check_in",
    [
        WILLING,
        running(sdk_version="0.10.0"),
        running(sdk_version="1"),
        running(sdk_version="0.1.dev3"),
        running(version="2.1.0rc1"),
        running(version="10.0"),
        running(interpreter="tflite-runtime", version=""),
    ],
    ids=lambda check_in: " ".join((check_in.runtime.sdk_version, check_in.runtime.interpreter_version)),
)
def test_a_device_that_has_what_a_task_wants_is_eligible(check_in: CheckIn) -> None:
    assert reason(check_in) is None


@pytest.mark.parametrize(("check_in", "expected"), INELIGIBLE.values(), ids=INELIGIBLE)
def test_a_device_that_lacks_something_is_told_what(check_in: CheckIn, expected: str) -> None:
    found = reason(check_in)
    assert found is not None
    assert found.startswith(expected)


def test_a_task_may_ask_for_no_examples() -> None:
    assert reason(replace(WILLING, collections=()), replace(POLICY, minimum_examples=0)) is None


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_device_trains_or_evaluates_and_never_both(draw: float, share: float) -> None:
    policy = replace(POLICY, evaluation_share=share)
    trains, evaluates = (reason(WILLING, policy, draw, reads) is None for reads in (False, True))
    assert evaluates or trains
    assert (trains and evaluates) == (share == 0)
    assert evaluates == (draw < share or share == 0)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_smaller_share_lies_in_a_larger_one(draw: float, one: float, other: float) -> None:
    if selection.is_set_aside(draw, min(one, other)):
        assert selection.is_set_aside(draw, max(one, other))


def test_devices_draw_evenly_and_always_the_same() -> None:
    draws = np.array([selection.draw_of(f"device-{number}") for number in range(20_000)])
    assert selection.draw_of("device-0") == draws[0]
    counts, _ = np.histogram(draws, bins=10, range=(0, 1))
    assert counts.sum() == 20_000
    assert np.square(counts - 2000).sum() / 2000 < 27.9  # chi-square with 9 degrees of freedom, 1 in 1000


def test_a_device_rests_for_so_many_rounds() -> None:
    may = [selection.has_rested(3, number, 2) for number in (3, 4, 5, 6, 7)]
    assert may == [False, False, False, True, True]
    assert selection.has_rested(NEVER, 1, 10**9 - 1)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(-5, 50)), min_size=1), st.integers(1, 60), st.integers(0, 9))
def test_the_rules_are_the_same_for_an_array_of_devices(
    devices: list[tuple[float, int]], number: int, between: int
) -> None:
    draws, last = np.array([draw for draw, _ in devices]), np.array([last for _, last in devices])
    assert list(selection.is_set_aside(draws, 0.3)) == [selection.is_set_aside(draw, 0.3) for draw, _ in devices]  # type: ignore[arg-type]
    rested = selection.has_rested(last, number, between)
    assert list(rested) == [selection.has_rested(one, number, between) for _, one in devices]  # type: ignore[arg-type]
