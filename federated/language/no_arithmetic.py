"""Refuses arithmetic on values that are no numbers yet, with the way to do it.

Python finds operators on the class alone, so every one stands here; libraries that would turn a value into an array
find `__array__` and `__tf_tensor__`.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from federated.language.errors import MisuseError
from federated.language.origin import here


def _refused(what: str) -> Callable[..., NoReturn]:
    def refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
        raise MisuseError(
            f"{what} does not work on a value of type {self.type_signature}: a federated computation says what is "
            "computed where, and has no numbers yet",
            where=here(),
            fix="write it in a function decorated with @fed.tf_computation, and apply that with fed.federated_map",
        )

    return refuse


_BINARY = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "truediv",
    "//": "floordiv",
    "%": "mod",
    "**": "pow",
    "@": "matmul",
    "&": "and",
    "|": "or",
    "^": "xor",
    "<<": "lshift",
    ">>": "rshift",
}
_COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_UNARY = {
    "`-`": "neg",
    "`~`": "invert",
    "`abs`": "abs",
    "`bool`, as `if`, `and` and `or` use it,": "bool",
    "`int`": "int",
    "`float`": "float",
    "a NumPy function": "array_ufunc",
    "NumPy": "array",
    "TensorFlow": "tf_tensor",
}


class NoArithmetic:
    """A base class whose operators all refuse; its subclasses have a `type_signature`."""

    __slots__ = ()

    def __hash__(self) -> int:
        return id(self)


for _what, _name in _UNARY.items():
    setattr(NoArithmetic, f"__{_name}__", _refused(_what))
for _sign, _name in _COMPARISONS.items():
    setattr(NoArithmetic, f"__{_name}__", _refused(f"`{_sign}`"))
for _sign, _name in _BINARY.items():
    for _form in (f"__{_name}__", f"__r{_name}__", f"__i{_name}__"):
        setattr(NoArithmetic, _form, _refused(f"`{_sign}`"))
