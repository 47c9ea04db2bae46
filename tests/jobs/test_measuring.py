"""Units, margins and channels on the way from a picture to a problem."""

import numpy as np
import pytest
import torch

from wellposed.errors import CapabilityError, FileError, InputError
from wellposed.io import Picture, read_picture, write_picture
from wellposed.jobs.measuring import code, measured, simulated
from wellposed.jobs.specs import parse_noise, parse_operator
from wellposed.priors.load import load_prior
from wellposed.rng import Stream

PHOTO, FASHION = load_prior("photo"), load_prior("fashion")
NOISE = parse_noise("gaussian:0.05")
LINEAR = ["denoise", "superresolve:4", "blur:gaussian:1.5", "blur:motion:5:30", "inpaint"]


def colour(high, wide, seed=0):
    return Picture(Stream(seed).uniform((high, wide, 3), "picture").float().numpy(), 8)


def grey(high, wide, seed=0):
    return Picture(Stream(seed).uniform((high, wide), "picture").float().numpy(), 8)


def words(name, tmp_path, high=0, wide=0):
    if name != "inpaint":
        return parse_operator(name)
    write_picture(tmp_path / "mask.png", Stream(1).uniform((high, wide), "mask").numpy().round())
    return parse_operator(f"inpaint:{tmp_path / 'mask.png'}")


@pytest.mark.parametrize("name", LINEAR)
def test_a_file_of_the_measurement_gives_the_problem_that_was_simulated(name, tmp_path):
    spec = words(name, tmp_path, 32, 48)
    made = simulated(colour(32, 48), spec, NOISE, PHOTO, seed=3)
    model = made.problem.operator
    ones = model.forward(torch.ones(1, *model.shape_in))[0]
    in_file = (made.problem.y + ones) / 2  # A p + s n, since y = A (2 p - 1) + 2 s n
    if name == "inpaint":
        back = model.backward(in_file[None])[0]
        in_file = back  # a picture with holes
    picture = Picture(in_file.reshape(3, *in_file.shape[-2:]).movedim(0, -1).numpy(), 32)
    read = measured(picture, spec, NOISE, PHOTO)
    torch.testing.assert_close(read.problem.y, made.problem.y, rtol=1e-5, atol=1e-5)
    assert read.problem.noise == made.problem.noise
    assert read.problem.noise.sigma == pytest.approx(0.1)  # twice that of the command line
    x = Stream(4).normal((1, 3, 32, 48), "x").float()
    assert torch.equal(read.problem.operator.forward(x), model.forward(x))


def test_the_noise_of_the_simulation_is_that_of_the_words():
    picture = Picture(np.full((160, 160, 3), 0.5, np.float32), 8)
    y = simulated(picture, parse_operator("denoise"), NOISE, PHOTO, seed=1).problem.y
    assert float(y.std()) / 2 == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize("name", LINEAR)
def test_sides_that_do_not_fit_get_a_margin_that_is_not_measured(name, tmp_path):
    factor = 4 if name.startswith("superresolve") else 1
    picture = colour(20, 25)
    found = measured(picture, words(name, tmp_path, 20, 25), NOISE, PHOTO)
    assert found.frame == (20 * factor, 25 * factor)
    shape = found.problem.operator.shape_in
    assert shape[1] % 16 == 0
    assert shape[2] % 16 == 0
    assert tuple(found.prior.shape) == shape
    x = Stream(5).normal((1, *shape), "x").float()
    y = found.problem.operator.forward(x)
    x[..., found.frame[0] + 12 * factor :, :] += 1  # far inside the margin
    assert torch.equal(found.problem.operator.forward(x), y)
    assert found.picture(x[0]).shape == (*found.frame, 3)


def test_grey_pictures_under_a_colour_prior_have_the_stated_noise_in_their_mean():
    picture = Picture(np.full((96, 96), 0.5, np.float32), 8)
    found = simulated(picture, parse_operator("denoise"), NOISE, PHOTO, seed=1)
    channels = found.problem.y
    assert torch.equal(channels[0], channels[2])  # one measurement
    assert float(channels[0].std()) / 2 == pytest.approx(0.05, rel=0.03)
    assert found.problem.noise.sigma == pytest.approx(0.1 * 3**0.5)
    # so sum over channels of (y - x)^2 / (3 s^2) is (y - x)^2 / s^2 for a grey x
    x = torch.zeros(1, 3, 96, 96)
    loss = (channels[None] - x).square().sum() / (2 * found.problem.noise.sigma**2)
    once = channels[0].square().sum() / (2 * 0.1**2)
    assert float(loss) == pytest.approx(float(once), rel=1e-5)
    assert found.picture(x).shape == (1, 96, 96)


def test_simulations_are_cropped_in_the_middle():
    picture = colour(50, 70)
    found = simulated(picture, parse_operator("superresolve:4"), NOISE, PHOTO, seed=0, size=40)
    assert found.frame == (32, 32)
    np.testing.assert_allclose(
        found.picture(found.truth), picture.values[9:41, 19:51], rtol=0, atol=1e-6
    )


