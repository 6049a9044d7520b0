"""What every list takes: how many rows, and after which."""

from typing import Annotated

from fastapi import Depends, Query

from orchestrator.domain.paging import MOST_CURSOR_CHARACTERS, MOST_ROWS, USUAL_ROWS, PageRequest


async def requested_page(
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="At most so many rows")] = USUAL_ROWS,
    cursor: Annotated[
        str | None, Query(max_length=MOST_CURSOR_CHARACTERS, description="The `next_cursor` of the page before")
    ] = None,
) -> PageRequest:
    """The page that a request asks for."""
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(requested_page)]
