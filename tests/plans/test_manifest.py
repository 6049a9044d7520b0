"""A manifest that contradicts itself, is newer, or asks for more than this version does, is refused by name."""

import json
from dataclasses import replace
from typing import Any

import pytest

from plans import manifest
from plans.errors import InvalidPlanError, UnsupportedPlanError
from plans.manifest import (
    FORMAT_VERSION,
    Aggregation,
    Condition,
    Group,
    Kind,
    Manifest,
    Operator,
    Phase,
    Port,
    StateTensor,
    Step,
)
from tests.plans.linear import PLAN, TRAIN, with_work
from wire import codec
from wire.tensors import TensorSpec

(MODEL,) = TRAIN.aggregation
(SELECTOR,) = TRAIN.selectors
SCALAR = TRAIN.update["weight"]
VECTOR = TRAIN.update["w"]


def aggregated(**changes: Any) -> Manifest:
    return with_work(aggregation=(replace(MODEL, **changes),))


def selected(**changes: Any) -> Manifest:
    return with_work(selectors=(replace(SELECTOR, **changes),))


def test_a_manifest_survives_its_journey() -> None:
    assert manifest.parse(codec.dumps(PLAN.manifest)) == PLAN.manifest


def test_fields_that_this_version_does_not_know_are_ignored() -> None:
    document = json.loads(codec.dumps(PLAN.manifest)) | {"colour": "green"}
    assert manifest.parse(json.dumps(document).encode()) == PLAN.manifest


def test_a_newer_format_is_refused_before_anything_else_is_read() -> None:
    with pytest.raises(UnsupportedPlanError, match="format 99; this version reads up to 1: update fedelta"):
        manifest.parse(b'{"format_version": 99, "phases": "told otherwise"}')


NOT_MANIFESTS = {
    "no JSON": (b"{", r"^manifest.json: \$: expected a JSON document"),
    "a list": (b"[]", r"\$: expected an object \(Manifest\)"),
    "no format": (b"{}", r"\$.format_version: expected a value"),
    "a format that is text": (b'{"format_version": "2"}', r"\$.format_version: expected an integer"),
    "a format that is a flag": (b'{"format_version": true}', r"\$.format_version: expected an integer"),
    "an unknown role": (codec.dumps(PLAN.manifest).replace(b'"train"', b'"drain"'), "role: expected one of"),
    "an unknown dtype": (codec.dumps(PLAN.manifest).replace(b"float32", b"bfloat16"), "dtype 'bfloat16' is not one"),
    "a negative shape": (codec.dumps(PLAN.manifest).replace(b"[2]", b"[-2]"), "none negative"),
}


@pytest.mark.parametrize(("data", "message"), NOT_MANIFESTS.values(), ids=NOT_MANIFESTS)
def test_what_is_no_manifest_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        manifest.parse(data)


