from __future__ import annotations

import pytest
from livekit.protocol import egress as pb

from pyegress.errors import Code, InvalidRequest
from pyegress.plan.form import EgressRequest
from pyegress.service.offered import check_offered
from tests.plan.requests import FILE, RTMP, composite, participant, planned, room, track, v2, v2_file

pytestmark = pytest.mark.unit

S3 = pb.S3Upload(bucket="b", access_key="hidden", secret="hidden")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (track(websocket_url="wss://h/"), "websocket_url"),
    ],
)
def test_what_is_not_offered_is_named(request_: EgressRequest, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_offered(planned(request_))
    assert (caught.value.code, caught.value.field) == (Code.UNIMPLEMENTED, field)
    assert field in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    "request_",
    [
        room(FILE, stream_outputs=[pb.StreamOutput(urls=[RTMP])]),
        *(room(FILE), participant(FILE), composite(FILE), track("a"), v2(v2_file())),
        participant(segment_outputs=[pb.SegmentedFileOutput(playlist_name="p")], image_outputs=[pb.ImageOutput()]),
        participant(segment_outputs=[pb.SegmentedFileOutput(playlist_name="p", s3=S3)]),
        composite(FILE, image_outputs=[pb.ImageOutput(s3=S3)]),
        room(pb.EncodedFileOutput(filepath="a", s3=S3)),
        v2(v2_file(), storage=pb.StorageConfig(s3=S3)),
        *(pb.WebEgressRequest(url="https://h/", file_outputs=[FILE]), room(FILE, custom_base_url="https://h/")),
    ],
)
def test_what_is_offered(request_: EgressRequest) -> None:
    check_offered(planned(request_))
