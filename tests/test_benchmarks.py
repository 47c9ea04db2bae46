"""The benchmarks can be called, and their helpers measure what they say."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import (
    common,
    demos_lowrank,
    figures,
    icml23,
    instances,
    jmlr21,
    jmlr22,
    plots,
    runs,
    tensor_rpca,
    tsp21,
)
from benchmarks.alignment import Balanced, aligned_distance, balanced, rotated_distance
from benchmarks.baselines import ThresholdedGD

import wellposed as wp
from wellposed.lowrank.gradient_descent import GradientDescent
from wellposed.lowrank.setting import Factors, singular_values
from wellposed.rng import Stream
from wellposed.task import Task

ROOT = Path(__file__).parents[1]
DOUBLE = torch.float64
MODULES = {
    "jmlr21": jmlr21,
    "jmlr22": jmlr22,
    "tsp21": tsp21,
    "icml23": icml23,
    "demos_lowrank": demos_lowrank,
    "tensor_rpca": tensor_rpca,
}
PIECES = [(name, key) for name, module in MODULES.items() for key in module.FIGURES]


def strict(text):
    """Read JSON that every reader can."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def results(tmp_path, monkeypatch):
    for module in (common, plots):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", command.names())
def test_every_benchmark_can_be_called(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_helpers_exist_and_are_no_benchmarks():
    assert {"jmlr21", "tsp21", "icml23", "peers_lowrank", "large_table"} <= set(command.names())
    for name in command.HELPERS - {"__main__"}:
        assert not hasattr(importlib.import_module(f"benchmarks.{name}"), "main")


def test_the_command_lists_the_names():
    asked = [sys.executable, "-m", "benchmarks"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "jmlr21" in done.stderr
    assert "instances" not in done.stderr


@pytest.mark.parametrize(("name", "key"), PIECES)
def test_smallest_piece(name, key, monkeypatch):
    monkeypatch.setattr(demos_lowrank, "chlorine_matrix", lambda: Stream(0).normal((20, 15), "x"))
    figure = MODULES[name].FIGURES[key]("tiny", 0)
    lines = [line for panel in figure.panels for line in panel.lines]
    assert len(lines) > 1
    assert all(len(line.x) == len(line.y) > 0 for line in lines)


@pytest.mark.parametrize(
    ("name", "key"),
    [("jmlr21", "4"), ("tsp21", "2"), ("icml23", "noise"), ("demos_lowrank", "unbalanced")],
)
def test_a_command_prints_and_writes(name, key, results, capsys):
    MODULES[name].main([key, "--tiny"])
    found = strict((results / f"{name}_{key}_tiny.json").read_text())
    assert found["size"] == "tiny"
    assert found["title"] in capsys.readouterr().out
    assert (results / f"{name}_{key}_tiny.png").stat().st_size > 5_000


def test_an_unknown_figure_is_refused(results, capsys):
    with pytest.raises(SystemExit):
        jmlr21.main(["7"])
    assert "take of 2, 2s, 3, 4, 5, 6" in capsys.readouterr().err


def test_without_chlorine_the_command_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path))
    with pytest.raises(SystemExit, match=r"datasets\.load\('chlorine'\)"):
        demos_lowrank.main(["chlorine"])


def test_large_table_smallest_piece():
    large_table = importlib.import_module("benchmarks.large_table")
    found = large_table.fit(200, 150, 2, 2.0, 9000, 0)
    assert found["held_out_relative_error"] < 1e-3
    assert large_table.step_seconds(60, 50, 2, 900, 0) > 0


def test_peers_smallest_piece():
    peers = importlib.import_module("benchmarks.peers_lowrank")
    case = instances.completion(60, 2, 0.5)
    curve = peers.ours(case.problem, case.prior, wp.ScaledGD(), 60)
    errors = [(at, peers.relative_error_of(value, case.truth)) for at, value in curve]
    assert 0 < peers.seconds_to(errors, 1e-6) <= curve[-1][0]
    assert peers.seconds_to(errors, 0.0) == float("inf")


