"""What all functions share: what they take, how they answer, how they refuse."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from fastapi import HTTPException, Request, Response, UploadFile, params
from fastapi.routing import APIRoute, APIRouter

from isthmus.errors import UsageError, printable
from isthmus.imaging.arrays import Array, from_unit, resize, to_unit
from isthmus.imaging.picture import FORMATS, WRITABLE, Picture, decode_picture, encode_picture, is_picture_name
from isthmus.latents.explore import sheet_of
from isthmus.model import Model
from isthmus.web.worker import ClientDisconnected

TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "JXL": "image/jxl",
    "HEIC": "image/heic",
}
"""Media types of the formats; of others, what says nothing."""

Sentence = {"content": {"application/json": {"schema": {"type": "object", "properties": {"detail": {"type": "string"}}}}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "An option that cannot be meant", **Sentence},
    403: {"description": "Asked by a page or under a name that is not this server's", **Sentence},
    404: {"description": "There is no such thing", **Sentence},
    408: {"description": "The request did not arrive in time", **Sentence},
    413: {"description": "The request is too large", **Sentence},
    415: {"description": "Not of a type that is taken", **Sentence},
    422: {"description": "What cannot be read, or does not fit the model", **Sentence},
    507: {"description": "What was to be kept could not be written", **Sentence},
    503: {"description": "As much work as can be held; Retry-After says when to ask again", **Sentence},
}
IMAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}}


class OneType(APIRoute):
    """Refuses bodies of another media type than the route's, and gives up for clients that have left."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()
        form = any(isinstance(part.field_info, params.Form) for part in self.dependant.body_params)
        wanted = "multipart/form-data" if form else "application/json" if self.dependant.body_params else ""

        async def answer(request: Request) -> Response:
            given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if wanted and given != wanted:
                raise HTTPException(415, f"This function takes {wanted}, not {given or 'a body without a type'}.")
            try:
                return await handle(request)
            except ClientDisconnected:
                return Response(status_code=499)  # nobody reads it

        return answer


def new_router() -> APIRouter:
    """Return a room for functions below /api, with all that they refuse."""
    return APIRouter(prefix="/api", route_class=OneType, responses=REFUSALS)


@dataclass(frozen=True)
class Upload:
    """A picture file that a request brought."""

    name: str
    content: bytes

    def decode(self) -> Picture:
        """Return the picture; a worker calls this, as it may take long.

        Raises:
            DataError: If it cannot be read.
        """
        return decode_picture(self.content, self.name)


async def receive(upload: UploadFile) -> Upload:
    """Return the picture file that a request brings.

    Raises:
        HTTPException: If it is sent as something else.
    """
    name = name_of(upload)
    kind = upload.content_type or ""
    if not kind.startswith("image/") and not (kind in ("", "application/octet-stream") and is_picture_name(name)):
        raise HTTPException(415, f"{name} is sent as {kind or 'nothing known'}; pictures are wanted.")
    return Upload(name, await upload.read())


def named_as(name: str, format: str = "") -> str:
    """Return the name of the file that comes back for one of a name, in a format such as "png"; "" for its own.

    Raises:
        UsageError: If there is no such format.
    """
    end = f".{format.lower().removeprefix('.')}" if format else ""
    if end and end not in WRITABLE:
        known = ", ".join(suffix[1:] for suffix in WRITABLE)
        raise UsageError(f"The format {printable(format)} cannot be written. Accepted are {known}.")
    own = Path(name).suffix.lower()
    if own in WRITABLE and (not end or FORMATS[own] == FORMATS[end]):
        return name
    return Path(name).stem + (end or ".tif")


def name_of(upload: UploadFile) -> str:
    """Return the end of a file's name, which is all that is ever used of it; one without a known ending is taken for a PNG."""
    name = Path((upload.filename or "picture.png").replace("\\", "/")).name[-200:]
    return name if Path(name).suffix else f"{name or 'picture'}.png"


def fitting(model: Model, picture: Picture) -> Array:
    """Return a picture as a batch of one that a model takes, `(1, C, H, W)` floats: gray or RGB, and in its size."""
    pixels = to_unit(np.moveaxis(picture.pixels, -1, 0))
    if model.image_shape[0] == 1 and len(pixels) == 3:
        pixels = pixels.mean(0, keepdims=True)
    if model.image_shape[0] == 3 and len(pixels) == 1:
        pixels = pixels.repeat(3, 0)
    size = model.input_spec.size or (None if model.trained_on_patches else model.image_shape[1:])
    return resize(pixels, size)[None] if size else pixels[None]


def png(pixels: Array, alpha: Array | None = None) -> bytes:
    """Return pixels `(H, W, C)` as a PNG of 8 bits."""
    few = np.dtype(np.uint8)
    shown = from_unit(np.clip(to_unit(pixels), 0, 1), few)
    return encode_picture(Picture(pixels=shown, alpha=None if alpha is None else from_unit(to_unit(alpha), few)), "image.png")


def sheet(images: Array, columns: int = 0) -> bytes:
    """Return images `(n, C, H, W)` side by side as a PNG."""
    pixels = from_unit(np.clip(to_unit(images), 0, 1), np.dtype(np.uint8))
    return png(sheet_of(pixels, columns or int(np.ceil(np.sqrt(len(pixels))))))


def file(content: bytes, name: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with a file of a name, whatever characters that has."""
    kind = TYPES.get(FORMATS.get(Path(name).suffix.lower(), ""), "application/octet-stream")
    place = f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return Response(content, media_type=kind, headers={"Content-Disposition": place, **(headers or {})})
