"""Rows of the route table for the registration channel and the photos that it asks for."""

from node.web.files import FilesApi
from node.web.operations import (
    OPERATOR_PROBLEMS,
    TEXT,
    UNREADABLE,
    JsonObject,
    Operation,
    in_path,
    in_query,
)
from node.web.registration import RegistrationApi
from node.web.row import Row, Section

_TAG = "Registration at the top-level node"
_PHOTOS = ("image/jpeg", "image/png", "image/bmp")
_BYTES: JsonObject = {"schema": {"type": "string", "format": "binary"}}

_SHOW = Operation(
    "Enterprises that the top-level node does not take as they are, and what it has decided lately",
    (),
    {200: "Both lists, and what the channel waits for", **OPERATOR_PROBLEMS},
    tag=_TAG,
)
_UPLOAD = Operation(
    "A photo of a paper: JPEG, PNG or BMP; forms name it by the id that is returned",
    (in_query("id", "The id it is to have; made up when left out.", TEXT),),
    {
        201: "`id`, `media_type`, `size`",
        **UNREADABLE,
        409: "Another file has this id",
        413: "More than 360,000 bytes",
        415: "This is no photo of these kinds",
        **OPERATOR_PROBLEMS,
    },
    {"required": True, "content": dict.fromkeys(_PHOTOS, _BYTES)},
    tag=_TAG,
)
_READ = Operation(
    "A photo; that it was read is logged",
    (in_path("file", "Its id."),),
    {200: "The bytes", 404: "There is no such file", **OPERATOR_PROBLEMS},
    tag=_TAG,
)


def registration_section(registration: RegistrationApi, files: FilesApi) -> Section:
    """Return the rows."""
    one = "/v1/files/{file}"
    return Section(
        (
            Row("GET", "/v1/registration", registration.show, _SHOW),
            Row("HEAD", "/v1/registration", registration.show),
            Row("POST", "/v1/files", files.upload, _UPLOAD),
            Row("GET", one, files.show, _READ),
            Row("HEAD", one, files.show),
        )
    )
