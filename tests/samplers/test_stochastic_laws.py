"""Stochastic samplers on Gaussian data, where their law is known in closed form.

On N(m, c) every map is affine, so mean and variance follow a recursion. One step of each
sampler is compared with the formula of its paper written out by hand; whole walks of shipped
draws with the recursion, within four standard errors (false alarms: 6e-5 a comparison).
"""

import math

import pytest
import torch
from sampler_cases import bumps, draw, gaussian, noise, pushed, rms, slope

from wellposed.priors import Gaussian
from wellposed.samplers.accelerated_sde import AcceleratedSDE
from wellposed.samplers.annealed_langevin import AnnealedLangevin
from wellposed.samplers.chain_score import look
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.heun import Heun
from wellposed.samplers.langevin import ULA
from wellposed.samplers.ou import ExponentialOU
from wellposed.schedules import Chain, log_snr_chain
from wellposed.schedules.grids import log_uniform
from wellposed.task import Task

MEAN, VARIANCE = 0.4, 0.5
PAIR = torch.tensor([1.5, 0.6], dtype=torch.float64)  # a single step
BEFORE = (0.3, 1.7)  # some Gaussian law of y before the step


class Step:
    """One step between the levels of PAIR, in the letters of the papers."""

    def __init__(self):
        chain = Chain.from_sigmas(PAIR)
        self.alpha, self.beta = chain.alpha[1], chain.beta[1]
        self.bar, self.bar_to = chain.alpha_bar[1], chain.alpha_bar[0]
        self.law = self.bar * VARIANCE + 1 - self.bar  # variance of X_t
        self.centre = self.bar**0.5 * MEAN

    def after(self, score_weight, keep, added):
        """Law of keep y + score_weight s(y) + added noise, s(y) = (centre - y) / law."""
        mean, variance = BEFORE
        factor = keep - score_weight / self.law
        return factor * mean + score_weight / self.law * self.centre, factor**2 * variance + added


def ddpm(choice):
    at = Step()
    root = at.alpha**0.5
    added = {
        "beta": at.beta,
        "scaled": at.beta / at.alpha,
        "posterior": at.beta * (1 - at.bar_to) / (1 - at.bar),
    }[choice]
    return at.after(at.beta / root, 1 / root, added)


def accelerated():
    at = Step()
    mean, variance = at.after(at.beta / at.alpha**0.5, at.alpha**-0.5, 0)
    factor = (1 - at.beta / at.law) / at.alpha**0.5
    return mean, variance + (factor**2 + 1 / at.alpha) * at.beta / 2


def ou():
    at = Step()
    h = math.log(at.alpha**-0.5)
    return at.after(2 * (math.exp(h) - 1), math.exp(h), math.exp(2 * h) - 1)


def ddim(eta):
    high, low = PAIR.tolist()
    mean, variance = BEFORE
    kept = VARIANCE / (VARIANCE + high**2)  # D = MEAN + kept (z - MEAN)
    added = eta**2 * low**2 * (high**2 - low**2) / high**2
    share = (low**2 - added) ** 0.5 / high
    factor = kept + share * (1 - kept)
    return MEAN + factor * (mean - MEAN), factor**2 * variance + added


def heun(churn):
    high, low = PAIR.tolist()
    mean, variance = BEFORE
    up = high * (1 + min(churn, 2**0.5 - 1))
    variance += 0.9**2 * (up**2 - high**2)

    def rate(s):  # (z - D) / sigma = rate (z - MEAN)
        return s / (VARIANCE + s**2)

    euler = 1 + (low - up) * rate(up)
    factor = 1 + (low - up) / 2 * (rate(up) + euler * rate(low))
    return MEAN + factor * (mean - MEAN), factor**2 * variance


def ula(eta, sigma):
    mean, variance = BEFORE
    factor = 1 - eta / (VARIANCE + sigma**2)
    return MEAN + factor * (mean - MEAN), factor**2 * variance + 2 * eta


