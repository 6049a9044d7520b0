"""Graphs in the notation of the lambda calculus, in one line or, for people, with a line for each name that is bound.

    (readings -> (let v_1=federated_mean(readings) in v_1))

    (readings -> (let
      v_1=federated_mean(readings)
    in v_1))

A local computation is its author's name for it. A constant is its value, or its type where it is large.
"""

import json
import textwrap
from collections.abc import Sequence
from typing import assert_never

from federated.language.nodes import (
    Block,
    Call,
    Intrinsic,
    Lambda,
    Literal,
    Local,
    Node,
    Reference,
    Selection,
    Structure,
)
from federated.language.types import PLAIN_NAME, StructType

_MAX_ELEMENTS = 8


def compact(node: Node) -> str:
    """The graph in one line."""
    return _written(node, in_lines=False)


def formatted(node: Node) -> str:
    """The graph with a line for each name that is bound."""
    return _written(node, in_lines=True)


def _written(node: Node, *, in_lines: bool) -> str:  # noqa: PLR0911 - one for each kind of node
    def write(inner: Node) -> str:
        return _written(inner, in_lines=in_lines)

    match node:
        case Literal():
            return _literal(node)
        case Reference(name):
            return name
        case Structure(elements, type_):
            named = zip(type_.names(), elements, strict=True)
            return f"<{','.join(_label(name) + write(element) for name, element in named)}>"
        case Selection(source, index):
            return write(source) + _selected(node, index)
        case Lambda(parameter, body):
            return f"({parameter or ''} -> {write(body)})"
        case Call(function, argument):
            return f"{write(function)}({'' if argument is None else write(argument)})"
        case Block(bindings, result):
            return _block([f"{name}={write(value)}" for name, value in bindings], write(result), in_lines=in_lines)
        case Intrinsic(name):
            options = ",".join(f"{option}={value}" for option, value in sorted(node.options.items()))
            return f"{name}[{options}]" if options else name
        case Local(body):
            return body.name
    assert_never(node)


def _block(bindings: Sequence[str], result: str, *, in_lines: bool) -> str:
    if not in_lines:
        return f"(let {','.join(bindings)} in {result})"
    return "(let\n" + textwrap.indent(",\n".join(bindings), "  ") + f"\nin {result})"


def _literal(node: Literal) -> str:
    if node.value.size > _MAX_ELEMENTS:
        return f"a constant of type {node.type}"
    return json.dumps(node.value.tolist(), separators=(",", ":"), ensure_ascii=False)


def _selected(node: Selection, index: int) -> str:
    struct = node.source.type
    name = struct.names()[index] if isinstance(struct, StructType) else None
    return f".{name}" if name is not None and PLAIN_NAME.fullmatch(name) else f"[{index}]"


def _label(name: str | None) -> str:
    if name is None:
        return ""
    return f"{name if PLAIN_NAME.fullmatch(name) else json.dumps(name)}="
