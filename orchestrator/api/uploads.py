"""How an update's bytes come: a device asks what is missing, and sends that."""

from functools import partial

from fastapi import APIRouter, Request, Response

from orchestrator.api.access import FOR_DEVICES, context_of, token_of
from orchestrator.api.exchange import REFUSALS, chunks, described, gathered, reply
from orchestrator.api.plain import PlainRoute, message_of_device, strangers_first
from orchestrator.errors import InvalidRequestError
from orchestrator.services import uploading
from orchestrator.storage.protocol import CHUNK_BYTES
from wire import routes
from wire.messages import Resource, Upload

router = APIRouter(tags=["devices"], route_class=PlainRoute)


@router.post(routes.upload("{assignment_id}"), dependencies=[FOR_DEVICES], **described(takes=Resource, gives=Upload))
async def plan_upload(request: Request, assignment_id: str) -> Response:
    """Announce an update, and hear which parts of it are still to be sent, and where to."""
    context, token = context_of(request), token_of(request)
    update = await message_of_device(request, Resource)
    return reply(await uploading.plan_upload(context, token, assignment_id, update))


@router.put(
    routes.update("{assignment_id}"),
    dependencies=[FOR_DEVICES],
    status_code=204,
    response_class=Response,
    responses=REFUSALS,
    openapi_extra={"requestBody": {"required": True, "content": {routes.OCTETS: {}}}},
)
async def put_update(request: Request, assignment_id: str) -> Response:
    """Send an assignment's update, as safetensors, from the byte `Upload-Offset` to its end.

    `X-Content-SHA256` has the digest of the whole update. What has come of one stays when the connection is cut.
    """
    context, token = context_of(request), token_of(request)
    sha256 = request.headers.get(routes.DIGEST_HEADER, "")
    async with strangers_first(request):
        length, offset = _number(request, "Content-Length"), _number(request, routes.OFFSET_HEADER) or 0
    incoming = await uploading.receive_update(context, token, assignment_id, sha256, offset, length)
    try:
        async for data in gathered(chunks(request, context.settings.body_seconds), CHUNK_BYTES):
            await context.in_store_thread(partial(incoming.write, data))
            context.metrics.updates_bytes.inc(len(data))
        await context.in_store_thread(incoming.finish)
    except BaseException:
        await context.in_store_thread(incoming.stop)
        raise
    return Response(status_code=204)


def _number(request: Request, header: str) -> int | None:
    text = request.headers.get(header)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):  # noqa: PLR2004 - more than any file has
        raise InvalidRequestError(f"the header {header} must be a number of bytes, found {text[:50]!r}")
    return int(text)
