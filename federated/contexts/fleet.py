"""The fleet context: a call becomes a task of an orchestrator, and the devices of a population compute it.

The server's arguments go with the plan. The clients' stay where they are: each client parameter is bound to a
collection that devices hold. A call waits for its one round and gives back what the round came to.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from federated.compiler.collections import Collections, OnDevice
from federated.compiler.compiling import root_of
from federated.compiler.fleet_rules import check_for_fleet
from federated.compiler.parameters import Part, parts_of
from federated.contexts.compiled import CompiledComputation
from federated.contexts.evaluation import is_federated
from federated.contexts.fleet_arguments import bound_types, server_values
from federated.contexts.local import LocalContext
from federated.contexts.plan import compiled
from federated.language.computation import Computation
from federated.language.errors import ExecutionError, MisuseError
from federated.language.origin import here
from federated.language.types import Type
from plans import bundle
from wire import tensors
from wire.errors import OperatorError
from wire.operator import OperatorClient
from wire.operator_messages import RoundPolicy, TaskRequest, TaskView

_log = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 2.0
_KEPT_PLANS = 64


class FleetContext:
    """Runs computations on the devices of a population.

    Args:
        bind: a collection for each client parameter, by the parameter's name.
        policy: how the one round is held; None for all devices of the population, each of which must report.
        timeout_seconds: how long a call waits before it cancels its task.
    """

    def __init__(
        self,
        client: OperatorClient,
        population: str,
        bind: Mapping[str, OnDevice],
        policy: RoundPolicy | None,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._population = population
        self._bind = dict(bind)
        self._policy = policy
        self._timeout_seconds = timeout_seconds
        self._local = LocalContext()
        self._compiled: OrderedDict[Any, tuple[Computation, CompiledComputation]] = OrderedDict()

    def invoke(self, computation: Computation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of a call. What has nothing federated in it is run here.

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
        one = self._compile(computation, parameter, collections, value)
        try:
            return one.result_of(self._held(computation.__name__, bundle.pack(one.with_state(value))))
        except OperatorError as error:
            raise ExecutionError(f"the orchestrator: {error}") from error

    def _collections(self, computation: Computation, parts: Sequence[Part]) -> Collections:
        clients = [part.path for part in parts if part.is_clients]
        if missing := [path for path in clients if path not in self._bind]:
            raise MisuseError(
                f"the clients' parameter {missing[0]!r} of {computation.__name__!r} is bound to nothing",
                where=here(),
                fix=f"fed.fleet_context(…, bind={{{missing[0]!r}: fed.on_device('…')}})",
            )
        return Collections({path: self._bind[path] for path in clients})

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
        _log.info("task %s: %s", task.task_id, name)
        try:
            ended = _wait(lambda: self._client.task(task.task_id), self._timeout_seconds)
        except BaseException:
            self._client.cancel(task.task_id)
            raise
        if ended.state != "completed":
            raise ExecutionError(f"the task {name!r} is {ended.state}{': ' if ended.failure else ''}{ended.failure}")
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


def _wait(look: Callable[[], TaskView], timeout_seconds: float) -> TaskView:
    deadline = time.monotonic() + timeout_seconds
    pause = _FIRST_WAIT_SECONDS
    while (task := look()).state == "running":
        if time.monotonic() > deadline:
            raise ExecutionError(
                f"the round was not completed within {timeout_seconds:g} seconds; its task is cancelled",
                fix="ask fewer devices (policy), or wait longer (timeout_seconds)",
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
    return task
