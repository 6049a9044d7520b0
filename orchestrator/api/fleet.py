"""The operators' routes for populations and devices."""

import re
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from orchestrator.api.access import ContextOf, Operator, OperatorKey
from orchestrator.api.exchange import described, read_message, reply
from orchestrator.api.paging import Paging
from orchestrator.api.repeating import IdempotencyKey, make, repeatable
from orchestrator.db import queries
from orchestrator.errors import InvalidRequestError
from orchestrator.services import devices, enrolment
from wire import routes
from wire.operator_messages import DevicePage, DeviceView, PopulationPage, PopulationRequest, PopulationView

router = APIRouter(tags=["fleet"], dependencies=[Operator])

_POPULATION_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


class DeviceState(StrEnum):
    """Which devices a list shows."""

    ACTIVE = "active"
    REVOKED = "revoked"


@router.get(routes.POPULATIONS, **described(gives=PopulationPage))
async def list_populations(context: ContextOf, paging: Paging) -> Response:
    """Populations, by name."""
    page = await context.database.read(lambda tx: queries.populations.by_name(tx, paging))
    return reply(PopulationPage(page.rows, page.next_cursor))


@router.post(routes.POPULATIONS, **described(takes=PopulationRequest, gives=PopulationView, status=201))
async def add_population(
    request: Request, context: ContextOf, api_key: OperatorKey, key: IdempotencyKey = None
) -> Response:
    """Make a population."""
    message = await read_message(request, PopulationRequest, context.settings)
    if not _POPULATION_NAME.fullmatch(message.name):
        raise InvalidRequestError(
            f"a population's name matches {_POPULATION_NAME.pattern}, found {message.name[:100]!r}"
        )
    return await make(
        context,
        repeatable(request, api_key, key, message),
        lambda tx, now: enrolment.add_population(tx, message.name, now),
    )


@router.get(routes.DEVICES, **described(gives=DevicePage))
async def list_devices(
    context: ContextOf,
    paging: Paging,
    population: Annotated[str | None, Query(description="Only of this population")] = None,
    state: Annotated[DeviceState | None, Query(description="Only those that take part, or that were revoked")] = None,
) -> Response:
    """Devices, newest first, as they last said of themselves."""
    is_revoked = None if state is None else state is DeviceState.REVOKED
    page = await context.database.read(
        lambda tx: queries.devices.newest(tx, paging, population=population, is_revoked=is_revoked)
    )
    return reply(DevicePage(tuple(devices.device_view(device) for device in page.rows), page.next_cursor))


@router.get(routes.device("{device_id}"), **described(gives=DeviceView))
async def show_device(device_id: str, context: ContextOf) -> Response:
    """One device."""
    return reply(devices.device_view(await context.database.read(lambda tx: devices.existing_device(tx, device_id))))


@router.post(routes.device_revoke("{device_id}"), **described(gives=DeviceView))
async def revoke_device(device_id: str, context: ContextOf) -> Response:
    """Shut a device out: its next request is refused, and its key opens no session any more."""
    device = await context.database.write(lambda tx: devices.revoke(tx, device_id, context.clock()))
    context.wake.set()
    return reply(devices.device_view(device))
