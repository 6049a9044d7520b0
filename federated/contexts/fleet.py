"""The fleet context: a call becomes a task of an orchestrator, and the devices of a population compute it.

The server's arguments go with the plan. The clients' stay where they are: each client parameter is bound to a
collection that devices hold. A call waits for its one round and gives back what the round came to.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from federated.compiler.collections import Collections, OnDevice
from federated.compiler.compiling import root_of
from federated.compiler.fleet_rules import check_for_fleet
from federated.compiler.naming import identifiers
from federated.compiler.parameters import Part, parts_of
from federated.compiler.planning import WORK
from federated.contexts.compiled import CompiledComputation
from federated.contexts.evaluation import is_federated
from federated.contexts.fleet_arguments import bound_types, server_values
from federated.contexts.local import LocalContext
from federated.contexts.plan import compiled
from federated.language.computation import Computation
from federated.language.errors import ExecutionError, MisuseError, NothingForDevicesError
from federated.language.origin import here
from federated.language.types import Type
from plans import bundle
from plans.bundle import Plan
from wire import tensors
from wire.errors import OperatorError
from wire.operator import OperatorClient
from wire.operator_messages import RoundPolicy, RoundView, TaskRequest, TaskView

_log = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 2.0
_KEPT_PLANS = 64


class FleetContext:
    """Runs computations on the devices of a population.

    Args:
        bind: a collection for each client parameter, by the parameter's name.
        policy: how the one round is held; None for all devices of the population, each of which must report.
        timeout_seconds: how long a call waits before it cancels its task.
        series: under which name devices keep state from call to call; None for one of this context's own.
    """

    def __init__(
        self,
        client: OperatorClient,
        population: str,
        bind: Mapping[str, OnDevice],
        policy: RoundPolicy | None,
        timeout_seconds: float,
        series: str | None = None,
    ) -> None:
        self._client = client
        self._population = population
        self._bind = dict(bind)
        self._policy = policy
        self._timeout_seconds = timeout_seconds
        self._series = series or uuid4().hex
        self._local = LocalContext()
        self._compiled: OrderedDict[Any, tuple[Computation, CompiledComputation]] = OrderedDict()

    def invoke(self, computation: Computation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of a call. What no device has anything to do with is run here.

        Raises:
            CompilationError: no plan for a fleet can be made of it; no device has heard of it yet.
            ExecutionError: the orchestrator refused it, the task failed, or the time was up.
        """
        type_ = computation.type_signature
        if not is_federated(type_):
            return self._local.invoke(computation, args, kwargs)
        parts = parts_of(type_.parameter, root_of(computation))
        collections = self._collections(computation, parts)
        value = server_values(type_.parameter, parts, args, kwargs)
        parameter = bound_types(type_.parameter, parts, value, collections)
        try:
            one = self._compile(computation, parameter, collections, value)
        except NothingForDevicesError:
            return self._local.invoke(computation, args, kwargs)
        try:
            plan = _of_series(one.with_state(value), self._series)
            return one.result_of(self._held(computation.__name__, bundle.pack(plan)))
        except OperatorError as error:
            fix = "`fedelta serve` starts one, and says its address and its key"
            raise ExecutionError(f"the orchestrator: {error}", fix=fix if error.status is None else None) from error

    def _collections(self, computation: Computation, parts: Sequence[Part]) -> Collections:
        clients = [part.path for part in parts if part.is_clients]
        if missing := [path for path in clients if path not in self._bind]:
            raise MisuseError(
                f"the clients' parameter {missing[0]!r} of {computation.__name__!r} is bound to nothing",
                where=here(),
                fix=f"fed.fleet_context(…, bind={{{missing[0]!r}: fed.on_device('…')}})",
            )
        if unknown := sorted(self._bind.keys() - set(clients)):
            raise MisuseError(
                f"{unknown[0]!r} is bound, but the clients' parameters of {computation.__name__!r} are "
                f"{', '.join(clients) or 'none'}",
                where=here(),
                fix="bind those, by these names",
            )
        for path, bound in self._bind.items():
            if not isinstance(bound, OnDevice):
                raise MisuseError(
                    f"{path!r} is bound to a {type(bound).__name__}, {bound!r}",
                    where=here(),
                    fix=f"fed.fleet_context(…, bind={{{path!r}: fed.on_device('…')}})",
                )
        return Collections(dict(self._bind))

    def _compile(
        self, computation: Computation, parameter: Type | None, collections: Collections, value: Any
    ) -> CompiledComputation:
        key = (id(computation.as_node()), parameter)
        if key not in self._compiled:
            made = compiled(computation, parameter, collections, value, check=check_for_fleet)
            # The computation is kept too, so that its id stays its own.
            self._compiled[key] = computation, made
            if len(self._compiled) > _KEPT_PLANS:
                self._compiled.popitem(last=False)
        return self._compiled[key][1]

    def _held(self, name: str, plan: bytes) -> dict[str, Any]:
        """The result's tensors of a round that runs this plan."""
        task = self._client.push(TaskRequest(name, self._population, policy=self._round_policy()), plan=plan)
        _log.info("%s is task %s", name, task.task_id)
        try:
            _wait_for_round(self._client, task, self._timeout_seconds)
        except BaseException:
            with suppress(OperatorError):  # it may have ended by itself
                self._client.cancel(task.task_id)
            raise
        return dict(tensors.decode(self._client.resource(self._client.result(task.task_id).sha256)))

    def _round_policy(self) -> RoundPolicy:
        if self._policy is not None:
            return replace(self._policy, rounds=1)
        sizes = {population.name: population.devices for population in self._client.populations()}
        if self._population not in sizes:
            raise ExecutionError(f"the orchestrator has no population {self._population!r}; it has {', '.join(sizes)}")
        if not sizes[self._population]:
            raise ExecutionError(f"the population {self._population!r} has no devices", fix="enrol one first")
        return RoundPolicy(rounds=1, cohort=sizes[self._population])


