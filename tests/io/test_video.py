"""Videos through ffmpeg."""

import subprocess

import numpy as np
import pytest

from wellposed.errors import FileError
from wellposed.io import Limits, read_stack
from wellposed.io.stack import Pick
from wellposed.io.video import video_frames
from wellposed.rng import Stream

ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
FRAMES = (255 * Stream(4).uniform((7, 16, 32, 3), "frames").numpy()).astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A lossless clip of 7 frames of 32 x 16 pixels."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    encode(path, "-c:v", "ffv1", "-pix_fmt", "bgr0")
    return path


def encode(path, *options):
    command = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "32x16"]
    command += ["-r", "5", "-i", "pipe:0", *options, "-y", str(path)]
    subprocess.run(command, input=FRAMES.tobytes(), check=True)


def test_every_frame_comes_back(clip):
    stack = read_stack(clip)
    assert np.array_equal(stack.frames, FRAMES)
    assert stack.names == tuple("0123456")


def test_frames_are_picked(clip):
    stack = read_stack(clip, max_frames=2, stride=3, scale=2, grey=True)
    assert stack.names == ("0", "3")
    assert stack.frames.shape == (2, 8, 16)
    grey = read_stack(clip, grey=True).frames
    wanted = FRAMES @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey - wanted).max() < 3  # ffmpeg's own weights, rounded twice


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "mpg", "ts", "mov", "flv"])
def test_containers_are_told_by_content(tmp_path, suffix):
    path = tmp_path / f"clip.{suffix}"
    encode(path, "-r", "25")
    path = path.rename(tmp_path / "clip.bin")
    frames = read_stack(path).frames
    assert frames.shape[1:] == (16, 32, 3)


def test_a_truncated_clip_is_refused(clip, tmp_path):
    short = tmp_path / "short.avi"
    short.write_bytes(clip.read_bytes()[:-2000])
    with pytest.raises(FileError, match="its header promises"):
        read_stack(short)
    short = tmp_path / "short.mp4"
    encode(short, "-movflags", "+faststart")
    short.write_bytes(short.read_bytes()[:-300])
    with pytest.raises(FileError, match="cannot be decoded as a video after"):
        read_stack(short)


def test_a_container_without_video(tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(b"RIFF\x04\0\0\0AVI " + bytes(100))
    with pytest.raises(FileError, match="cannot be decoded as a video after 0 frame"):
        read_stack(path)


def test_the_pixel_limit_holds_for_videos(clip):
    with pytest.raises(FileError, match="cannot be decoded as a video"):
        read_stack(clip, limits=Limits(bytes=clip.stat().st_size, pixels=100))


def test_no_process_stays_when_reading_stops_early(clip, monkeypatch):
    started = []
    start = subprocess.Popen

    def note(*args, **kwargs):
        started.append(start(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", note)
    frames = video_frames(clip, clip.read_bytes()[:512], Pick(None, 1, 1, False), Limits())
    assert next(frames)[0] == "0"
    frames.close()
    assert [process.poll() is not None for process in started] == [True]
