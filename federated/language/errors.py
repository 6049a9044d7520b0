"""What can go wrong with a federated program, by name.

FederatedError
├── TypeSpecError            something does not describe a type, or describes one that cannot be
├── TypeMismatchError        a type is not the type that is needed
├── NotationError            a text is not a type in compact notation
├── DocumentError            some bytes are not a computation that can be read
├── ValueMismatchError       a Python value does not fit a type
├── PlacementError           a value stands at the wrong placement, or at none
├── MisuseError              a value, a function or a call is used in a way that has no meaning
├── OutsideComputationError  something was called where it has no meaning
├── CompilationError         a sound program that cannot become a plan
│   └── NothingForDevicesError  because everything in it happens at the server
└── ExecutionError           a computation failed while it ran

Each one can carry the user's line (`where`) and a way out (`fix`); both may be set after the error was made, by
whoever knows them.
"""

from copyreg import __newobj__  # type: ignore[attr-defined]
from typing import Any, Protocol


class Comparable(Protocol):
    """What a type offers here: its notation as `str`, and how it differs from another."""

    def difference_from(self, source: Any, /) -> str | None:
        """Why the other can't be used as this one, in one line; None where it can."""


class FederatedError(Exception):
    """The root of this package's errors.

    Printed as the message, then `at` the user's source line (`where`, shown as `file.py:12: code`), then the `fix`.
    """

    def __init__(self, message: str, *, where: object = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.message]
        if self.where is not None:
            lines.append(f"at {self.where}")
        if self.fix is not None:
            lines.append(self.fix)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which fails for constructors that take more than a message.
        return __newobj__, (type(self), *self.args), self.__dict__


class TypeSpecError(FederatedError, TypeError, ValueError):
    """A Python object does not describe a type, or describes one that cannot be, such as a sequence of functions.

    TensorFlow Federated raises TypeError for the first and ValueError for the second; this is both.
    """


class TypeMismatchError(FederatedError, TypeError):
    """A type is not the one that is needed, or there is none.

    Where both types are given, the message shows them one under the other, and what differs in one line:

        the argument has the wrong type
          expected: {float32}@CLIENTS
          found:    {int32}@CLIENTS
          differs:  member: expected float32, found int32

    Attributes:
        difference: that line; unless it is given, it is why `found` can't be used as `expected`.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: Comparable | None = None,
        found: Comparable | None = None,
        difference: str | None = None,
        where: object = None,
        fix: str | None = None,
    ) -> None:
        lines = [message]
        if expected is not None and found is not None:
            difference = difference or expected.difference_from(found)
            lines += [f"  expected: {expected}", f"  found:    {found}"]
        if difference is not None:
            lines.append(f"  differs:  {difference}")
        super().__init__("\n".join(lines), where=where, fix=fix)
        self.expected = expected
        self.found = found
        self.difference = difference


class NotationError(FederatedError, ValueError):
    """A text is not a type in compact notation; the message shows the line, and points at the `column` (from 1)."""

    def __init__(
        self, message: str, *, column: int | None = None, where: object = None, fix: str | None = None
    ) -> None:
        super().__init__(message, where=where, fix=fix)
        self.column = column


class DocumentError(FederatedError, ValueError):
    """Some bytes are not a computation that can be read; the message names where in them."""


class ValueMismatchError(FederatedError, TypeError):
    """A Python value does not fit a type."""


class PlacementError(FederatedError, TypeError):
    """A value stands at another placement than the one that is needed, or at none."""


class MisuseError(FederatedError, TypeError):
    """A value, a function or a call is used in a way that has no meaning, such as arithmetic on federated values."""


class OutsideComputationError(FederatedError, RuntimeError):
    """Something was called outside of the computation, or the context, that gives it a meaning."""


class CompilationError(FederatedError):
    """A well-typed program that cannot become a plan."""


class NothingForDevicesError(CompilationError):
    """A program that aggregates nothing, so that no device has anything to do."""


class ExecutionError(FederatedError, RuntimeError):
    """A computation failed while it ran."""
