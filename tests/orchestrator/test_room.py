"""Room in memory: never more taken than there is, in order, and given back whatever happens."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.room import Room

SIZE = 10


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_no_more_is_taken_than_there_is_and_all_of_it_is_given_back(jobs: list[tuple[int, int, bool]]) -> None:
    async def run() -> list[int]:
        room, taken, most = Room(SIZE), [0], [0]
        begun: list[int] = []

        async def job(number: int, size: int, turns: int) -> None:
            async with room.taken(size):
                begun.append(number)
                taken[0] += min(size, SIZE)
                most[0] = max(most[0], taken[0])
                try:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                finally:
                    taken[0] -= min(size, SIZE)

        tasks = [asyncio.create_task(job(number, size, turns)) for number, (size, turns, _) in enumerate(jobs)]
        await asyncio.sleep(0)
        for task, (_, _, is_cancelled) in zip(tasks, jobs, strict=True):
            if is_cancelled:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most[0] <= SIZE
        async with asyncio.timeout(1), room.taken(SIZE):
            pass
        return begun

    begun = asyncio.run(run())
    assert begun == sorted(begun)
    assert {number for number, (_, _, is_cancelled) in enumerate(jobs) if not is_cancelled} <= set(begun)


def test_a_failed_job_gives_back_what_it_had() -> None:
    async def run() -> None:
        room = Room(SIZE)
        with pytest.raises(ZeroDivisionError):
            async with room.taken(100):
                raise ZeroDivisionError
        async with asyncio.timeout(1), room.taken(SIZE):
            pass

    asyncio.run(run())
