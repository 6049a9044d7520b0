"""The contexts as blocks: `with fed.local_context(): …`, and computations as plans: `fed.compiled(…)`.

Outside of any context, the local one is in force. The compiler is loaded when it is needed.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from federated.contexts.evaluation import is_federated
from federated.contexts.local import LocalContext
from federated.language import context_stack
from federated.language.computation import Computation
from federated.language.errors import MisuseError
from federated.language.origin import here

if TYPE_CHECKING:
    from pathlib import Path

    from federated.compiler.collections import OnDevice
    from federated.contexts.compiled import CompiledComputation
    from wire.operator_messages import RoundPolicy

context_stack.set_default_context(LocalContext())


def local_context(clients: int = 0) -> AbstractContextManager[Any]:
    """Run computations on this machine, in the plainest steps there are.

    Args:
        clients: how many clients take part in a computation none of whose arguments says so.
    """
    return context_stack.pushed(LocalContext(clients))


def plan_context(clients: int = 0, threads: int | None = None) -> AbstractContextManager[Any]:
    """Compile computations, and run the plans that devices run, on this machine: clients in parallel threads.

    Args:
        clients: as for `local_context`.
        threads: how many clients run at once; None for one a core.
    """
    from federated.contexts.plan import PlanContext

    return context_stack.pushed(PlanContext(clients, threads))


def compiled(computation: Computation, *args: Any, **kwargs: Any) -> "CompiledComputation":
    """A computation as a plan, which is called like it, saved to a file, and run by whoever has the file.

    Args:
        computation: one with declared types.
        args, kwargs: arguments like those of later calls, which tell the shapes that its type leaves open, and are the
            state that the plan starts from; or none, where its type says every shape.

    Raises:
        CompilationError: no plan can be made of it; the message names the line.
        MisuseError: its types are not declared, or nothing in it is federated.

    Example:
        >>> plan = fed.compiled(fraction_over)
        >>> plan([68.5, 70.3, 71.1], 70.0)
        0.6666667
        >>> plan.save("fraction_over.plan")
    """
    from federated.contexts.plan import compiled_for

    if not isinstance(computation, Computation) or not is_federated(computation.type_signature):
        raise MisuseError(
            f"a plan is made of a federated computation with declared types, found {computation!r}",
            where=here(),
            fix="decorate it with @fed.federated_computation and the types of its parameters",
        )
    return compiled_for(computation, args, kwargs)


def load_compiled(path: "str | Path") -> "CompiledComputation":
    """The compiled computation that `CompiledComputation.save` wrote; neither this nor calling it loads TensorFlow.

    Its results have a `fed.Struct` where the computation had Python containers.

    Raises:
        PlanError: the file is no plan.
        MisuseError: it is no plan of a computation.
    """
    from federated.contexts.compiled import CompiledComputation

    return CompiledComputation.load(path)


def fleet_context(
    url: str | None = None,
    *,
    api_key: str | None = None,
    population: str = "default",
    bind: "Mapping[str, OnDevice] | None" = None,
    policy: "RoundPolicy | Mapping[str, Any] | None" = None,
    timeout_seconds: float = 600.0,
    series: str | None = None,
) -> AbstractContextManager[Any]:
    """Run computations on the devices of an orchestrator's population: a call is a task of one round.

    Args:
        url: the orchestrator's address; None for that in the environment's FEDELTA_URL.
        api_key: the operator's key; None for that in FEDELTA_API_KEY.
        bind: a collection for each of the clients' parameters, `{"readings": fed.on_device("temperature")}`.
        policy: how the one round is held, as a `RoundPolicy` or its fields (`{"cohort": 20, "minimum_reports": 10}`);
            None for all devices of the population, each of which must report.
        timeout_seconds: how long a call waits before it cancels its task.
        series: a name under which devices keep state from call to call, to go on with it in another context; None for
            one of this context's own.

    Raises:
        MisuseError: no address or key, or a policy that is none.
    """
    from federated.contexts.fleet import FleetContext
    from wire.operator import OperatorClient

    client = OperatorClient(_given("url", url, "FEDELTA_URL"), _given("api_key", api_key, "FEDELTA_API_KEY"))
    held = _round_policy(policy) if isinstance(policy, Mapping) else policy
    return context_stack.pushed(FleetContext(client, population, bind or {}, held, timeout_seconds, series))


def _given(name: str, value: str | None, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise MisuseError(f"fed.fleet_context needs {name}", where=here(), fix=f"give {name}=…, or set {variable}")
    return found


def _round_policy(fields: Mapping[str, Any]) -> "RoundPolicy":
    from wire.operator_messages import RoundPolicy

    try:
        return RoundPolicy(**fields)
    except (TypeError, ValueError) as error:
        known = ", ".join(RoundPolicy.__dataclass_fields__)
        raise MisuseError(f"no policy for a round: {error}", where=here(), fix=f"its fields are {known}") from None
