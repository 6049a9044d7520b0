"""The compact notation of types, read: `parse(str(type)) == type`, except that Python containers are not written down.

    type       = primary { "*" | "@" placement }
    primary    = dtype [ "[" size { "," size } "]" ]        float32[?,784]
               | "'" dtype "'(shape=None)"                  a tensor of unknown rank
               | "<" [ element { "," element } ] ">"        <a=int32,float32>
               | "(" [ type ] "->" type ")"                 (int32 -> bool), ( -> bool)
               | "{" type "}" "@" placement                 {float32}@CLIENTS, whose values may differ
    element    = [ name "=" ] type
    size       = digits | "?"
    placement  = "CLIENTS" | "SERVER"

A name is bare where `types.PLAIN_NAME` allows it and otherwise a JSON string. White space means nothing, so the
multi-line form is read too. Types print themselves: `Type.compact_representation`, `Type.formatted_representation`.
"""

import json
import re
from typing import NoReturn

import numpy as np

from federated.language.conversion import DTYPES, DType
from federated.language.errors import NotationError, TypeSpecError
from federated.language.placements import PLACEMENTS, Placement
from federated.language.types import (
    PLAIN_NAME,
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    TensorType,
    Type,
)

MAX_DEPTH = 100
"""How deep types may stand in each other; a text is often somebody else's."""

_PLACEMENTS = {placement.name: placement for placement in PLACEMENTS}

_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_SIZE = re.compile(r"\?|[0-9]{1,18}")
_ANY_RANK = re.compile(r"'(\w+)'\(shape=None\)")


def parse(text: str) -> Type:
    """The type that `text` is the notation of.

    Raises:
        NotationError: it is none; the message shows the line, with a caret under the place.
    """
    reader = _Reader(text)
    parsed = reader.type(0)
    if not reader.is_at_end():
        reader.refuse("the end")
    return parsed


class _Reader:
    """A text and how far it has been read; a method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def type(self, depth: int) -> Type:
        self._skip_blank()
        start = self._place
        if depth > MAX_DEPTH:
            raise self._error(f"types stand in each other more than {MAX_DEPTH} deep", start)
        try:
            parsed = self._primary(depth + 1)
            while True:
                if self._take("*"):
                    parsed = SequenceType(parsed)
                elif self._take("@"):
                    parsed = FederatedType(parsed, self._placement(), all_equal=True)
                else:
                    return parsed
        except TypeSpecError as error:
            raise self._error(error.message, start) from None

    def is_at_end(self) -> bool:
        self._skip_blank()
        return self._place == len(self._text)

    def refuse(self, expected: str) -> NoReturn:
        found = "the end of the text" if self.is_at_end() else repr(self._text[self._place])
        raise self._error(f"expected {expected}, found {found}", self._place)

    def _primary(self, depth: int) -> Type:
        if self._take("<"):
            return self._struct(depth)
        if self._take("("):
            parameter = None if self._take("->") else self.type(depth)
            if parameter is not None:
                self._need("->")
            result = self.type(depth)
            self._need(")")
            return FunctionType(parameter, result)
        if self._take("{"):
            member = self.type(depth)
            self._need("}")
            self._need("@")
            return FederatedType(member, self._placement(), all_equal=False)
        return self._tensor()

    def _struct(self, depth: int) -> StructType:
        elements: list[tuple[str | None, Type]] = []
        if self._take(">"):
            return StructType(elements)
        while True:
            name = self._name()
            elements.append((name, self.type(depth)))
            if not self._take(","):
                break
        self._need(">", "',' or '>'")
        return StructType(elements)

    def _name(self) -> str | None:
        """The name of the element that starts here; None, and nothing read, where it has none."""
        self._skip_blank()
        start = self._place
        name: str | None = None
        if self._text.startswith('"', start):
            try:
                name, self._place = json.JSONDecoder().raw_decode(self._text, start)
            except ValueError as error:
                raise self._error(f"expected a quoted name: {error}", start) from None
            self._need("=")
        elif (bare := PLAIN_NAME.match(self._text, start)) is not None:
            self._place = bare.end()
            if self._take("="):
                name = bare.group()
            else:
                self._place = start
        return name

    def _tensor(self) -> TensorType:
        self._skip_blank()
        any_rank = _ANY_RANK.match(self._text, self._place)
        if any_rank is not None:
            self._place += 1
            dtype = self._dtype()
            self._place = any_rank.end()
            return TensorType(dtype, None)
        dtype = self._dtype()
        sizes: list[int | None] = []
        if self._take("["):
            sizes.append(self._size())
            while self._take(","):
                sizes.append(self._size())
            self._need("]", "',' or ']'")
        return TensorType(dtype, sizes)

    def _dtype(self) -> DType:
        word = _WORD.match(self._text, self._place)
        if word is None:
            self.refuse("a type")
        if word.group() not in DTYPES:
            raise self._error(f"{word.group()!r} is not one of the dtypes {', '.join(DTYPES)}", word.start())
        self._place = word.end()
        return np.dtype(word.group())

    def _size(self) -> int | None:
        self._skip_blank()
        size = _SIZE.match(self._text, self._place)
        if size is None:
            self.refuse("a size or '?'")
        self._place = size.end()
        return None if size.group() == "?" else int(size.group())

    def _placement(self) -> Placement:
        self._skip_blank()
        word = _WORD.match(self._text, self._place)
        placement = None if word is None else _PLACEMENTS.get(word.group())
        if word is None or placement is None:
            self.refuse("CLIENTS or SERVER")
        self._place = word.end()
        return placement

    def _take(self, token: str) -> bool:
        self._skip_blank()
        is_next = self._text.startswith(token, self._place)
        self._place += len(token) * is_next
        return is_next

    def _need(self, token: str, expected: str | None = None) -> None:
        if not self._take(token):
            self.refuse(expected or repr(token))

    def _skip_blank(self) -> None:
        blank = _BLANK.match(self._text, self._place)
        self._place = self._place if blank is None else blank.end()

    def _error(self, message: str, place: int) -> NotationError:
        start = self._text.rfind("\n", 0, place) + 1
        line = self._text[start:].partition("\n")[0]
        column = place - start
        shown_from = max(0, column - 60)
        shown = line[shown_from : column + 40]
        caret = f"{' ' * (column - shown_from)}^ column {column + 1}"
        return NotationError(f"{message}\n  {shown}\n  {caret}", column=column + 1)