def test_blocks_are_hidden_whole():
    peers = importlib.import_module("benchmarks.peers_tensors")
    mask = peers.by_blocks((20, 19, 30), (8, 8, 10), 0.5, 3)
    assert mask.shape == (20, 19, 30)
    inside = mask[:16, :16].reshape(2, 8, 2, 8, 3, 10)
    assert torch.equal(inside, inside[:, :1, :, :1, :, :1].expand_as(inside))
    assert 0 < mask[:16, :16].sum() < mask[:16, :16].numel()
    assert set(peers.PARTS) == {"synthetic", "rpca", "pines", "blocks"}


def test_a_synthetic_material_is_what_it_says():
    study = importlib.import_module("benchmarks.real_tensors")
    stack, mask = study.layered(1, count=40, side=32)
    assert stack.shape == mask.shape == (40, 32, 32)
    low = study.tensor_background(stack, (2, 32, 32))
    found = np.abs(stack - low) > 0.075  # half of the faintest inclusion
    assert study.f1(found, mask) > 0.9
    assert study.f1(np.roll(found, 5, 1), mask) < 0.3
    clip = np.full((6, 30, 40, 3), 0.4)
    laid, squares = study.overlaid(clip[0], clip, 3)  # in colour
    assert np.array_equal(np.abs(laid - clip).max(-1) > 49 / 255, squares)


# Learned priors


def test_a_learned_score_is_bad_where_the_density_is_low():
    score_map = importlib.import_module("benchmarks.score_map")
    law = score_map.ring()
    prior = score_map.learned(law, 500, 150, seed=1)
    found = {one.sigma: one.correlation for one in score_map.maps(law, prior, side=21)}
    assert found[0.05] < -0.5
    assert found[0.3] < -0.5

    def evenly_wrong(z, sigma):
        size = 1.5 + torch.sin(37 * z[:, :1] + 91 * z[:, 1:])
        return law.denoise(z, sigma) + 0.1 * sigma[:, None] ** 2 * size

    control = score_map.maps(law, wp.Denoiser(evenly_wrong, (2,)), side=21)
    assert all(abs(one.correlation) < 0.2 for one in control)  # 4 standard errors: 0.19


def test_the_judge_of_clothes_learns_classes():
    judge = importlib.import_module("benchmarks.fashion_classifier")
    draw = Stream(0)
    labels = torch.arange(640) % 10
    x = 0.3 * draw.normal((640, 1, 32, 32), "noise", dtype=torch.float32) - 0.7
    for k in range(10):  # a bright row a class
        x[labels == k, :, 3 * k : 3 * k + 3] += 1.0
    network = judge.train(x, labels, passes=3)
    assert judge.accuracy(network, x, labels) > 0.9
    assert judge.accuracy(network, x, (labels + 1) % 10) < 0.1
    assert judge.images(np.zeros((2, 28, 28), np.uint8)).shape == (2, 1, 32, 32)


def test_scores_of_clothes_tell_good_draws_from_bad(results, monkeypatch):
    study = importlib.import_module("benchmarks.fashion_prior")
    judge = importlib.import_module("benchmarks.fashion_classifier")
    monkeypatch.setattr(study, "RESULTS", results)
    monkeypatch.setattr(study, "PAIRS", 60)
    draw = Stream(0)
    torch.manual_seed(0)
    network = judge.Classifier().eval().requires_grad_(False)
    real, same = (0.2 * draw.normal((100, 1, 32, 32), name, dtype=torch.float32) for name in "ab")
    good, bad = (study.compared(network, x, real) for x in (same, same + 0.5))
    assert good["frechet"] < 0.1 * bad["frechet"]
    assert good["mmd"] < bad["mmd"]
    assert good["precision"] > bad["precision"]
    pixels = study.gaussian_pixels(real[:, :, :4, :4], 4000)
    torch.testing.assert_close(pixels.var(0).mean(), torch.tensor(0.04), rtol=0.1, atol=0.0)
    prior = wp.Gaussian(torch.zeros(1, 8, 8), 0.25)
    found = study.few_evaluations(prior, count=8)
    assert len(found) == 4
    study.show_few(found, "few")
    assert (results / "few.png").stat().st_size > 5_000
    assert torch.equal(study.drawn("tiny", prior, 16), study.drawn("tiny", prior, 16))


