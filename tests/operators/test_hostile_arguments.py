"""Constructors of operators, kernels and noises refuse what makes no sense, in our own errors."""

import numpy as np
import pytest
import torch

import wellposed as wp
from wellposed import noise, operators
from wellposed.errors import WellposedError

KERNEL, SEEN = operators.gaussian_kernel(1.0), torch.ones(4, 4, dtype=torch.bool)

NO_NUMBERS = [
    None, "x", [], [float("nan")], (4,), float("nan"), float("inf"), True, {}, object(),
    np.array(3j), np.array(["a"]), np.zeros((0, 3)),
]  # fmt: skip
NUMBERS = {
    "factor": lambda a: operators.Downsample(a, (1, 8, 8)),
    "oversample": lambda a: operators.PhaseRetrieval(torch.ones(4, 4), a, (1, 4, 4)),
    "gamma": lambda a: operators.Gamma(a, (1, 4, 4)),
    "quality": lambda a: operators.JPEG(a, (1, 8, 8)),
    "rows": lambda a: operators.random_projection(a, (1, 4, 4)),
    "width": lambda a: operators.gaussian_kernel(a),
    "length": lambda a: operators.motion_kernel(a, 3.0),
    "angle": lambda a: operators.motion_kernel(9, a),
    "acceleration": lambda a: operators.cartesian_mask((8, 8), a),
    "scale of Laplace": lambda a: noise.Laplace(a),
    "degrees": lambda a: noise.StudentT(a, 1.0),
    "scale of StudentT": lambda a: noise.StudentT(3.0, a),
    "sigma of Huber": lambda a: noise.Huber(a),
    "gain": lambda a: noise.Poisson(a),
    "offset": lambda a: noise.Poisson(1.0, offset=a),
    "fraction": lambda a: noise.SparseOutliers(a),
    "scale of OneBit": lambda a: noise.OneBit(a),
    "bits": lambda a: noise.Quantized(a, 1.0, 1.0),
    "step": lambda a: noise.Quantized(3, a, 1.0),
    "dither": lambda a: noise.Quantized(3, 1.0, a),
    "temperature": lambda a: noise.Tempered(noise.Gaussian(1.0), a),
    "step size": lambda a: wp.ScaledGD(step_size=a),
}

NO_SHAPES = [
    None, -1, 0, 2.5, "x", [], {}, True, (0, 0), (4, 2.5), (3, -1, 4), np.zeros((0, 3)), object()
]  # fmt: skip
SHAPES = {
    "Identity": operators.Identity,
    "Mask": lambda a: operators.Mask(SEEN, a),
    "Blur": lambda a: operators.Blur(KERNEL, a),
    "Downsample": lambda a: operators.Downsample(2, a),
    "Fourier": lambda a: operators.Fourier(SEEN, a),
    "Radon": lambda a: operators.Radon([0.0, 30.0], a),
    "PhaseRetrieval": lambda a: operators.PhaseRetrieval(torch.ones(4, 4), 2.0, a),
    "Gamma": lambda a: operators.Gamma(2.0, a),
    "JPEG": lambda a: operators.JPEG(50, a),
    "projection": lambda a: operators.random_projection(3, a),
    "function": lambda a: operators.from_callable(lambda x: x, a),
    "cartesian mask": lambda a: operators.cartesian_mask(a, 4),
    "coded mask": operators.coded_mask,
    "Entries": lambda a: operators.Entries([0], [0], a),
    "TensorEntries": lambda a: operators.TensorEntries([[0, 0, 0]], a),
}

NO_ARRAYS = [None, "x", [], {}, object(), np.array(["a"]), np.zeros((0, 3)), [[float("nan")]]]
ARRAYS = {
    "mask": operators.Mask,
    "weights": operators.Diagonal,
    "kernel": lambda a: operators.Blur(a, (1, 4, 4)),
    "frequencies": operators.Fourier,
    "angles": lambda a: operators.Radon(a, (1, 8, 8)),
    "code": lambda a: operators.PhaseRetrieval(a, 2.0),
    "matrix": operators.Matrix,
    "matrices": operators.DenseSensing,
    "vectors": operators.RankOneSensing,
    "sigma": noise.Gaussian,
    "y": lambda a: wp.Problem(a, operators.Identity((2,))),
}


def refuses(make, values):
    for value in values:
        with pytest.raises(WellposedError):
            make(value)


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused(name):
    refuses(NUMBERS[name], NO_NUMBERS)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_no_shape_is_refused(name):
    refuses(SHAPES[name], NO_SHAPES)


@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_no_array_is_refused(name):
    refuses(ARRAYS[name], NO_ARRAYS)


@pytest.mark.parametrize("sides", [(4,), (1, 4, 4)])
def test_masks_have_two_sides(sides):
    for make in (lambda a: operators.cartesian_mask(a, 2), operators.coded_mask):
        with pytest.raises(WellposedError, match="expected 2 whole numbers"):
            make(sides)


def test_no_shape_takes_that_of_the_mask():
    assert operators.Mask(SEEN, ()).shape_in == (4, 4)
    assert operators.Fourier(SEEN).shape_in == (4, 4)
