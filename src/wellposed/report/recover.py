"""The report of a recovered picture: what was measured, what it may have been, how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellposed.io.arrays import read_npz
from wellposed.io.source import Limits
from wellposed.jobs.specs import parse_noise, parse_operator
from wellposed.report.calibrate import calibration_section
from wellposed.report.common import asked, made_with
from wellposed.report.model import (
    Figure,
    Page,
    Section,
    Source,
    Table,
    Tile,
    number,
    percent,
    tone_of,
)
from wellposed.report.pictures import heat_map, shown

DRAWS = 8  # shown
Arrays = Mapping[str, NDArray[Any]]


def recover_page(source: Source) -> Page:
    """Build the page of a recover job."""
    summary = source.summary
    return Page(
        "Recovered picture",
        summary["picture"]["name"],
        subtitle(summary),
        summary["status_text"],
        tone_of(summary["status"]),
        tiles(summary),
        summary["warnings"],
        [*findings(source), asked(source), made_with(source)],
    )


def findings(source: Source) -> list[Section]:
    """Return the sections that show what was found."""
    arrays = read_npz(source.folder / "recovered.npz", Limits(bytes=2**34))
    summary = source.summary
    sections = [_pictures(arrays), _draws(arrays), _spread(arrays, summary)]
    if summary["scores"] is not None:
        sections.append(_scores(summary["scores"]))
    sections += [_fit(summary), _mixing(summary)]
    if summary["calibration"] is not None:
        sections.append(calibration_section(summary["calibration"], "recover"))
    return [s for s in sections if s is not None]


def subtitle(summary: Mapping[str, Any]) -> str:
    """Say what was measured and how."""
    picture, settings = summary["picture"], summary["settings"]
    made = "simulated from the picture" if picture["simulated"] else "measured"
    return (
        f"{model_in_words(settings['operator'], settings['noise'])}, {made}: "
        f"{number(picture['numbers_measured'])} numbers for the "
        f"{number(picture['numbers_sought'])} of {picture['width']} × {picture['height']} pixels."
    )


def model_in_words(operator: str, noise: str) -> str:
    """Write a forward model and its noise for people.

    Examples
    --------
    >>> model_in_words("superresolve:4", "gaussian:0.05")
    'Super-resolution 4 ×, Gaussian noise of 0.05'
    >>> model_in_words("onebit:0.4", "none")
    'One bit a pixel, dither 0.4'
    """
    spec, law = parse_operator(operator), parse_noise(noise)
    numbers = [number(x) for x in spec.numbers]
    told = {
        "denoise": "Denoising",
        "inpaint": f"Inpainting ({spec.path or percent(spec.numbers[0]) + ' missing'})"
        if spec.kind == "inpaint"
        else "",
        "superresolve": f"Super-resolution {' '.join(numbers)} ×",
        "gaussian": f"Gaussian blur of {' '.join(numbers)} pixels",
        "motion": f"Motion blur, {' pixels at '.join(numbers)}°",
        "kernel": f"Blur by {spec.path}",
        "phase": f"Phase retrieval, oversampled {' '.join(numbers)} ×",
        "onebit": f"One bit a pixel, dither {' '.join(numbers)}",
    }[spec.kind]
    if law.kind == "none":
        return told
    return f"{told}, {law.kind.capitalize()} noise of {number(law.scale)}"


def tiles(summary: Mapping[str, Any]) -> list[Tile]:
    """Return the key figures."""
    settings, spread, scores = summary["settings"], summary["uncertainty"], summary["scores"]
    cost = number(settings["evaluations"]["denoiser"])
    found = [Tile("Draws", number(settings["draws"]), f"{cost} denoiser evaluations each")]
    if spread is not None:
        note = "root mean square; black 0, white 1"
        found.append(Tile("Standard deviation", number(spread["std"], 2), note))
    if scores is not None:
        note = f"a single draw: {scores['psnr_draw']:.1f} dB"
        found.append(Tile("PSNR of the mean", f"{scores['psnr_mean']:.1f} dB", note))
        expected = percent(scores["inside_expected"])
        found.append(Tile("Truth inside", percent(scores["inside"]), f"{expected} if exact"))
    fit = summary["fit"]
    if fit is not None and fit["residual"] is not None:
        found.append(Tile("Residual", number(fit["residual"], 3), "in units of the noise"))
    return found


def _pictures(arrays: Arrays) -> Section:
    figures = [Figure("Measured.", address=shown(arrays["measured"]), small=True)]
    if "mean" in arrays:
        caption = "Mean of the draws: the best guess in mean square, smoother than the truth."
        figures.append(Figure(caption, address=shown(arrays["mean"]), small=True))
    if "truth" in arrays:
        figures.append(
            Figure("The truth, which was hidden.", address=shown(arrays["truth"]), small=True)
        )
    return Section("From the measurement to the picture", figures=figures)


def _draws(arrays: Arrays) -> Section | None:
    draws = arrays["draws"][:DRAWS]
    if not len(draws):
        return None
    text = (
        "Each is a picture that fits the data and looks like the prior's. As far as draws are "
        "exact, the data decide where they agree, and nobody can know better where they differ; "
        "those of short chains may agree too well."
    )
    figures = [
        Figure(f"Draw {k}.", address=shown(draw), small=True) for k, draw in enumerate(draws, 1)
    ]
    return Section("Draws", text, figures=figures)


def _spread(arrays: Arrays, summary: Mapping[str, Any]) -> Section | None:
    spread = summary["uncertainty"]
    if spread is None:
        return None
    std, width = (_grey(a) for a in (arrays["std"], arrays["high"] - arrays["low"]))
    figures = [_map("Standard deviation of the draws", std)]
    figures.append(_map(f"Width of the {spread['level']:.0%} interval", width))
    if "truth" in arrays:
        off = _grey(np.abs(arrays["truth"] - arrays["mean"]))
        top = float(np.quantile(std, 0.995)) * 2
        figures.append(_map("For comparison, the true error of the mean", off, top))
    text = (
        "Dark where the picture is known, light where it is not. Black is 0 and white is 1 in "
        "these units; colours are averaged."
    )
    return Section("How sure it is", text, figures=figures)


def _map(told: str, values: NDArray[Any], top: float | None = None) -> Figure:
    top = (float(np.quantile(values, 0.995)) or 1e-6) if top is None else top
    caption = f"{told}, 0 (dark) to {number(top, 2)} (light)."
    return Figure(caption, address=heat_map(values, 0, top), small=True)


def _scores(scores: Mapping[str, Any]) -> Section:
    def told(kind: str) -> list[str]:
        like = scores[f"ssim_{kind}"]
        return [f"{scores[f'psnr_{kind}']:.2f}", "–" if like is None else f"{like:.3f}"]

    rows = [["Mean of the draws", *told("mean")], ["A single draw, on average", *told("draw")]]
    inside, expected = percent(scores["inside"]), percent(scores["inside_expected"])
    text = (
        "The measurement was simulated, so the truth is known. If the draws are exact, one of them "
        "has twice the squared error of their posterior mean (3 dB less), and looks more like a "
        "photograph. "
        f"The 90 % intervals of the draws hold {inside} of the true values; for exact draws of "
        f"this number it would be about {expected} on average over pictures."
    )
    return Section("Against the truth", text, Table(["", "PSNR, dB", "SSIM"], rows))


def _fit(summary: Mapping[str, Any]) -> Section | None:
    fit = summary["fit"]
    if fit is None:
        return None
    facts = [
        ("Log-likelihood of the data, mean over the draws", number(fit["log_likelihood"], 6)),
        ("The same of data simulated from the draws", number(fit["expected"], 6)),
        ("Its distance, in standard deviations", f"{fit['z']:+.1f}".replace("-", "\u2212")),
        ("Share of simulated data that fit worse", percent(fit["predictive"])),
    ]
    if fit["residual"] is not None:
        facts.insert(0, ("Residual, in units of the stated noise", number(fit["residual"], 4)))
    text = (
        "If forward model, noise and draws are right, data simulated from a draw fit it about as "
        "well as the true data do."
    )
    return Section("Do the draws agree with the data?", text, facts=facts)


def _mixing(summary: Mapping[str, Any]) -> Section:
    settings = summary["settings"]
    cost = settings["evaluations"]
    facts = [("Method", settings["fields"])]
    facts.append(("Denoiser evaluations for each draw", number(cost["denoiser"])))
    if cost["gradient"]:
        facts.append(("Gradients of the log-likelihood", number(round(cost["gradient"]))))
    if cost.get("jacobian"):
        facts.append(("Derivatives of the denoiser", number(round(cost["jacobian"]))))
    if cost["likelihood"]:
        facts.append(("Log-likelihoods", number(round(cost["likelihood"]))))
    if settings["acceptance"] is not None:
        facts.append(("Accepted moves", percent(settings["acceptance"])))
    kind = "ends of independent chains" if settings["independent"] else "one interacting population"
    text = f"The draws are the {kind}. "
    rows = [
        [m["name"].replace("_", " "), *(number(m[key], 3) for key in ("r_hat", "ess", "mcse"))]
        for m in summary["mixing"]
    ]
    if not rows:
        text += "There is no tail of sweeps at a constant coupling to compare chains by."
        return Section("How the chains did", text, facts=facts)
    text += (
        "The table looks at the last sweeps, at constant coupling. R-hat near 1 means that a "
        "single chain already travels through the whole posterior in these few sweeps; above 1.1, "
        "that the spread between draws comes from their independent descents instead."
    )
    table = Table(["Number of the picture", "R-hat", "Effective draws", "Standard error"], rows)
    return Section("How the chains did", text, table, facts=facts)


def _grey(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(values.mean(-1) if values.ndim == 3 else values)
