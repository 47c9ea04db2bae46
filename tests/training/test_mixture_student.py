"""Means learnt by the denoising objective: the student's law, power iteration, EM."""

import torch
from benchmarks import mixture_student as student

from wellposed.priors import GaussianMixture
from wellposed.rng import Stream
from wellposed.training.mixture_student import MixtureStudent


def test_the_student_is_the_denoiser_of_its_mixture():
    means = Stream(2).normal((3, 4), "means")
    z, sigma = 2 * Stream(2).normal((50, 4), "z"), Stream(2).uniform((50,), "sigma") + 0.2
    student, exact = MixtureStudent(means), GaussianMixture([1 / 3] * 3, means, 1.0)
    torch.testing.assert_close(student(z, sigma).detach(), exact.denoise(z, sigma))
    pair = MixtureStudent(means[:1], symmetric=True)
    both = GaussianMixture([0.5, 0.5], torch.stack([means[0], -means[0]]), 1.0)
    torch.testing.assert_close(pair(z, sigma).detach(), both.denoise(z, sigma))


def test_the_student_takes_oja_steps_first_and_ends_as_em_does():
    """One seed, a quarter of the points of ``benchmarks mixture_student``."""
    mu, points = student.pair(2.0, 20, 4000, seed=7)
    assert student.cosine_with_oja(points, seed=7, draws=10) >= 0.99
    between, end = student.learn_pair(points, seed=7)
    em = student.em_pair(points, between)
    assert student.up_to_sign(end, mu) <= 1.2 * student.up_to_sign(em, mu)
    assert student.up_to_sign(between + 0.3, mu) > 1.2 * student.up_to_sign(em, mu)  # is seen
