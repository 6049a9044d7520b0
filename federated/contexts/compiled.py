"""A compiled computation: a plan, and how the arguments and the result of a call become its tensors.

Everything it needs stands in the plan itself, so it can be saved as a `.plan` file and run where there is no
TensorFlow. Only the Python containers of the result are not kept; a `fed.Struct` comes back in their place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from federated.compiler.collections import Collections
from federated.compiler.flat import sizes
from federated.compiler.inlining import flat, unflat
from federated.compiler.parameters import parts_of, result_tensors, state_tensors
from federated.compiler.planning import WORK
from federated.contexts.cohort_examples import examples_of
from federated.contexts.loading import collections_in, root_in
from federated.contexts.python_values import cohort_of, denoted, presented
from federated.contexts.running import PlanRunner
from federated.language.arguments import gathered
from federated.language.cohort import Clients
from federated.language.errors import MisuseError
from federated.language.kept import KeptStates
from federated.language.notation import parse
from federated.language.origin import here
from federated.language.types import FederatedType, FunctionType, StructType, TensorType, Type
from plans import bundle
from plans.bundle import Plan
from wire.tensors import Array


class CompiledComputation:
    """See the module's description.

    Args:
        type_: the computation's type with every shape known; that of the plan, but with Python containers.
        root: what its parameter is called where it is no structure.
        collections: where the plan looks for the clients' examples.

    Attributes:
        threads: how many clients run at once on this machine; None for one a core.
    """

    def __init__(self, plan: Plan, type_: FunctionType, root: str, collections: Collections) -> None:
        self.plan = plan
        self.type_signature = type_
        self.threads: int | None = None
        self._root = root
        self._collections = collections

    def save(self, path: str | Path) -> None:
        """Write the plan to a file, which devices, an orchestrator and `load` read."""
        Path(path).write_bytes(bundle.pack(self.plan))

    @classmethod
    def load(cls, path: str | Path) -> "CompiledComputation":
        """A compiled computation from the file of its plan; it runs without TensorFlow.

        Raises:
            PlanError: the file is no plan.
            NotationError: its type is none of the language's.
            MisuseError: it is no plan of a computation.
        """
        plan = bundle.unpack(Path(path).read_bytes())
        if any(WORK not in phase.works for phase in plan.manifest.phases):
            raise MisuseError(f"{plan.manifest.name!r} is a plan, but not of a compiled computation", where=here())
        type_ = parse(plan.manifest.type)
        if not isinstance(type_, FunctionType):
            raise MisuseError(
                f"the plan {plan.manifest.name!r} has the type {type_}, which is no function", where=here()
            )
        root = root_in(plan.manifest)
        return cls(plan, type_, root, collections_in(plan.manifest, parts_of(type_.parameter, root)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result for these arguments, from the plan run on this machine.

        There are as many clients as the arguments have values of; none where there is no client parameter.

        Raises:
            FederatedError: the arguments do not fit the type, or the plan failed.
        """
        parameter = self.type_signature.parameter
        argument = gathered(parameter, args, kwargs)
        cohort = 0
        value: Any = None
        if parameter is not None:
            cohort = cohort_of(parameter, argument) or 0
            value = denoted(parameter, argument, cohort)
        return self.run(value, cohort)

    def run(self, value: Any, cohort: int) -> Any:
        """The result, from the runtime value of the argument."""
        parts = parts_of(self.type_signature.parameter, self._root)
        clients = [(part, at(value, part.index)) for part in parts if part.is_clients]
        collections = self._collections
        tensors = self._runner.run(
            WORK,
            self.state_of(value),
            lambda: examples_of(_only_clients(clients), collections, cohort),
            cohort,
            KeptStates(self.plan.manifest.name, cohort),
        )
        return self.result_of(tensors)

    def state_of(self, value: Any) -> dict[str, Array]:
        """The plan's state: the server's parts of the argument's runtime value."""
        parts = parts_of(self.type_signature.parameter, self._root)
        arrays = [array for part in parts if not part.is_clients for array in flat(part.type, at(value, part.index))]
        names = state_tensors(self.type_signature.parameter, self._root)
        return {
            name: np.asarray(array, leaf.dtype).reshape(sizes(leaf))
            for (name, _, leaf), array in zip(names, arrays, strict=True)
        }

    def result_of(self, tensors: Mapping[str, Array]) -> Any:
        """The Python value of a result's tensors."""
        result = self.type_signature.result
        leaves = iter([tensors[name] for name, _, _ in result_tensors(result)])
        return presented(result, unflat(result, leaves))

    def with_state(self, value: Any) -> Plan:
        """The plan with other arguments of the server."""
        return replace(self.plan, initial=self.state_of(value))

    def __repr__(self) -> str:
        return f"<{self.plan.manifest.name}, compiled: {self.type_signature}>"

    @cached_property
    def _runner(self) -> PlanRunner:
        return PlanRunner(self.plan, self.threads)


def at(value: Any, index: Sequence[int]) -> Any:
    """The part of a runtime value at a path of positions."""
    for place in index:
        value = value[place]
    return value


def zero_of(type_: Type) -> Any:
    """A runtime value of a parameter where none is known: zeros at the server, nothing at the clients."""
    match type_:
        case FederatedType(member, placement):
            return None if placement.is_clients() else zero_of(member)
        case StructType():
            return tuple(zero_of(element) for element in type_)
        case TensorType(dtype, shape):
            return np.zeros([size or 0 for size in shape or ()], dtype)
    return []


def _only_clients(parts: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Clients]]:
    return [(part, value) for part, value in parts if isinstance(value, Clients)]