def _of_series(plan: Plan, series: str) -> Plan:
    """The plan, whose devices go on with the state of the calls before, where they keep any."""
    if not plan.manifest.work(WORK).device_state:
        return plan
    name = f"{series}/{identifiers([plan.manifest.name])[0]}"
    return replace(plan, manifest=replace(plan.manifest, series=name))


def _wait_for_round(client: OperatorClient, task: TaskView, timeout_seconds: float) -> None:
    """Wait until a task's one round is completed.

    Raises:
        ExecutionError: the round was abandoned or failed, or the time was up; with what devices said of it.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = _FIRST_WAIT_SECONDS
    where = f"the task {task.name!r} ({task.task_id})"
    while True:
        rounds = client.rounds(task.task_id)
        lost = next((one for one in rounds if one.state in ("abandoned", "failed")), None)
        if lost is not None:
            raise ExecutionError(
                f"the round of {where} ended as {lost.state}: {lost.reason}",
                fix="ask fewer devices, policy={'cohort': …, 'minimum_reports': …}, or mend what they say",
            )
        current = client.task(task.task_id)
        if current.state == "completed":
            return
        if current.state not in ("running", "paused"):
            raise ExecutionError(f"{where} is {current.state}{': ' if current.failure else ''}{current.failure}")
        if time.monotonic() > deadline:
            raise _too_late(where, rounds[-1] if rounds else None, timeout_seconds)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_WAIT_SECONDS)


def _too_late(where: str, round_: RoundView | None, timeout_seconds: float) -> ExecutionError:
    if round_ is None or not round_.assigned:
        return ExecutionError(
            f"no device took part in {where} within {timeout_seconds:g} seconds",
            fix="devices take part that are running, and hold examples in every collection that is bound",
        )
    return ExecutionError(
        f"{where} had {round_.reported} reports of {round_.assigned} devices after {timeout_seconds:g} seconds",
        fix="ask fewer devices, policy={'cohort': …, 'minimum_reports': …}, or wait longer, timeout_seconds=…",
    )
