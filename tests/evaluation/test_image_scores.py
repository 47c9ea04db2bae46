"""PSNR and SSIM against scikit-image; alignment against brute force over all ambiguities."""

import itertools
import math

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from wellposed.errors import InputError
from wellposed.evaluation.images import align, centre_crop, psnr, ssim
from wellposed.rng import Stream

IMAGE = torch.from_numpy(data.astronaut()[100:180, 180:250].astype(np.float64)).permute(2, 0, 1)
TRUTH = torch.stack([IMAGE, IMAGE.flip(-1)]) / 127.5 - 1
NOISY = TRUTH + 0.2 * Stream(0).normal(TRUTH.shape, "noise")


def theirs(x, y, **options):
    return structural_similarity(
        x.numpy(), y.numpy(), channel_axis=0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, **options,
    )  # fmt: skip


def test_scores_agree_with_scikit_image():
    for k in range(2):
        want = peak_signal_noise_ratio(TRUTH[k].numpy(), NOISY[k].numpy(), data_range=2.0)
        assert float(psnr(NOISY, TRUTH)[k]) == pytest.approx(want, rel=1e-12)
        want = theirs(NOISY[k], TRUTH[k], data_range=2.0)
        assert float(ssim(NOISY, TRUTH)[k]) == pytest.approx(want, rel=1e-10)
    assert float(ssim(NOISY[0], TRUTH[0])) == pytest.approx(float(ssim(NOISY, TRUTH)[0]), rel=1e-12)


def test_the_comparison_notices_a_wrong_window_and_a_wrong_range():
    flat = structural_similarity(NOISY[0].numpy(), TRUTH[0].numpy(), channel_axis=0, data_range=2.0)
    assert abs(float(ssim(NOISY, TRUTH)[0]) - flat) > 1e-3
    assert (
        abs(float(ssim(NOISY, TRUTH, 1.0)[0]) - theirs(NOISY[0], TRUTH[0], data_range=2.0)) > 0.01
    )


def test_units_do_not_matter():
    to_one = [(x + 1) / 2 for x in (NOISY, TRUTH)]
    torch.testing.assert_close(psnr(*to_one, 1.0), psnr(NOISY, TRUTH), rtol=1e-10, atol=0)
    # SSIM's constants make it depend on the offset of the means, as its authors defined it
    assert float(psnr(TRUTH[0], TRUTH[0])) == math.inf


def test_alignment_is_the_best_of_all_equivalents():
    truth = Stream(1).normal((3, 2, 5, 4), "truth")
    estimate = Stream(2).normal((3, 2, 5, 4), "estimate")
    found = align(estimate, truth, flip=True, shift=True)
    for k in range(3):
        options = [
            s * (estimate[k].flip(-2, -1) if f else estimate[k]).roll((i, j), (-2, -1))
            for s, f, i, j in itertools.product((1, -1), (0, 1), range(5), range(4))
        ]
        best = min(options, key=lambda x: float((x - truth[k]).square().sum()))
        assert torch.equal(found[k], best)
    plain = align(estimate, truth, sign=False)
    assert torch.equal(plain, estimate)


def test_channels_measured_apart_are_aligned_apart():
    signs = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)[:, None, None]
    other = signs * TRUTH[0]
    assert torch.equal(align(other, TRUTH[0], by_channel=True), TRUTH[0])
    assert not torch.equal(align(other, TRUTH[0]), TRUTH[0])  # one sign does not do


def test_only_allowed_ambiguities_are_resolved():
    turned = -TRUTH[0].flip(-2, -1)
    assert torch.equal(align(turned, TRUTH[0], flip=True), TRUTH[0])
    assert float(psnr(align(turned, TRUTH[0]), TRUTH[0])) < 20


def test_bad_images_are_refused():
    with pytest.raises(InputError, match=r"estimate has shape \[3, 80, 70\], expected"):
        psnr(NOISY[0], TRUTH)
    with pytest.raises(InputError, match="at least 11 x 11"):
        ssim(NOISY[..., :8], TRUTH[..., :8])
    with pytest.raises(InputError, match="NaN or infinite"):
        psnr(NOISY * math.nan, TRUTH)
    with pytest.raises(InputError, match="size is 90 x 4"):
        centre_crop(TRUTH, (90, 4))
