"""The words of the command line for forward models and noise."""

import pytest

from wellposed.errors import InputError
from wellposed.jobs.specs import NoiseSpec, OperatorSpec, parse_noise, parse_operator

GOOD = {
    "denoise": OperatorSpec("denoise"),
    "inpaint:my:mask.png": OperatorSpec("inpaint", (), "my:mask.png"),
    "inpaint:0.7": OperatorSpec("inpaint", (0.7,)),
    "superresolve:4": OperatorSpec("superresolve", (4.0,)),
    "blur:gaussian:1.5": OperatorSpec("gaussian", (1.5,)),
    "blur:motion:9:-30": OperatorSpec("motion", (9.0, -30.0)),
    "blur:out/kernel.npy": OperatorSpec("kernel", (), "out/kernel.npy"),
    "phase": OperatorSpec("phase", (4.0,)),
    "phase:2": OperatorSpec("phase", (2.0,)),
    "phase:2:my:code.npy": OperatorSpec("phase", (2.0,), "my:code.npy"),
    "onebit:0.4": OperatorSpec("onebit", (0.4,)),
}
BAD = [
    "", "denoise:1", "sharpen", "inpaint", "inpaint:1", "inpaint:-0.1", "superresolve",
    "superresolve:2.5", "superresolve:0", "superresolve:4:4", "superresolve:nan", "blur",
    "blur:gaussian", "blur:gaussian:0", "blur:gaussian:x", "blur:motion:9", "blur:kernel",
    "phase:0", "phase:inf", "onebit", "onebit:0", "onebit:0.4:1",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_good_words(text):
    assert parse_operator(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_bad_words_are_refused_with_the_list_of_good_ones(text):
    with pytest.raises(InputError, match="which cannot be read") as caught:
        parse_operator(text)
    assert "superresolve:4" in caught.value.remedy


def test_noise():
    assert parse_noise("gaussian:0.05") == NoiseSpec("gaussian", 0.05)
    assert parse_noise("laplace:1") == NoiseSpec("laplace", 1.0)
    assert parse_noise("none") == NoiseSpec("none")
    for text in ("", "gaussian", "gaussian:0", "gaussian:-1", "gaussian:nan", "none:1", "cauchy:1"):
        with pytest.raises(InputError, match="expected gaussian"):
            parse_noise(text)
