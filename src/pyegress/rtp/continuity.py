"""Which frames can still be decoded after packets were lost for good."""

from __future__ import annotations

from pyegress.rtp.depacketizers.base import AssembledFrame, PictureIndex


class Continuity:
    """Follows the frames of one video stream in decoding order and says which of them have all that they need.

    Without a picture index every loss means waiting for a key frame. With one (VP8, VP9) a lost upper temporal layer
    costs only the frames that refer to it, and a lost packet that belonged to no picture costs nothing.
    """

    __slots__ = ("_base_index", "_damaged", "_picture", "discontinuity", "needs_keyframe")

    def __init__(self) -> None:
        #: Nothing can be decoded until a key frame comes. Set it when what follows does not continue what was before.
        self.needs_keyframe = True
        #: Frames were lost since the last one that was admitted.
        self.discontinuity = False
        self._damaged = False
        #: The last picture before any damage.
        self._picture: PictureIndex | None = None
        self._base_index: int | None = None

    def lose(self) -> None:
        """Packets, and with them perhaps frames, were lost."""
        self.discontinuity = True
        self._damaged = True
        if self._picture is None:
            self.needs_keyframe = True

    def admit(self, frame: AssembledFrame) -> bool:
        """Whether the next frame can be decoded. Read `needs_keyframe` after a refusal."""
        if frame.keyframe:
            self.needs_keyframe = self._damaged = False
        elif self.needs_keyframe or (self._damaged and not self._repaired(frame.picture)):
            return False
        picture = frame.picture
        if picture is None:
            self._picture = self._base_index = None
        else:
            self._base_index = picture.base_index
            if not self._damaged:
                self._picture = picture
        return True

    def _repaired(self, picture: PictureIndex | None) -> bool:
        """Whether the losses do not concern this picture."""
        last = self._picture
        if picture is None or last is None:
            self.needs_keyframe = True
            return False
        if last.picture_id is not None and picture.picture_id is not None:
            following = (last.picture_id + 1) & ((1 << picture.picture_id_bits) - 1)
            if picture.picture_id == following:
                self._damaged = self.discontinuity = False  # padding was lost, no picture
                return True
        if self._base_index is None or picture.base_index is None:
            self.needs_keyframe = True
            return False
        bases = (picture.base_index - self._base_index) & 0xFF
        if picture.layer == 0 and bases == 1:
            self._damaged = False
            return True
        if picture.layer > 0 and bases == 0:
            return picture.layer_sync  # other pictures of upper layers may refer to lost ones
        self.needs_keyframe = True
        return False
