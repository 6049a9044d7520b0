"""Pages of any query, by the places of its rows in a total order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Row, Select, String, literal, tuple_

from orchestrator.domain.paging import Page, PageRequest, Place, cursor_of, place_of
from orchestrator.errors import InvalidRequestError

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """A total order: the last of the columns tells rows apart that are equal in the others."""

    columns: tuple[Column[Any], ...]
    is_descending: bool = False


def page(
    tx: Connection, query: Select[Any], order: Order, request: PageRequest, record: Callable[[Row[Any]], T]
) -> Page[T]:
    """One page of a query, each row as a record.

    Raises:
        InvalidRequestError: the cursor is not one of this list.
    """
    list_name = order.columns[0].table.name
    if request.cursor is not None:
        try:
            query = query.where(_after(order, place_of(list_name, request.cursor, len(order.columns))))
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None
    ordered = query.order_by(*(column.desc() if order.is_descending else column for column in order.columns))
    placed = ordered.add_columns(*(column.label(f"place__{i}") for i, column in enumerate(order.columns)))
    rows = tx.execute(placed.limit(request.limit + 1)).all()
    given = rows[: request.limit]
    following = None
    if len(rows) > request.limit:
        following = cursor_of(list_name, tuple(given[-1]._mapping[f"place__{i}"] for i in range(len(order.columns))))
    return Page(tuple(record(row) for row in given), following)


def _after(order: Order, place: Place) -> Any:
    if any(isinstance(value, str) != isinstance(column.type, String) for value, column in _pairs(order, place)):
        raise ValueError("the cursor holds other values than its list has")
    columns = tuple_(*order.columns)
    bound = tuple_(*(literal(value, column.type) for value, column in _pairs(order, place)))
    return columns < bound if order.is_descending else columns > bound


def _pairs(order: Order, place: Place) -> Iterable[tuple[str | int | float, Column[Any]]]:
    return zip(place, order.columns, strict=True)