def test_bits_and_magnitudes():
    one = simulated(colour(32, 32), parse_operator("onebit:0.4"), parse_noise("none"), PHOTO, 0)
    assert one.problem.noise.scale == pytest.approx(0.8)
    assert set(one.problem.y.unique().tolist()) == {-1.0, 1.0}
    bits = Picture((one.problem.y.movedim(0, -1).numpy() > 0).astype(np.float32), 8)
    read = measured(bits, parse_operator("onebit:0.4"), parse_noise("none"), PHOTO)
    assert torch.equal(read.problem.y, one.problem.y)
    share = (code((3, 400, 400), 0) == 0).float().mean()
    assert float(share) == pytest.approx(0.75, abs=0.01)


def kept(found, tmp_path):
    """Write the files of a simulation; return those of the measurement and of the code."""
    for name, values in found.files.items():
        write_picture(tmp_path / name, values)
    return tmp_path / "measured.npy", tmp_path / "code.npy"


@pytest.mark.parametrize(("picture", "prior"), [(colour(32, 48), PHOTO), (grey(32, 32), FASHION)])
def test_magnitudes_and_their_code_come_back_from_files(picture, prior, tmp_path):
    made = simulated(picture, parse_operator("phase:4"), NOISE, prior, seed=3)
    measurement, known = kept(made, tmp_path)
    spec = parse_operator(f"phase:4:{known}")
    read = measured(read_picture(measurement, scaled=False), spec, NOISE, prior)
    assert torch.allclose(read.problem.y, made.problem.y, atol=1e-6)
    assert read.problem.noise == made.problem.noise
    assert read.frame == made.frame
    x = Stream(4).normal((1, *made.truth.shape), "x").float()
    assert torch.equal(read.problem.operator.forward(x), made.problem.operator.forward(x))


def test_magnitudes_are_those_of_the_picture_between_black_and_white(tmp_path):
    picture = colour(32, 32)
    made = simulated(picture, parse_operator("phase:4"), NOISE, PHOTO, seed=3)
    p = picture.values[..., 1] * made.files["code.npy"]
    padded = np.zeros((64, 64))
    padded[:32, :32] = p
    expected = np.abs(np.fft.fftshift(np.fft.fft2(padded, norm="ortho")))
    off = made.files["measured.npy"][..., 1] - expected
    # four standard errors of a standard deviation of 4096 numbers: 4 / sqrt(8192)
    assert float(off.std()) == pytest.approx(0.05, rel=0.045)
    model = made.problem.operator  # x and -x, black and white, are not alike
    assert not torch.allclose(model(made.truth), model(-made.truth), atol=0.1)


def test_magnitudes_that_do_not_fit_their_code_are_refused(tmp_path):
    made = simulated(grey(32, 32), parse_operator("phase:4"), NOISE, FASHION, seed=3)
    measurement, known = kept(made, tmp_path)
    picture = read_picture(measurement, scaled=False)
    with pytest.raises(InputError, match="64 x 64 magnitudes, expected 46 x 46"):
        measured(picture, parse_operator(f"phase:2:{known}"), NOISE, FASHION)
    write_picture(known, np.ones((20, 25)))
    with pytest.raises(InputError, match="25 x 20 pixels, expected multiples of"):
        measured(picture, parse_operator(f"phase:4:{known}"), NOISE, FASHION)
    write_picture(measurement, np.full((64, 64), 10.0))  # far beyond white
    assert float(read_picture(measurement, scaled=False).values.max()) == 10
    with pytest.raises(FileError, match="expected the scale from 0 to 1"):
        read_picture(measurement)


REFUSED = [
    ("inpaint:0.5", NOISE, colour(32, 32), PHOTO, InputError, "only for --simulate"),
    ("phase:4", NOISE, colour(32, 32), PHOTO, InputError, "without their code"),
    ("denoise", NOISE, colour(32, 32), FASHION, InputError, "has colours, the prior is grey"),
    ("onebit:0.4", parse_noise("none"), grey(32, 32), PHOTO, CapabilityError, "the same coin"),
    ("onebit:0.4", NOISE, colour(32, 32), PHOTO, InputError, "bits have no noise"),
    ("denoise", parse_noise("none"), colour(32, 32), PHOTO, InputError, "noise is none"),
]


@pytest.mark.parametrize(("text", "noise", "picture", "prior", "error", "told"), REFUSED)
def test_what_makes_no_sense_is_refused(text, noise, picture, prior, error, told):
    with pytest.raises(error, match=told):
        measured(picture, parse_operator(text), noise, prior)


def test_masks_have_to_fit_and_to_show_something(tmp_path):
    write_picture(tmp_path / "mask.png", np.zeros((8, 8)))
    spec = parse_operator(f"inpaint:{tmp_path / 'mask.png'}")
    with pytest.raises(InputError, match="mask has 8 x 8 pixels, the picture 32 x 32"):
        measured(colour(32, 32), spec, NOISE, PHOTO)
    write_picture(tmp_path / "mask.png", np.zeros((32, 32)))
    with pytest.raises(InputError, match="black everywhere"):
        measured(colour(32, 32), spec, NOISE, PHOTO)
