"""Values of every message that the protocol has, for properties over all of them."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from wire import events, messages, operator_messages, registry_messages
from wire.messages import Assignment, CheckInReply, CollectionSummary, Rejection, Resource
from wire.operator_messages import (
    MAX_COUNT,
    ApiKeyRequest,
    EnrolmentTokenRequest,
    RoundPolicy,
    StopCondition,
    TaskRequest,
)
from wire.registry_messages import RollbackRequest

MESSAGES = tuple(
    kind
    for module in (events, messages, operator_messages, registry_messages)
    for _, kind in inspect.getmembers(module, dataclasses.is_dataclass)
    if isinstance(kind, type) and kind.__module__ == module.__name__
)

_INTEGERS = st.integers(-(1 << 70), 1 << 70)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_VERSIONS = st.just("") | st.lists(st.integers(0, 99), min_size=1, max_size=4).map(lambda v: ".".join(map(str, v)))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | _INTEGERS | _FLOATS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def values_of(kind: Any) -> SearchStrategy[Any]:
    """Any value that a field of this type may have."""
    if kind in _STRATEGIES:
        return _STRATEGIES[kind]()
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case types.UnionType:
            return st.none() | values_of(arguments[0])
        case origin if origin is tuple:
            return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
        case origin if origin is dict:
            return st.dictionaries(st.text(max_size=10), values_of(arguments[1]), max_size=2)
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: values_of(hints[field.name]) for field in dataclasses.fields(kind)})


def _resources() -> SearchStrategy[Resource]:
    return st.builds(Resource, st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 1 << 60))


def _replies() -> SearchStrategy[CheckInReply]:
    assigned = st.builds(CheckInReply, assignment=values_of(Assignment))
    return assigned | st.builds(CheckInReply, rejection=values_of(Rejection))


def _policies() -> SearchStrategy[RoundPolicy]:
    deadlines = st.floats(0.1, 1000.0)
    counts = st.lists(st.integers(1, 1000), min_size=3, max_size=3).map(sorted)
    return st.builds(
        lambda counts, **fields: RoundPolicy(
            minimum_reports=counts[0], report_goal=counts[1], cohort=counts[2], **fields
        ),
        counts,
        rounds=st.integers(1, 1000),
        selection_deadline_seconds=deadlines,
        reporting_deadline_seconds=deadlines,
        attributes=values_of(dict[str, str]),
        minimum_examples=st.integers(0, 1000),
        minimum_sdk_version=_VERSIONS,
        interpreters=st.dictionaries(st.text(max_size=10), _VERSIONS, max_size=2),
        minimum_rounds_between=st.integers(0, 1000),
        evaluation_share=st.floats(0, 1, exclude_max=True),
        read_every=st.integers(1, 1000),
        priority=st.floats(0.01, 100.0),
        stop_when=st.none() | _stop_conditions(),
        time_limit_seconds=st.none() | deadlines,
        keep_last=st.integers(1, 1000),
        keep_every=st.none() | st.integers(1, 1000),
    ).flatmap(_perhaps_asynchronous)


def _perhaps_asynchronous(policy: RoundPolicy) -> SearchStrategy[RoundPolicy]:
    asynchronous = st.builds(
        lambda **fields: replace(policy, report_goal=None, **fields),
        concurrency=st.integers(1, 1000),
        staleness_exponent=st.floats(0, 10),
        maximum_staleness=st.none() | st.integers(0, 1000),
    )
    return st.just(policy) | asynchronous


def _stop_conditions() -> SearchStrategy[StopCondition]:
    bounds = st.one_of(*(st.builds(lambda bound, side=side: {side: bound}, _FLOATS) for side in ("above", "below")))
    return st.builds(
        lambda metric, bound, rounds: StopCondition(metric, **bound, rounds=rounds),
        st.text(min_size=1, max_size=10),
        bounds,
        st.integers(1, 10),
    )


def _task_requests() -> SearchStrategy[TaskRequest]:
    return st.builds(
        TaskRequest,
        name=st.text(min_size=1, max_size=100).filter(str.isprintable),
        population=st.text(max_size=10),
        work=values_of(str | None),
        policy=_policies(),
        reads=values_of(str | None),
        export=values_of(dict[str, Any]),
    )


def _token_requests() -> SearchStrategy[EnrolmentTokenRequest]:
    return st.builds(EnrolmentTokenRequest, st.text(max_size=10), st.integers(1, 100_000), st.floats(0.1, 3e8))


# Types without fields, and messages that refuse some values of their fields.
_STRATEGIES: dict[Any, Callable[[], SearchStrategy[Any]]] = {
    str: lambda: st.text(max_size=20),
    int: lambda: _INTEGERS,
    float: lambda: _FLOATS,
    bool: st.booleans,
    Any: lambda: JSON_VALUES,
    Resource: _resources,
    CheckInReply: _replies,
    RoundPolicy: _policies,
    TaskRequest: _task_requests,
    StopCondition: _stop_conditions,
    EnrolmentTokenRequest: _token_requests,
    RollbackRequest: lambda: st.builds(RollbackRequest, st.integers(0, MAX_COUNT)),
    ApiKeyRequest: lambda: st.builds(ApiKeyRequest, st.text(min_size=1, max_size=100).filter(str.isprintable)),
    CollectionSummary: lambda: st.builds(CollectionSummary, st.text(max_size=20), st.integers(0, 1 << 53)),
}
