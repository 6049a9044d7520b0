"""uvicorn has no setting for how far a connection may be ahead; this one is still where it was."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from uvicorn.protocols.http import h11_impl, httptools_impl

from orchestrator.buffering import AHEAD_BYTES, let_uploads_flow


@pytest.fixture
def protocols() -> Iterator[list[ModuleType]]:
    modules: list[ModuleType] = [h11_impl, httptools_impl]
    before = [vars(module)["HIGH_WATER_LIMIT"] for module in modules]
    yield modules
    for module, limit in zip(modules, before, strict=True):
        vars(module)["HIGH_WATER_LIMIT"] = limit


def test_every_protocol_lets_a_connection_be_ahead(protocols: list[ModuleType]) -> None:
    let_uploads_flow()
    assert [vars(module)["HIGH_WATER_LIMIT"] for module in protocols] == [AHEAD_BYTES] * 2


def test_the_protocols_look_at_the_limit_that_is_raised() -> None:
    assert "HIGH_WATER_LIMIT" in httptools_impl.HttpToolsProtocol.on_body.__code__.co_names
    assert "HIGH_WATER_LIMIT" in h11_impl.H11Protocol.handle_events.__code__.co_names
