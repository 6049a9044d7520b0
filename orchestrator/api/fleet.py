"""The operators' routes for populations, devices and enrolment tokens."""

import re

from fastapi import APIRouter, Request, Response

from orchestrator.api.access import ContextOf, Operator
from orchestrator.api.exchange import described, read_message, reply
from orchestrator.db import queries
from orchestrator.db.records import DeviceRecord
from orchestrator.errors import InvalidRequestError
from orchestrator.services import enrolment
from wire import routes
from wire.operator_messages import (
    DevicePage,
    DeviceView,
    EnrolmentToken,
    EnrolmentTokenRequest,
    PopulationPage,
    PopulationRequest,
    PopulationView,
)

router = APIRouter(tags=["fleet"], dependencies=[Operator])

_NEWEST = 1000
_POPULATION_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


@router.post(routes.ENROLMENT_TOKENS, **described(takes=EnrolmentTokenRequest, gives=EnrolmentToken, status=201))
async def mint_token(request: Request, context: ContextOf) -> Response:
    """Make an enrolment token. It is shown this once."""
    message = await read_message(request, EnrolmentTokenRequest, context.settings)
    token = await context.database.write(lambda tx: enrolment.mint_token(tx, message, context.clock()))
    return reply(token, 201)


@router.get(routes.POPULATIONS, **described(gives=PopulationPage))
async def list_populations(context: ContextOf) -> Response:
    """Every population."""
    return reply(PopulationPage(await context.database.read(queries.populations.all_by_name)))


@router.post(routes.POPULATIONS, **described(takes=PopulationRequest, gives=PopulationView, status=201))
async def add_population(request: Request, context: ContextOf) -> Response:
    """Make a population."""
    message = await read_message(request, PopulationRequest, context.settings)
    if not _POPULATION_NAME.fullmatch(message.name):
        raise InvalidRequestError(
            f"a population's name matches {_POPULATION_NAME.pattern}, found {message.name[:100]!r}"
        )
    await context.database.write(lambda tx: enrolment.add_population(tx, message.name, context.clock()))
    return reply(PopulationView(message.name, 0), 201)


@router.get(routes.DEVICES, **described(gives=DevicePage))
async def list_devices(context: ContextOf) -> Response:
    """The newest devices, as they last said of themselves."""
    devices = await context.database.read(lambda tx: queries.devices.newest(tx, _NEWEST))
    return reply(DevicePage(tuple(_view(device) for device in devices)))


def _view(device: DeviceRecord) -> DeviceView:
    said = device.check_in
    return DeviceView(
        device_id=device.device_id,
        population=device.population,
        enrolled_at=device.enrolled_at,
        last_seen_at=device.last_seen_at,
        attributes={} if said is None else said.attributes,
        interpreter="" if said is None else f"{said.runtime.interpreter} {said.runtime.interpreter_version}",
    )