def annealed(moves, share):
    low = float(PAIR[1])
    mean, variance = BEFORE
    for _ in range(moves):
        factor = 1 - share * low**2 / (VARIANCE + low**2)
        mean, variance = MEAN + factor * (mean - MEAN), factor**2 * variance + 2 * share * low**2
    return mean, variance


ONE_STEP = {
    "ddpm beta": (DDPM(1, "beta"), PAIR, lambda: ddpm("beta")),
    "ddpm scaled": (DDPM(1, "scaled"), PAIR, lambda: ddpm("scaled")),
    "ddpm posterior": (DDPM(1, "posterior"), PAIR, lambda: ddpm("posterior")),
    "accelerated": (AcceleratedSDE(1), PAIR, accelerated),
    "ou": (ExponentialOU(1), PAIR, ou),
    "ddim": (DDIM(1), PAIR, lambda: ddim(0.0)),
    "ddim half": (DDIM(1, eta=0.5), PAIR, lambda: ddim(0.5)),
    "ddim ancestral": (DDIM(1, eta=1.0), PAIR, lambda: ddim(1.0)),
    "heun churned": (Heun(1, churn=0.3, churn_noise=0.9), PAIR, lambda: heun(0.3)),
    "heun churned most": (Heun(1, churn=9.0, churn_noise=0.9), PAIR, lambda: heun(9.0)),
    "ula": (ULA(1, 0.2, sigma=0.3), None, lambda: ula(0.2, 0.3)),
    "annealed": (AnnealedLangevin(1, moves=3, step_size=0.2), PAIR, lambda: annealed(3, 0.2)),
}


def float64(levels):
    return torch.tensor(levels, dtype=torch.float64)


def prepared(method, sigmas):
    return method.prepare(Task(prior=Gaussian([MEAN], VARIANCE), sigmas=sigmas))


@pytest.mark.parametrize("name", ONE_STEP)
def test_one_step_is_the_formula_of_the_paper(name):
    method, sigmas, formula = ONE_STEP[name]
    assert pushed(prepared(method, sigmas), *BEFORE) == pytest.approx(formula(), rel=1e-12)


WALKS = {
    "ddpm beta": DDPM(12), "ddpm scaled": DDPM(12, "scaled"),
    "ddpm posterior": DDPM(12, "posterior"), "accelerated": AcceleratedSDE(12),
    "ou": ExponentialOU(12), "ddim half": DDIM(12, eta=0.5), "ddim ancestral": DDIM(12, eta=1.0),
    "heun churned": Heun(12, churn=4.0), "ula": ULA(12, 0.1, sigma=0.2),
    "annealed": AnnealedLangevin(12, moves=2),
}  # fmt: skip


@pytest.mark.parametrize("name", WALKS)
def test_shipped_draws_have_the_law_of_their_pieces(name):
    method = WALKS[name]
    sigmas = None if name == "ula" else log_uniform(13, 8.0, 0.15)
    plan = prepared(method, sigmas)
    mean, variance = pushed(plan, 0.0, plan.path.std**2)
    x = draw(gaussian(MEAN, VARIANCE), method, 50_000, sigmas=sigmas, seed=5).x
    x = x * plan.path.scales[-1]
    errors = (variance / x.numel()) ** 0.5, variance * (2 / x.numel()) ** 0.5
    assert float(x.mean()) == pytest.approx(mean, abs=4 * errors[0])
    assert float(x.var()) == pytest.approx(variance, abs=4 * errors[1])
    assert abs(float(x.var()) - 1.03 * variance) > 4 * errors[1]  # three percent would be seen


