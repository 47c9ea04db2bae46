"""Video files, through the ffmpeg program that the extra ``video`` brings along.

ffmpeg writes each frame as a PGM or PPM picture, so every frame says its own size and nothing
is guessed from printed text. Only files with the mark of a video container are given to it,
since it would follow the addresses in a playlist. An error in the stream is an error here:
a damaged clip is not shortened in silence.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

import numpy as np

from wellposed.errors import FileError, MissingExtraError
from wellposed.io.source import Limits
from wellposed.io.stack import Frame, Pick

_MARKS = (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"OggS", b"FLV\1", b"0&\xb2u")
_MP4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def is_video(head: bytes) -> bool:
    """Tell AVI, MP4/MOV, Matroska/WebM, MPEG, Ogg, FLV and ASF by their first bytes."""
    transport = head[:1] == head[188:189] == head[376:377] == b"G"
    return _is_avi(head) or head[4:8] in _MP4 or transport or head.startswith(_MARKS)


def video_frames(
    path: Path, head: bytes, pick: Pick, limits: Limits
) -> Iterator[tuple[str, Frame]]:
    """Yield the frames of a video that were asked for, named by their number.

    Raises
    ------
    FileError
        The file is truncated, or ffmpeg cannot decode a frame of it.
    MissingExtraError
        There is no ffmpeg.
    """
    _refuse_short_avi(path, head)
    command = _command(path, pick, limits)
    with tempfile.TemporaryFile() as told, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told
    ) as process:  # fmt: skip
        stream = process.stdout
        try:
            for k in count():
                frame = _picture(stream) if stream else None
                if frame is None:
                    break
                if k % pick.stride == 0:
                    yield str(k), frame
            if process.wait() != 0 or k == 0:
                raise _failure(path, k, told)
        finally:
            process.kill()  # does nothing if it has ended; the caller may stop early


def _command(path: Path, pick: Pick, limits: Limits) -> list[str]:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        program = str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MissingExtraError("imageio-ffmpeg", "video", "reading video files") from error
    guard = ["-v", "error", "-nostdin", "-xerror", "-protocol_whitelist", "file,pipe"]
    guard += ["-timelimit", "3600", "-max_pixels", str(limits.pixels)]
    kind = ("pgm", "gray") if pick.grey else ("ppm", "rgb24")
    out = ["-map", "0:v:0", "-f", "image2pipe", "-c:v", kind[0], "-pix_fmt", kind[1]]
    out += ["-fps_mode", "passthrough"]
    if pick.max_frames is not None:
        out += ["-frames:v", str((pick.max_frames - 1) * pick.stride + 1)]
    return [program, *guard, "-i", str(path.absolute()), *out, "pipe:1"]


def _picture(stream: IO[bytes]) -> Frame | None:
    """Read one PGM or PPM picture as ffmpeg writes it: three lines of text, then the pixels."""
    kind = stream.readline(3)
    if kind not in (b"P5\n", b"P6\n"):
        return None
    wide, high = map(int, stream.readline(32).split())
    stream.readline(8)  # the largest value, 255
    shape = (high, wide) if kind == b"P5\n" else (high, wide, 3)
    data = stream.read(int(np.prod(shape)))
    if len(data) < np.prod(shape):
        return None
    return np.frombuffer(data, np.uint8).reshape(shape)


def _is_avi(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def _refuse_short_avi(path: Path, head: bytes) -> None:
    promised = int.from_bytes(head[4:8], "little") + 8
    held = path.stat().st_size
    if _is_avi(head) and promised > held + 1:
        raise FileError(
            f"{path} holds {held:,} bytes, its header promises {promised:,}",
            "the file is truncated, and the clip would be shortened in silence",
            "copy it again",
        )


def _failure(path: Path, frames: int, told: IO[bytes]) -> FileError:
    told.seek(0)
    lines = told.read(4096).decode("utf-8", "replace").strip().splitlines()
    return FileError(
        f"{path} cannot be decoded as a video after {frames} frame(s): "
        f"{lines[0][:200] if lines else 'no video stream'}",
        "it is truncated or damaged, or too large for the limit on pixels",
        f"export it again, or stop before the damage: max_frames={frames}" if frames else "",
    )
