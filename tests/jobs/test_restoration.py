"""Recovering and calibrating from the command line: files, resume, report, exit codes."""

import json

import numpy as np
import pytest
import torch

import wellposed as wp
from wellposed.cli import main
from wellposed.io import read_picture, write_picture
from wellposed.jobs import budget, calibrate, verdicts
from wellposed.jobs.again import resume
from wellposed.priors.network import NetworkPrior
from wellposed.rng import Stream
from wellposed.run import Status
from wellposed.task import Account
from wellposed.uncertainty import Evaluations, Posterior


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "<b>bold & grey.png"
    at = np.linspace(-1, 1, 32)
    write_picture(path, np.exp(-3 * (at[:, None] ** 2 + 2 * at**2)))
    return path


def words(picture, out, *more):
    asked = [
        "--operator",
        "superresolve:2",
        "--prior",
        "fashion",
        "--draws",
        "2",
        "--budget",
        "8",
        "--simulate",
    ]
    return ["recover", str(picture), *asked, "--out", str(out), *more]


@pytest.fixture(scope="module")
def run(picture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "first"
    assert main(words(picture, folder)) == 0
    return folder


def test_the_folder_holds_draws_mean_and_intervals(run, picture):
    arrays = np.load(run / "recovered.npz")
    assert arrays["draws"].shape == (2, 32, 32)
    np.testing.assert_allclose(arrays["mean"], arrays["draws"].mean(0), atol=1e-6)
    assert (arrays["low"] <= arrays["high"]).all()
    np.testing.assert_allclose(arrays["truth"], read_picture(picture).values, atol=1e-6)
    written = read_picture(run / "mean.png").values
    assert np.abs(written - arrays["mean"].clip(0, 1)).max() <= 0.51 / 255
    summary = json.loads((run / "summary.json").read_text())
    assert summary["settings"]["evaluations"]["denoiser"] == 7
    assert summary["units"] == {
        "files and command line": "0 black, 1 white",
        "prior and run folders": "-1 black, 1 white",
    }
    error = ((2 * arrays["mean"] - 2 * arrays["truth"]) ** 2).mean()
    assert summary["scores"]["psnr_mean"] == pytest.approx(10 * np.log10(4 / error), abs=1e-3)


def test_the_report_shows_everything_and_escapes_names(run):
    html = (run / "report.html").read_text()
    told = (
        "From the measurement to the picture", "Draws", "How sure it is", "Against the truth",
        "Do the draws agree with the data?", "How the chains did", "2 draws are few",
        "wellposed recover",
    )  # fmt: skip
    for part in told:
        assert part in html
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold &amp; grey.png" in html
    assert "http" not in html.replace("http://www.w3.org", "").replace("http-equiv", "")


def test_the_same_job_gives_the_same_draws_and_a_finished_one_is_read_back(run, picture, tmp_path):
    assert main(words(picture, tmp_path / "again")) == 0
    first, second = (np.load(f / "recovered.npz")["draws"] for f in (run, tmp_path / "again"))
    assert np.array_equal(first, second)
    assert main(words(picture, tmp_path / "again")) == 0
    assert main(["report", str(run)]) == 0
    assert main(words(picture, run, "--seed", "1")) == 2  # another job


def test_an_interrupted_run_goes_on_to_the_same_draws(run, picture, tmp_path, monkeypatch, capsys):
    calls, original = [], NetworkPrior.denoise

    def stopped(self, z, sigma):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return original(self, z, sigma)

    monkeypatch.setattr(NetworkPrior, "denoise", stopped)
    folder = tmp_path / "broken"
    assert main(words(picture, folder)) == 4
    monkeypatch.undo()
    done = resume(folder)
    assert done.ok
    first, second = (np.load(f / "recovered.npz")["draws"] for f in (run, folder))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("more", "told"), [
    (("--operator", "superresolve:x"), "which cannot be read"),
    (("--noise", "gaussian:-1"), "expected gaussian"),
    (("--prior", "nowhere"), "there is no prior"),
    (("--draws", "0"), "draws is 0"),
    (("--budget", "3"), "budget is 3"),
    (("--operator", "inpaint:missing.png"), "missing.png"),
    (("--prior", "photo", "--operator", "onebit:0.2", "--noise", "gaussian:0.1"), "bits have no"),
])  # fmt: skip
def test_bad_requests_leave_nothing_behind(picture, tmp_path, more, told, capsys):
    words_ = words(picture, tmp_path / "bad")
    for key, value in zip(more[::2], more[1::2], strict=True):
        if key in words_:
            words_[words_.index(key) + 1] = value
        else:
            words_ += [key, value]
    assert main(words_) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()