# What a run reports


def test_a_run_starts_at_the_start_and_ends_at_rounding():
    case = instances.completion(60, 2, 0.5)
    found = runs.run(case, wp.ScaledGD(), 500)
    plan = wp.ScaledGD().prepare(Task(case.problem, case.prior, dtype=DOUBLE))
    state = wp.ScaledGD().init(plan, Stream(0))
    by_hand = [case.error(Factors(state.left, state.right))]
    for _ in range(5):
        state = wp.ScaledGD().step(plan, state)
        by_hand.append(case.error(Factors(state.left, state.right)))
    np.testing.assert_allclose(found.errors[:6], by_hand, rtol=1e-12)
    assert found.errors[-1] < case.rounding
    assert len(found.errors) < 300
    assert found.seconds[-1] > found.seconds[0]
    assert len(found.seconds) == len(found.errors)


def test_seconds_leave_the_measuring_out():
    case = instances.completion(30, 2, 0.5)

    def slow(value):
        runs.time.sleep(0.02)
        return case.error(value)

    found = runs.run(case._replace(error=slow), wp.ScaledGD(), 20)
    assert found.seconds[-1] < 20 * 0.02


def test_a_diverging_run_ends():
    case = instances.completion(30, 2, 0.5)
    found = runs.run(case, GradientDescent(), 500, change=lambda s: s._replace(size=100 * s.size))
    assert len(found.errors) < 100
    assert not found.errors[-1] < 1


def test_slope_and_counts_of_a_geometric_descent():
    errors = 10 ** (-0.1 * np.arange(160.0))
    assert figures.slope(errors) == pytest.approx(-0.1, rel=1e-9)
    assert figures.slope(np.maximum(errors, 1e-4)) == pytest.approx(-0.1, rel=1e-9)  # not its floor
    assert np.isnan(figures.slope(np.ones(50)))
    panel = plots.Panel("", [plots.Line("M", "v", np.arange(160), errors)])
    assert figures.table(panel)[1].split()[2:5] == ["31", "61", "101"]


# Instances


@pytest.mark.parametrize("kappa", [1.0, 10.0])
def test_truths_have_the_singular_values_that_were_asked_for(kappa):
    wanted = torch.linspace(1, 1 / kappa, 3, dtype=DOUBLE)
    for case in (
        instances.sensing(12, 3, 50, kappa),
        instances.completion(20, 3, 0.5, kappa),
        instances.separation(20, 3, 0.1, kappa),
        instances.quadratic(12, 3, 50, kappa),
        instances.semidefinite_sensing(12, 3, 50, kappa, columns=5),
    ):
        torch.testing.assert_close(singular_values(case.truth), wanted)
    lift = instances.spectral(40, 6, 0.5, kappa).truth.left
    pairs = torch.linalg.svdvals(lift)
    torch.testing.assert_close(pairs[:6], wanted.repeat_interleave(2))
    assert pairs[6] < 1e-12


def test_symmetric_truths_only_where_asked():
    for case, same in (
        (instances.completion(20, 2, 0.5, symmetric=True), True),
        (instances.completion(20, 2, 0.5), False),
    ):
        matrix = case.truth.left @ case.truth.right.T
        assert torch.allclose(matrix, matrix.T) is same


