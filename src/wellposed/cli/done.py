"""What a job prints when it has ended, and the exit code that says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wellposed.cli import DONE, NOT_CONVERGED, RESUMABLE
from wellposed.cli.output import say, say_table

if TYPE_CHECKING:
    from wellposed.jobs.folder import Done


def tell(done: Done) -> int:
    """Print figures and paths of a job; return the exit code."""
    if done.interrupted:
        say("Interrupted. Go on with:", "yellow")
        say(f"wellposed resume {done.folder}")
        return RESUMABLE
    tellers = {
        "complete": _complete,
        "complete-cube": _complete_cube,
        "separate": _separate,
        "demo": _demo,
        "train": _train,
        "sample": _sample,
        "recover": _recover,
        "calibrate": _calibrate,
    }
    if done.summary:
        tellers[done.summary["job"]](done.summary)
    if not done.ok:
        say(f"Not converged: {done.summary.get('status_text', done.status)}", "red")
    report = done.folder / "report.html"
    if report.exists():
        say(f"Report: {report}", "bold")
    return DONE if done.ok else NOT_CONVERGED


def _complete(summary: Mapping[str, Any]) -> None:
    from wellposed.report.complete import score_table, subtitle
    from wellposed.report.model import number

    say(summary["table"]["name"], "bold")
    say(subtitle(summary))
    if summary["scores"]:
        table = score_table(summary["scores"])
        say_table(table.heads, table.rows, numbers=True)
    _warn(summary)
    written = summary["written"]
    if written["file"]:
        say(f"{number(written['cells'])} predicted cells in {written['file']}.")


def _complete_cube(summary: Mapping[str, Any]) -> None:
    from wellposed.report.cubes import cube_scores, subtitle
    from wellposed.report.model import percent

    say(summary["cube"]["name"], "bold")
    say(subtitle(summary))
    say(f"Ranks {' x '.join(map(str, summary['settings']['ranks']))}.")
    if summary["scores"]:
        table = cube_scores(summary["scores"])
        say_table(table.heads, table.rows, numbers=True)
        shape = " in the shape of the gaps" if summary["scores"]["alike"] else ""
        say(f"Relative error on held-out cells{shape}: {percent(summary['scores']['relative'])}.")
    _warn(summary)
    say("Completed array in completed.npy, core and factors in factors.npz.")


def _separate(summary: Mapping[str, Any]) -> None:
    from wellposed.report.model import number, percent
    from wellposed.report.separate import subtitle

    layers, settings = summary["layers"], summary["settings"]
    say(summary["stack"]["name"], "bold")
    say(subtitle(summary))
    say(
        f"Background of rank {settings['rank']}; {percent(layers['foreground_share'])} of the "
        f"pixels are foreground (further than {number(layers['threshold'], 3)} from it)."
    )
    _warn(summary)
    say("Arrays in separated.npz, previews in preview.png and preview.gif.")


def _sample(summary: Mapping[str, Any]) -> None:
    from wellposed.report.sample import subtitle

    say(summary["prior"]["name"], "bold")
    say(subtitle(summary))
    say(f"{summary['draws']['evaluations']} evaluations of the denoiser for each draw.")
    _warn(summary)
    images = bool(summary["path"])
    say("Arrays in samples.npy" + (", pictures in grid.png and path.png." if images else "."))


def _recover(summary: Mapping[str, Any]) -> None:
    from wellposed.report.model import number, percent
    from wellposed.report.recover import subtitle

    say(summary["picture"]["name"], "bold")
    say(subtitle(summary))
    spread, scores = summary["uncertainty"], summary["scores"]
    if spread is not None:
        say(
            f"Standard deviation {number(spread['std'], 2)} (root mean square; black 0, white 1), "
            f"{percent(spread['level'])} intervals {number(spread['width'], 2)} wide on average."
        )
    if scores is not None:
        say(
            f"Against the truth: mean {scores['psnr_mean']:.2f} dB, a draw "
            f"{scores['psnr_draw']:.2f} dB; intervals hold {percent(scores['inside'])} of it "
            f"({percent(scores['inside_expected'])} if exact)."
        )
    if summary["calibration"] is not None:
        _calibrate(summary)
    _warn(summary)
    say("Draws, mean and intervals in recovered.npz.")


def _calibrate(summary: Mapping[str, Any]) -> None:
    for line in summary["calibration"]["text"]:
        say(line)


def _demo(summary: Mapping[str, Any]) -> None:
    from wellposed.report.model import number, percent

    hidden = summary["hidden"]
    _complete(summary["table"])
    say(
        f"Against the truth: error {number(hidden['rmse'], 3)} °F (root mean square) on the "
        f"{number(hidden['cells'])} cells ({percent(hidden['share'])}) that were hidden."
    )
    say()
    _separate(summary["clip"])
    say()
    _recover(summary["picture"])
    say()


def _train(summary: Mapping[str, Any]) -> None:
    from wellposed.report.train import subtitle, validation_table

    say(subtitle(summary))
    table = validation_table(summary)
    say_table(table.heads, table.rows, numbers=True)
    _warn(summary)
    say("The prior is this folder: wp.load_prior(folder); its card is card.md.")


def _warn(summary: Mapping[str, Any]) -> None:
    for warning in summary["warnings"]:
        say(f"Note: {warning}", "yellow")
