"""Sources of frames; each implements `protocols.Source`.

| module | contents |
|---|---|
| `address` | an address → its source |
| `rtsp` | network cameras that stream with RTSP |
| `http` | cameras that stream JPEG images with HTTP |
| `v4l2` | USB cameras, and others that Linux shows as `/dev/video0` |
| `picamera` | the camera of a Raspberry Pi |
| `file` | videos |
| `folder` | folders with the frames of a video |
| `fake` | frames and faults for tests |
| `network` | what network cameras share |
| `video` | what all sources share that FFmpeg decodes |
| `pace` | which frames to decode |
| `names` | addresses without passwords |

`rate` is the largest number of frames per second that the taker wants. Other frames are skipped as early as possible:
they are not converted, and not even decoded if key frames come often enough.
"""

from .address import open_source
from .fake import FakeSource

__all__ = ["FakeSource", "open_source"]
