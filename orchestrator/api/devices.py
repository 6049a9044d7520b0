"""The device protocol's routes."""

import random

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from orchestrator.api.access import FOR_DEVICES, context_of, token_of
from orchestrator.api.exchange import described, read_message, reply
from orchestrator.api.plain import PlainRoute, message_of_device
from orchestrator.services import check_in as check_ins
from orchestrator.services import enrolment, registry, reporting, sessions
from wire import routes
from wire.messages import (
    Challenge,
    CheckIn,
    CheckInReply,
    Enrolled,
    Enrolment,
    ReleasedModel,
    Report,
    ReportReceipt,
    Session,
    SessionRequest,
)

router = APIRouter(tags=["devices"], route_class=PlainRoute)

_randomness = random.SystemRandom()


@router.post(routes.DEVICES, **described(takes=Enrolment, gives=Enrolled, status=201))
async def enrol(request: Request) -> Response:
    """Join a population with a one-time token and a key of the device's own."""
    context = context_of(request)
    message = await read_message(request, Enrolment, context.settings)
    public_key = enrolment.proven_key(message)
    plan_key = context.signer.public_key
    enrolled = await context.database.write(
        lambda tx: enrolment.enrol(tx, message, public_key, plan_key, context.clock())
    )
    return reply(enrolled, 201)


@router.post(routes.challenges("{device_id}"), **described(gives=Challenge, status=201))
async def challenge(request: Request, device_id: str) -> Response:
    """Ask for random text to sign."""
    context = context_of(request)
    lifetime = context.settings.challenge_seconds
    made = await context.database.write(lambda tx: sessions.challenge(tx, device_id, lifetime, context.clock()))
    return reply(made, 201)


@router.post(routes.sessions("{device_id}"), **described(takes=SessionRequest, gives=Session, status=201))
async def open_session(request: Request, device_id: str) -> Response:
    """Turn a signed challenge into a session token."""
    context = context_of(request)
    message = await read_message(request, SessionRequest, context.settings)
    lifetime = context.settings.session_seconds
    session = await context.database.write(
        lambda tx: sessions.open_session(tx, device_id, message, lifetime, context.clock())
    )
    return reply(session, 201)


@router.post(routes.CHECK_INS, dependencies=[FOR_DEVICES], **described(takes=CheckIn, gives=CheckInReply))
async def check_in(request: Request) -> Response:
    """Offer to work: an assignment, or a time to come back."""
    context, token = context_of(request), token_of(request)
    message = await message_of_device(request, CheckIn)
    limits = context.settings.pacing_limits

    def use_case(tx: Connection) -> CheckInReply:
        now = context.clock()
        device = sessions.device_of(tx, token, now)
        return check_ins.check_in(
            tx,
            device,
            message,
            attendance=context.attendance,
            hears_of_updates=context.store.hears_of_updates,
            limits=limits,
            randomness=_randomness,
            now=now,
        )

    answer = await context.database.write(use_case)
    context.metrics.check_ins.labels("rejection" if answer.assignment is None else "assignment").inc()
    return reply(answer)


@router.get(routes.released_model("{label}"), dependencies=[FOR_DEVICES], **described(gives=ReleasedModel))
async def released_model(request: Request, label: str) -> Response:
    """The model that has a label in the device's population, signed; its bytes are a resource."""
    context, token = context_of(request), token_of(request)

    def query(tx: Connection) -> ReleasedModel:
        device = sessions.device_of(tx, token, context.clock())
        return registry.released_model(tx, device, label, context.signer)

    return reply(await context.database.read(query))


@router.post(
    routes.report("{assignment_id}"), dependencies=[FOR_DEVICES], **described(takes=Report, gives=ReportReceipt)
)
async def report(request: Request, assignment_id: str) -> Response:
    """End an assignment. The answer comes when the report is durable; the same report again gets the same answer."""
    context, token = context_of(request), token_of(request)
    message = await message_of_device(request, Report)
    receipt = await reporting.report(context, token, assignment_id, message)
    context.metrics.reports.labels(receipt.outcome.value).inc()
    return reply(receipt)