def test_errors_have_the_size_that_was_asked_for():
    clean = torch.ones(20_000, dtype=DOUBLE)
    noise = instances.errors_of(clean, 0, snr=100.0)
    assert float(noise.std()) == pytest.approx(0.01, rel=0.02)  # 4 standard errors: 0.02
    gross = instances.errors_of(clean, 0, outliers=0.2)
    assert int((gross != 0).sum()) == 4000
    assert float(gross.abs().max()) <= 10
    assert not instances.errors_of(clean, 0).any()
    case = instances.sensing(10, 2, 100, outliers=0.2)
    assert case.deviation == pytest.approx(float((case.problem.y - case.clean).abs().sum()))


def test_thresholded_gd_takes_the_step_it_states():
    case = instances.separation(12, 2, 0.2, 3.0)
    method = ThresholdedGD()
    plan = method.prepare(Task(case.problem, case.prior, dtype=DOUBLE))
    state = method.init(plan, Stream(0))
    left, right, y = (t.numpy() for t in (state.left, state.right, case.problem.y))
    off = left @ right.T - y
    rows = np.sort(abs(off), 1)[:, -4:].min(1, keepdims=True)  # two fifths of twelve
    cols = np.sort(abs(off), 0)[-4:].min(0, keepdims=True)
    z = np.where((abs(off) >= rows) & (abs(off) >= cols), 0.0, off)
    size = 0.5 / np.linalg.norm(left, 2) ** 2
    new = method.step(plan, state)
    np.testing.assert_allclose(new.left, left - size * z @ right, atol=1e-14)
    np.testing.assert_allclose(new.right, right - size * z.T @ left, atol=1e-14)


# The aligned distance


def random_pair(seed, n1=9, n2=7, rank=3):
    stream = Stream(seed)
    return Factors(stream.normal((n1, rank), "left"), stream.normal((n2, rank), "right"))


def test_balanced_factors_keep_the_product():
    pair = random_pair(0)
    true = balanced(pair)
    torch.testing.assert_close(true.left @ true.right.T, pair.left @ pair.right.T)
    for factor in (true.left, true.right):
        torch.testing.assert_close(factor.T @ factor, torch.diag(true.values))


def test_aligned_distance_sees_products_only():
    true = balanced(random_pair(0))
    near = Factors(true.left + 1e-3 * random_pair(1).left, true.right + 1e-3 * random_pair(1).right)
    q = Stream(2).normal((3, 3), "mix")
    mixed = Factors(near.left @ q, near.right @ torch.linalg.inv(q).T)
    assert (
        aligned_distance(Factors(true.left @ q, true.right @ torch.linalg.inv(q).T), true) < 1e-12
    )
    assert aligned_distance(mixed, true) == pytest.approx(aligned_distance(near, true), rel=1e-8)
    assert rotated_distance(mixed, true) > 100 * rotated_distance(near, true)  # rotations do not do


def test_aligned_distance_of_rank_one_by_search():
    true = balanced(random_pair(3, rank=1))
    pair = random_pair(4, rank=1)
    pair = Factors(true.left + 0.2 * pair.left, true.right + 0.2 * pair.right)
    scales = torch.linspace(0.2, 3.0, 400_001, dtype=DOUBLE)
    left = (pair.left * scales - true.left).square().sum(0)
    right = (pair.right / scales - true.right).square().sum(0)
    least = float(((left + right) * true.values).min().sqrt())
    assert aligned_distance(pair, true) == pytest.approx(least, rel=1e-8)


def test_aligned_distance_is_stationary():
    true, pair = balanced(random_pair(5)), random_pair(6)
    pair = Factors(true.left + 0.1 * pair.left, true.right + 0.1 * pair.right)
    least = aligned_distance(pair, true)
    for seed in range(20):
        q = torch.eye(3, dtype=DOUBLE) + 0.02 * Stream(seed).normal((3, 3), "q")
        assert distance_at(pair, true, q) >= least


def distance_at(pair: Factors, true: Balanced, q: torch.Tensor) -> float:
    root = true.values.sqrt()
    left = (pair.left @ q - true.left) * root
    right = (pair.right @ torch.linalg.inv(q).T - true.right) * root
    return float(torch.cat([left, right]).norm())
