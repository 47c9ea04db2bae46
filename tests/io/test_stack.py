"""Stacks of frames from folders, pictures with many pages, and arrays."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from wellposed.errors import FileError, InputError
from wellposed.io import Limits, read_stack
from wellposed.rng import Stream

FRAMES = (255 * Stream(3).uniform((12, 9, 14, 3), "frames").numpy()).astype(np.uint8)
GREY = FRAMES[..., 0]


def folder(path, frames, name="frame{}.png"):
    path.mkdir(exist_ok=True)
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(path / name.format(k))
    return path


def png(wide, high):
    """Return the beginning of a one-bit PNG that claims a size, without pixels."""
    head = struct.pack(">IIBBBBB", wide, high, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )  # fmt: skip


def test_a_folder_is_read_in_natural_order(tmp_path):
    path = folder(tmp_path / "clip", FRAMES)
    (path / "notes.txt").write_text("not a picture")
    (path / ".hidden.png").write_text("not a picture")
    stack = read_stack(path)
    assert stack.names[:3] == ("frame0.png", "frame1.png", "frame2.png")
    assert stack.names[10] == "frame10.png"
    assert np.array_equal(stack.frames, FRAMES)
    assert not stack.grey


@pytest.mark.parametrize("kind", ["tiff", "gif", "npy", "npz", "npz4"])
def test_many_frames_in_one_file(tmp_path, kind):
    path = tmp_path / f"clip.{kind[:4].rstrip('4')}"
    if kind == "npy":
        np.save(path, GREY)
    elif kind == "npz":
        np.savez(path, frames=GREY, sigma=np.array(3.0))
    elif kind == "npz4":
        np.savez(path, frames=GREY[..., None])
    else:
        pages = [Image.fromarray(frame) for frame in GREY]
        pages[0].save(path, save_all=True, append_images=pages[1:], format=kind.upper())
    stack = read_stack(path)
    frames = stack.frames if stack.grey else stack.frames[..., 0]  # GIF pages may be colour
    assert np.array_equal(frames, GREY)
    assert stack.names == tuple(map(str, range(12)))


def test_deep_pictures_keep_their_numbers(tmp_path):
    deep = (np.arange(12, dtype=np.uint16) * 5000).reshape(3, 4)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert read_stack(tmp_path / "a.png").frames.tolist() == [deep.tolist()]
    real = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(real).save(tmp_path / "b.tiff")
    stack = read_stack(tmp_path / "b.tiff")
    assert stack.frames.dtype == np.float32
    assert np.array_equal(stack.frames[0], real)


def test_frames_are_picked_reduced_and_greyed(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    stack = read_stack(tmp_path / "a.npy", max_frames=3, stride=4, scale=2, grey=True)
    assert stack.names == ("0", "4", "8")
    red, green, blue = (FRAMES[::4, :8].astype(float)[..., c] for c in range(3))
    grey = np.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5)
    wanted = np.floor(grey.reshape(3, 4, 2, 7, 2).mean((2, 4)) + 0.5)
    assert np.array_equal(stack.frames, wanted)
    assert stack.frames.dtype == np.uint8


def test_grey_agrees_with_pillow(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    wanted = np.stack([np.asarray(Image.fromarray(f).convert("L")) for f in FRAMES])
    found = read_stack(tmp_path / "a.npy", grey=True).frames
    assert np.abs(found.astype(int) - wanted).max() <= 1  # Pillow rounds in fixed point


def test_missing_pixels_stay_and_whole_numbers_become_floating(tmp_path):
    frames = GREY.astype(float)
    frames[2, 3, 4] = np.nan
    np.save(tmp_path / "a.npy", frames)
    assert np.argwhere(np.isnan(read_stack(tmp_path / "a.npy").frames)).tolist() == [[2, 3, 4]]
    np.save(tmp_path / "b.npy", GREY.astype(np.int64))
    assert read_stack(tmp_path / "b.npy").frames.dtype == np.float64


def test_the_odd_frame_is_named(tmp_path):
    path = folder(tmp_path / "clip", GREY[:3])
    Image.fromarray(GREY[3, :5]).save(path / "frame1.png")
    told = "frame1.png is 14 x 5 pixels, grey, uint8, but frame0.png is 14 x 9 pixels, grey"
    with pytest.raises(FileError, match=told):
        read_stack(path)
    Image.fromarray(FRAMES[3]).save(path / "frame1.png")
    with pytest.raises(FileError, match="is 14 x 9 pixels, of 3 channels"):
        read_stack(path)
    assert read_stack(path, grey=True).frames.shape == (3, 9, 14)


@pytest.mark.parametrize("where", ["folder", "file"])
def test_a_picture_bomb_is_refused_before_it_is_decoded(tmp_path, where):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(12000, 12000))
    read = tmp_path if where == "folder" else path
    with pytest.raises(FileError, match="limit"):  # 144 MP: Pillow alone only warns
        read_stack(read)
    path.write_bytes(png(60000, 60000))
    with pytest.raises(FileError, match="cannot be read as a picture"):
        read_stack(read)


def test_the_pixel_limit_can_be_set(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    assert read_stack(tmp_path / "a.png", limits=Limits(pixels=126)).frames.shape == (1, 9, 14)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(FileError, match="exceeds limit of 125 pixels"):
        read_stack(tmp_path / "a.png", limits=Limits(pixels=125))
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_frames_together_are_limited(tmp_path):
    path = folder(tmp_path / "clip", GREY)
    size = 9 * 14 * 10
    for item in path.iterdir():
        assert item.stat().st_size < size
    with pytest.raises(FileError, match=r"its frames take 1,386 bytes, the limit is 1,260"):
        read_stack(path, limits=Limits(bytes=size))
    assert len(read_stack(path, limits=Limits(bytes=size), max_frames=10).names) == 10


BAD = {
    "text": (b"1,2,3\n", "is no video, picture or array"),
    "truncated png": (png(10, 10), "cannot be read as a picture"),
    "program": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is no video, picture or array"),
    "playlist": (b"#EXTM3U\nfile:///etc/passwd\n", "is no video, picture or array"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(tmp_path, name):
    data, told = BAD[name]
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(FileError, match=told):
        read_stack(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((3, 4)), "expected .T, H, W."),
        (np.zeros((3, 4, 5, 2)), "with 1, 3 or 4 channels"),
        (np.full((2, 2, 2), np.inf), "frame 0 has infinite pixels"),
        (np.zeros((0, 4, 4)), "holds no frames"),
        (np.zeros((2, 0, 4)), "nothing is left of it"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, array, told):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FileError, match=told):
        read_stack(tmp_path / "a.npy")


def test_a_scale_that_leaves_nothing(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    with pytest.raises(FileError, match="nothing is left of it at 1/10 size"):
        read_stack(tmp_path / "a.npy", scale=10)


def test_two_stacks_in_one_archive(tmp_path):
    np.savez(tmp_path / "a.npz", a=GREY, b=GREY)
    with pytest.raises(FileError, match=r"holds a \[12, 9, 14\], b .* expected one array"):
        read_stack(tmp_path / "a.npz")


def test_an_empty_folder(tmp_path):
    with pytest.raises(FileError, match="holds no pictures"):
        read_stack(tmp_path)


@pytest.mark.parametrize("name", ["max_frames", "stride", "scale"])
@pytest.mark.parametrize("value", [0, -2, 1.5, True])
def test_options_are_positive_whole_numbers(tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name} is {value!r}, expected a whole number >= 1"):
        read_stack(tmp_path, **{name: value})


def test_the_fake_png_is_well_formed():
    assert Image.open(io.BytesIO(png(20, 30))).size == (20, 30)