def test_measured_magnitudes_are_recovered_with_the_code_that_a_simulation_left(picture, tmp_path):
    made, again = tmp_path / "made", tmp_path / "again"
    words_ = [{"superresolve:2": "phase:4", "8": "30"}.get(w, w) for w in words(picture, made)]
    assert main(words_) == 0
    code = f"phase:4:{made / 'code.npy'}"
    words_ = [code if w == "phase:4" else w for w in words_ if w != "--simulate"]
    words_[1], words_[words_.index("--out") + 1] = str(made / "measured.npy"), str(again)
    assert main(words_) == 0
    first, second = (np.load(f / "recovered.npz")["draws"] for f in (made, again))
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_half_of_a_budget_is_for_the_search_where_the_operator_is_not_linear():
    frame, law = (1, 4, 4), wp.noise.Gaussian(0.1)
    phase = wp.operators.PhaseRetrieval(torch.ones(4, 4), 4.0, frame)
    prior = wp.Gaussian(torch.zeros(frame), 1.0)
    for look, search in ((phase, 80), (wp.operators.Identity(frame), 0)):
        problem = wp.Problem(torch.ones(look.shape_out), look, law)
        method = budget.named("dpnp", 160, budget.seeking(problem))
        assert method.search == search
        assert 150 < budget.evaluations(method, problem, prior) <= 160


def test_size_needs_a_simulation(picture, tmp_path, capsys):
    words_ = [w for w in words(picture, tmp_path / "bad", "--size", "16") if w != "--simulate"]
    assert main(words_) == 2
    assert "cannot be cropped" in capsys.readouterr().err


def posterior(**fields):
    basis = {"draws": torch.zeros(8, 1, 4, 4), "evaluations": Evaluations(8),
             "status": Status.COMPLETE}  # fmt: skip
    return Posterior(**(basis | fields))


def chains(sweeps, apart):
    white = torch.randn(sweeps, 8, 1, generator=torch.Generator().manual_seed(0))
    table = white + apart * torch.arange(8.0)[:, None]
    return Account(summaries=table.double(), names=("rms",))


def test_exit_code_3_is_for_what_went_wrong_and_not_for_few_draws():
    assert verdicts.judged(posterior(), None, 2)[0] == "complete"
    assert "few" in verdicts.judged(posterior(), None, 2)[2][0]
    assert verdicts.judged(posterior(status=Status.DIVERGED), None, 8)[0] == "diverged"
    for share, status in ((0.05, "max_steps"), (0.57, "complete"), (0.99, "max_steps")):
        assert verdicts.judged(posterior(acceptance=share), None, 8)[0] == status
    apart = posterior(account=chains(40, 3.0))
    status, text, _ = verdicts.judged(apart, None, 8)
    assert status == "max_steps"
    assert "R-hat" in text
    assert verdicts.judged(posterior(account=chains(40, 0.0)), None, 8)[0] == "complete"
    short = verdicts.judged(posterior(account=chains(8, 3.0)), None, 8)
    assert short[0] == "complete"
    assert "R-hat" in short[2][0]


def calibration(tmp_path, monkeypatch, *more):
    """Calibrate a prior whose posterior DPnP draws from exactly, but for the couplings."""
    prior = wp.Gaussian(torch.zeros(1, 8, 8), 0.2)
    monkeypatch.setattr(calibrate, "load_prior", lambda name: prior)
    asked = ["calibrate", "--operator", "inpaint:0.5", "--repeats", "20", "--draws", "4", *more]
    code = main([*asked, "--out", str(tmp_path / "c")])
    return code, json.loads((tmp_path / "c" / "summary.json").read_text())


def test_calibrate_tells_what_it_found(tmp_path, monkeypatch, capsys):
    code, summary = calibration(tmp_path, monkeypatch)
    assert code == 0
    assert summary["calibration"]["ok"]
    assert summary["calibration"]["mean_ratio"] < 1.3
    assert "90 % intervals hold" in capsys.readouterr().out
    html = (tmp_path / "c" / "report.html").read_text()
    assert "Does the uncertainty hold?" in html
    assert "Test by test" in html
    kept = sorted(p.stem for p in (tmp_path / "c" / "stages").iterdir())
    assert kept == ["signals", *(f"trials-{first:05d}" for first in range(0, 20, 4))]


def test_calibrate_exits_with_3_where_the_uncertainty_does_not_hold(tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "truths.npy", np.full((20, 8, 8), 0.97))  # nothing like the prior's draws
    code, summary = calibration(
        tmp_path, monkeypatch, "--truths", str(tmp_path / "truths.npy"), "--budget", "20"
    )
    assert code == 3
    assert "coverage" in summary["calibration"]["failures"]
    assert "over-confident" in capsys.readouterr().out


def test_data_that_the_draws_do_not_explain_are_told():
    law = wp.Gaussian(torch.zeros(1, 8, 8), 0.2)
    look, noise = wp.operators.Identity((1, 8, 8)), wp.noise.Gaussian(0.1)
    truth = law.sample(1, seed=9)[0]
    y = noise.simulate(truth, Stream(4))
    for scale, sign in ((0.1, 0), (0.05, -1), (0.3, 1)):
        problem = wp.Problem(y, look, wp.noise.Gaussian(scale))
        draws = law.posterior(wp.Problem(y, look, noise)).sample(12, seed=1)
        fit = verdicts.fit_of(problem, draws, 0)
        told = " ".join(verdicts.judged(posterior(), fit, 12)[2])
        assert ("further" in told, "nearer" in told) == (sign < 0, sign > 0)
    exact = verdicts.fit_of(wp.Problem(y, look, noise), draws, 0)
    assert exact["residual"] == pytest.approx(1, abs=0.25)
