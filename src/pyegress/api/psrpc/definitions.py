"""The protobuf messages of psrpc and of LiveKit's rpc package that livekit-protocol for Python does not carry.

They live in a descriptor pool of their own, so that a later livekit-protocol may bring them along without a clash.
Parts that are messages of the `livekit` package are declared as bytes: both are length-delimited on the wire, and so
every field of theirs, also an unknown one, reaches the official classes untouched.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}

#: Name, number and type of every field; `type*` is repeated, `Package.Message` a message of this table.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    # psrpc: package internal
    "internal.Msg": (("type_url", 1, "string"), ("value", 2, "bytes"), ("channel", 3, "string")),
    "internal.Packed": (("type_url", 1, "string"), ("value", 2, "bytes")),  # google.protobuf.Any
    "internal.Label": (("key", 1, "string"), ("value", 2, "string")),  # an entry of map<string, string>
    "internal.Request": (
        ("request_id", 1, "string"),
        ("client_id", 2, "string"),
        ("sent_at", 3, "int64"),
        ("expiry", 4, "int64"),
        ("multi", 5, "bool"),
        ("request", 6, "internal.Packed"),
        ("metadata", 7, "internal.Label*"),
        ("raw_request", 8, "bytes"),
        ("skip_claim", 9, "bool"),
    ),
    "internal.Response": (
        ("request_id", 1, "string"),
        ("server_id", 2, "string"),
        ("sent_at", 3, "int64"),
        ("response", 4, "internal.Packed"),
        ("error", 5, "string"),
        ("code", 6, "string"),
        ("raw_response", 7, "bytes"),
        ("error_details", 8, "internal.Packed*"),
    ),
    "internal.ClaimRequest": (("request_id", 1, "string"), ("server_id", 2, "string"), ("affinity", 3, "float")),
    "internal.ClaimResponse": (("request_id", 1, "string"), ("server_id", 2, "string")),
    # LiveKit: package rpc. The requests of one kind exclude each other (a oneof); the last one on the wire counts.
    "rpc.StartEgressRequest": (
        ("egress_id", 1, "string"),
        ("room_id", 3, "string"),
        ("room_composite", 5, "bytes"),
        ("track_composite", 6, "bytes"),
        ("track", 7, "bytes"),
        ("web", 11, "bytes"),
        ("participant", 13, "bytes"),
        ("egress", 16, "bytes"),
        ("replay", 17, "bytes"),
        ("token", 8, "string"),
        ("ws_url", 9, "string"),
        ("cloud_backup_enabled", 10, "bool"),
        ("estimated_cpu", 14, "double"),
        ("retry_count", 15, "int32"),
        ("room_name", 18, "string"),
    ),
    "rpc.ListActiveEgressRequest": (),
    "rpc.ListActiveEgressResponse": (("egress_ids", 1, "string*"),),
    "rpc.GetEgressRequest": (("egress_id", 1, "string"),),
}
_ONEOFS = {
    "rpc.StartEgressRequest": (
        "request",
        ("room_composite", "track_composite", "track", "web", "participant", "egress", "replay"),
    ),
}


def _build() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    for package in ("internal", "rpc"):
        file = descriptor_pb2.FileDescriptorProto(name=f"pyegress/{package}.proto", package=package, syntax="proto3")
        for full_name, fields in _MESSAGES.items():
            if full_name.startswith(f"{package}."):
                _describe(file.message_type.add(), full_name, fields)
        pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _MESSAGES}


def _describe(
    message: descriptor_pb2.DescriptorProto, full_name: str, fields: tuple[tuple[str, int, str], ...]
) -> None:
    message.name = full_name.partition(".")[2]
    oneof, members = _ONEOFS.get(full_name, ("", ()))
    if oneof:
        message.oneof_decl.add(name=oneof)
    for name, number, kind in fields:
        label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
        kind = kind.removesuffix("*")
        field = message.field.add(name=name, number=number, label=label)
        if kind in _TYPES:
            field.type = _TYPES[kind]
        else:
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{kind}"
        if name in members:
            field.oneof_index = 0


_CLASSES = _build()

Msg: Any = _CLASSES["internal.Msg"]
Request: Any = _CLASSES["internal.Request"]
Response: Any = _CLASSES["internal.Response"]
ClaimRequest: Any = _CLASSES["internal.ClaimRequest"]
ClaimResponse: Any = _CLASSES["internal.ClaimResponse"]
StartEgressRequest: Any = _CLASSES["rpc.StartEgressRequest"]
ListActiveEgressRequest: Any = _CLASSES["rpc.ListActiveEgressRequest"]
ListActiveEgressResponse: Any = _CLASSES["rpc.ListActiveEgressResponse"]
GetEgressRequest: Any = _CLASSES["rpc.GetEgressRequest"]