TALL = Port(TensorSpec("float32", (2,)), TensorSpec("float32", (3,)))
CONTRADICTIONS: dict[str, tuple[Manifest, str]] = {
    "format zero": (replace(PLAN.manifest, format_version=0), "format_version is 0; the first is 1"),
    "no phase": (replace(PLAN.manifest, phases=()), "at least one phase"),
    "no work": (replace(PLAN.manifest, phases=(Phase({}),)), "a phase at least one work"),
    "a bad name in the state": (
        replace(PLAN.manifest, state={"W": StateTensor(SCALAR, Group.OTHER)}),
        "state has the tensor name 'W'",
    ),
    "a bad name in the broadcast": (with_work(broadcast={"a/b": SCALAR}), "train: broadcast has the tensor name 'a/b'"),
    "a bad name in the inputs": (with_work(inputs={"": SCALAR}), "inputs has the tensor name ''"),
    "a bad name in the update": (with_work(update={"é": SCALAR}), "update has the tensor name 'é'"),
    "a bad name in the metrics": (with_work(metrics={"Loss": SCALAR}), "metrics has the tensor name 'Loss'"),
    "a bad name in the device state": (with_work(device_state={"-": SCALAR}), "device_state has the tensor name '-'"),
    "a bad name in the server's metrics": (with_work(server_metrics={"N": SCALAR}), "server_metrics has the tensor"),
    "a bound spec of another size": (
        with_work(update=TRAIN.update | {"w": TALL}),
        r"update.w: float32\[3\] does not hold the elements of float32\[2\]",
    ),
    "a state of another size": (
        replace(PLAN.manifest, state=PLAN.manifest.state | {"w": StateTensor(TALL, Group.OTHER)}),
        r"state.w: float32\[3\] does not hold",
    ),
    "a metric that is no scalar": (with_work(metrics={"m": VECTOR}), r"the metric 'm' is float32\[2\]; a metric is"),
    "a server's metric that is no scalar": (with_work(server_metrics={"m": VECTOR}), "the metric 'm' is"),
    "an update that is a metric": (with_work(metrics={"w": SCALAR}), "finish gives w for two purposes"),
    "an update that is device state": (with_work(device_state={"b": SCALAR}), "finish gives b for two purposes"),
    "a server's metric that is state": (with_work(server_metrics={"b": SCALAR}), "update gives b for two purposes"),
    "a seed that is broadcast": (with_work(seed="w"), "begin takes w for two purposes"),
    "a weight that is an input": (with_work(example_weight="x"), "step takes x for two purposes"),
    "a tensor aggregated twice": (aggregated(values=("b", "w", "w")), "every tensor of the update is aggregated once"),
    "a tensor aggregated never": (aggregated(values=("b",)), "every tensor of the update is aggregated once"),
    "a tensor aggregated that is not there": (aggregated(values=("b", "w", "v")), "aggregated b, v, w, weight"),
    "an update that nobody takes": (with_work(update_state=None), "no update_state signature takes the sums"),
    "a collection that no device can have": (selected(collection="Bad Name"), "'Bad Name' does not match"),
    "batches of nothing": (selected(batch_size=0), "batch_size, epochs and limit are at least 1"),
    "no epoch": (selected(epochs=0), "batch_size, epochs and limit are at least 1"),
    "a limit of nothing": (selected(limit=0), "batch_size, epochs and limit are at least 1"),
    "an input that nothing fills": (selected(inputs={"x": "x"}), "the selectors fill x, but step takes x, y"),
    "an input filled twice": (with_work(selectors=(SELECTOR, SELECTOR)), "the selectors fill x, x, y, y"),
    "a mean without a weight": (aggregated(weight=None, values=("b", "w", "weight")), "a mean needs one"),
    "a sum with a weight": (aggregated(kind=Kind.SUM), "a weight belongs to a mean"),
    "sums of 16 bits": (aggregated(bits=16), "bits are 32 or 64"),
    "no bit for a unit": (aggregated(fraction_bits=63), "fraction_bits leave room"),
    "negative fraction bits": (aggregated(fraction_bits=-1), "fraction_bits leave room"),
    "a bound of zero": (aggregated(bound=0.0), "a bound is positive"),
    "a weight that is no scalar": (aggregated(values=("b", "weight"), weight="w"), "the weight is a scalar"),
    "a sum of bools": (
        with_work(update=TRAIN.update | {"b": Port(TensorSpec("bool", ()))}),
        "b is bool; what is summed is a number",
    ),
}


@pytest.mark.parametrize(("found", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_refused_by_name(found: Manifest, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        manifest.parse(codec.dumps(found))


UNSUPPORTED: dict[str, tuple[Manifest, str]] = {
    "an unknown feature": (replace(PLAN.manifest, required_features=("mean", "telepathy")), "the feature 'telepathy'"),
    "two phases": (replace(PLAN.manifest, phases=PLAN.manifest.phases * 2), "2 phases over one cohort"),
    "device state": (with_work(device_state={"kept": SCALAR}), "state that a device keeps between rounds"),
    "server values beside the round": (with_work(temp={"kept": SCALAR}), "server values that travel beside the round"),
    "two collections": (
        with_work(selectors=(replace(SELECTOR, inputs={"x": "x"}), replace(SELECTOR, inputs={"y": "y"}))),
        "2 collections at once",
    ),
    "a filter": (selected(filter=(Condition("age", Operator.LESS, 18),)), "a filter over examples"),
    "a step": (aggregated(steps=(Step("clip", {"norm": 1.0}),)), "the aggregation step 'clip'"),
    "a fixed denominator": (aggregated(denominator="fixed"), "the denominator 'fixed'"),
    "sums of 32 bits": (aggregated(bits=32, fraction_bits=16), "sums of 32 bits"),
} | {
    kind.value: (
        with_work(aggregation=(Aggregation("all", kind, ("b", "w", "weight")),)),
        f"the aggregation kind '{kind.value}'",
    )
    for kind in Kind
    if kind not in (Kind.SUM, Kind.MEAN)
}


@pytest.mark.parametrize(("found", "message"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_this_version_does_not_do_is_sound_and_refused_by_name(found: Manifest, message: str) -> None:
    assert manifest.parse(codec.dumps(found)) == found
    with pytest.raises(UnsupportedPlanError, match=message):
        manifest.check_supported(found)


def test_a_work_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InvalidPlanError, match="no work 'infer'; it has evaluate, train"):
        PLAN.manifest.work("infer")


def test_the_first_format_is_one() -> None:
    assert FORMAT_VERSION == 1
