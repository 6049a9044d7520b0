"""The device protocol's routes."""

import random

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from orchestrator.api.access import ContextOf, Device, SessionToken
from orchestrator.api.exchange import described, read_message, reply
from orchestrator.services import check_in as check_ins
from orchestrator.services import enrolment, registry, reporting, sessions
from wire import routes
from wire.errors import MessageError
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

router = APIRouter(tags=["devices"])

_randomness = random.SystemRandom()


@router.post(routes.DEVICES, **described(takes=Enrolment, gives=Enrolled, status=201))
async def enrol(request: Request, context: ContextOf) -> Response:
    """Join a population with a one-time token and a key of the device's own."""
    message = await read_message(request, Enrolment, context.settings)
    public_key = enrolment.proven_key(message)
    plan_key = context.signer.public_key
    enrolled = await context.database.write(
        lambda tx: enrolment.enrol(tx, message, public_key, plan_key, context.clock())
    )
    return reply(enrolled, 201)


@router.post(routes.challenges("{device_id}"), **described(gives=Challenge, status=201))
async def challenge(device_id: str, context: ContextOf) -> Response:
    """Ask for random text to sign."""
    lifetime = context.settings.challenge_seconds
    made = await context.database.write(lambda tx: sessions.challenge(tx, device_id, lifetime, context.clock()))
    return reply(made, 201)


@router.post(routes.sessions("{device_id}"), **described(takes=SessionRequest, gives=Session, status=201))
async def open_session(device_id: str, request: Request, context: ContextOf) -> Response:
    """Turn a signed challenge into a session token."""
    message = await read_message(request, SessionRequest, context.settings)
    lifetime = context.settings.session_seconds
    session = await context.database.write(
        lambda tx: sessions.open_session(tx, device_id, message, lifetime, context.clock())
    )
    return reply(session, 201)


@router.post(routes.CHECK_INS, **described(takes=CheckIn, gives=CheckInReply))
async def check_in(request: Request, token: SessionToken, context: ContextOf) -> Response:
    """Offer to work: an assignment, or a time to come back."""
    try:
        message = await read_message(request, CheckIn, context.settings)
    except MessageError:
        await context.database.read(lambda tx: sessions.device_of(tx, token, context.clock()))  # a stranger first
        raise
    limits = context.settings.pacing_limits

    def use_case(tx: Connection) -> CheckInReply:
        # Who asks is found out in the same transaction: most check-ins find no work, and this one is all they cost.
        now = context.clock()
        device = sessions.device_of(tx, token, now)
        return check_ins.check_in(tx, device, message, limits=limits, randomness=_randomness, now=now)

    answer = await context.database.write(use_case)
    context.metrics.check_ins.labels("rejection" if answer.assignment is None else "assignment").inc()
    return reply(answer)


@router.get(routes.released_model("{label}"), **described(gives=ReleasedModel))
async def released_model(label: str, device: Device, context: ContextOf) -> Response:
    """The model that has a label in the device's population, signed; its bytes are a resource."""
    return reply(await context.database.read(lambda tx: registry.released_model(tx, device, label, context.signer)))


@router.post(routes.report("{assignment_id}"), **described(takes=Report, gives=ReportReceipt))
async def report(assignment_id: str, request: Request, device: Device, context: ContextOf) -> Response:
    """End an assignment. The answer comes when the report is durable; the same report again gets the same answer."""
    message = await read_message(request, Report, context.settings)
    receipt = await reporting.report(context, device, assignment_id, message)
    context.metrics.reports.labels(receipt.outcome.value).inc()
    return reply(receipt)
