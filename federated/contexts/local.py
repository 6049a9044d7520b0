"""The local context: every client here, one after the other, in the plainest steps there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from federated.contexts.evaluation import evaluated
from federated.contexts.python_values import cohort_of, denoted, presented
from federated.language.arguments import gathered
from federated.language.computation import Computation


class LocalContext:
    """Runs computations on this machine, as they are written.

    Args:
        clients: how many clients take part where no argument says so.
    """

    def __init__(self, clients: int = 0) -> None:
        self._clients = clients

    def invoke(self, computation: Computation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of a call; see `federated.contexts.python_values` for what an argument may be."""
        type_ = computation.type_signature
        argument = gathered(type_.parameter, args, kwargs)
        cohort = self._clients
        value = None
        if type_.parameter is not None:
            names = computation.parameter_names
            root = names if len(names) == 1 else ()
            found = cohort_of(type_.parameter, argument, root)
            cohort = cohort if found is None else found
            value = denoted(type_.parameter, argument, cohort, root)
        return presented(type_.result, evaluated(computation, value, cohort))