def jvp_step(prior, chain, t, y, n1, n2, sign):
    """The form of the slides: the Jacobian along the noise, written out."""
    beta, alpha = chain.beta[t], chain.alpha[t]
    score, a, sigma = look(prior, chain, y, t).score, chain.a[t], chain.sigma[t]
    along = (prior.denoise_jvp(y / a, sigma, n1) - n1) / (a * sigma) ** 2  # (ds/dy) n1
    half = (beta / 2) ** 0.5
    return (y + half * n1 + half * n2 + beta * (score + sign * half * along)) / alpha**0.5


def test_the_jacobian_free_step_agrees_with_the_jacobian_form_to_second_order():
    prior, y = bumps(), noise(200, 1, 0.9)
    n1, n2 = noise(200, 1, seed=12), noise(200, 1, seed=13)
    betas, gaps, wrong = [0.08, 0.04, 0.02, 0.01], [], []
    for beta in betas:
        chain = Chain.from_sigmas([0.7, ((0.49 - beta) / (1 + beta)) ** 0.5])
        plan = AcceleratedSDE(1).prepare(Task(prior=prior, sigmas=float64(chain.sigma[1::-1])))
        (first, drift, second) = plan.pieces[0]
        free = drift(y + first.std * n1) + second.std * n2
        spread = chain.beta[1]
        betas[len(gaps)] = spread
        gaps.append(rms(free - jvp_step(prior, chain, 1, y, n1, n2, +1)))
        wrong.append(
            float((free - jvp_step(prior, chain, 1, y, n1, n2, -1)).square().mean() ** 0.5)
        )
    assert slope(betas, gaps) == pytest.approx(2, abs=0.1)
    assert slope(betas, wrong) == pytest.approx(1.5, abs=0.1)  # the slide's sign is off by more


def test_the_covariance_of_one_step_is_the_posterior_one_and_the_slide_has_a_wrong_sign():
    # X_{t-1} given X_t = y, for N(0, c) data
    c, chain = 0.3, Chain.from_betas([0.3, 0.035])
    beta, law = chain.beta[2], chain.alpha_bar[2] * c + 1 - chain.alpha_bar[2]
    prior_to = chain.alpha_bar[1] * c + 1 - chain.alpha_bar[1]
    exact = 1 / (1 / prior_to + chain.alpha[2] / beta)
    jacobian = -1 / law

    def variance(sign):
        return beta / 2 * ((1 + sign * beta * jacobian) ** 2 + 1) / chain.alpha[2]

    plan = AcceleratedSDE(2).prepare(
        Task(prior=Gaussian([0.0], c), sigmas=float64(chain.sigma[2::-1]))
    )
    shipped = pushed(plan._replace(pieces=plan.pieces[:1]), 0.0, 0.0)[1]
    assert shipped == pytest.approx(variance(+1), rel=1e-12)
    assert abs(shipped / exact - 1) < 0.01
    assert abs(beta / exact - 1) > 0.01  # DDPM's sqrt(beta)
    assert abs(variance(-1) / exact - 1) > 0.05  # the display of the slide


@pytest.mark.parametrize(
    ("method", "order"),
    [(DDPM(), 1), (DDPM(variance="scaled"), 1), (DDPM(variance="posterior"), 1),
     (ExponentialOU(), 1), (DDIM(eta=1.0), 1), (AcceleratedSDE(), 2)],
    ids=str,
)  # fmt: skip
def test_the_variance_converges_at_the_known_order_on_gaussian_data(method, order):
    steps, errors = (100, 200, 400, 800), []
    for count in steps:
        chain = log_snr_chain(count)
        sigmas = float64(chain.sigma[-2::-1])
        plan = prepared(type(method)(**{**vars(method), "steps": count}), sigmas)
        a, sigma = plan.path.scales[0], plan.path.levels[0]
        _, got = pushed(plan, a * MEAN, a**2 * (VARIANCE + sigma**2))
        errors.append(abs(got / plan.path.scales[-1] ** 2 - VARIANCE - plan.path.levels[-1] ** 2))
    assert slope(steps, errors) == pytest.approx(-order, abs=0.1)
