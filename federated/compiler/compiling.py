"""All passes, one after the other: from a computation to the draft of its plan."""

from collections.abc import Callable

from federated.compiler.collections import Collections
from federated.compiler.flat import FlatProgram
from federated.compiler.flattening import inline
from federated.compiler.library import Library
from federated.compiler.planning import Draft, draft_plan
from federated.compiler.verifying import verify_program
from federated.language.computation import Computation
from federated.language.errors import CompilationError
from federated.language.types import FunctionType, Type

ROOT = "value"


def anything(program: FlatProgram) -> None:
    """The rule of those who run whatever a plan can hold."""


def compile_draft(
    computation: Computation,
    parameter: Type | None,
    collections: Collections,
    library: Library,
    check: Callable[[FlatProgram], None] = anything,
) -> Draft:
    """The draft of a computation's plan.

    Args:
        parameter: the type of its parameter with every shape known.
        check: refuses a program that whoever will run the plan could not run.

    Raises:
        CompilationError: a sound program that no plan can be made of; it names the user's line.
    """
    type_ = FunctionType(parameter, computation.type_signature.result)
    root = root_of(computation)
    try:
        program = inline(computation.as_node(), parameter, library, root)
        verify_program(program)
        check(program)
        return draft_plan(program, type_, computation.__name__, root, collections)
    except CompilationError as error:
        error.where = error.where or computation.as_node().origin
        raise


def root_of(computation: Computation) -> str:
    """What a computation's only parameter is called."""
    names = computation.parameter_names
    return names[0] if len(names) == 1 else ROOT
