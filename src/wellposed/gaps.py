"""Missing cells that lie together, and observed cells to hide in their shape.

Model      m of the n_1 ... n_N cells are observed. Chance knows how many of them each slice has,
           c_k[i] of slice i of mode k, and nothing else: a cell is then observed with probability
           q = m prod_k c_k[i_k] / m. Cells of slices without any are left out of all that follows.
Detect     Next to a missing cell along mode k another is missing in a share b_k of the cases, by
           chance in a_k = sum (1 - q)(1 - q') / sum (1 - q) over neighbours, in closed form.
           Missing cells lie together where b_k > a_k + (1 - a_k) / 4 for some k.
Hide       A piece: from a missing cell drawn by chance as far as cells are missing along each
           mode, and what is missing in that box. The piece is moved along one mode, drawn by
           chance, to a place drawn by chance: the observed cells on which it lands are hidden.
           Pieces follow until the share is reached, or as many are hidden as are missing. One
           that leaves a slice with a fifth fewer cells than the poorest has is not moved there.
Why        A low-rank fit knows a cell by others of its slices. Cells drawn by chance have most of
           those; cells in a gap lack the same ones as the whole gap, so they are harder, and
           ranks that suit the first can be far too large for the second.
Cost       N sorts of m numbers, and a pass over some of them for each piece; nothing dense.
Fails      where gaps differ from all that could be hidden (every column ends at the same row, so
           the rows behind it have no cell at all): nothing tells what lies there.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.operators.entries import Entries
from wellposed.operators.tensor_entries import TensorEntries, raveled
from wellposed.rng import Stream

Cells = Entries | TensorEntries

FEW = 30  # missing cells say nothing about how they lie, hidden ones nothing about ranks
MOST = 20_000_000  # observed cells: of more, gaps are not looked for, since memory would double
PIECES = 2000  # that are tried at most
POORER = 0.8  # of the cells of the poorest slice must stay in each


class Together(NamedTuple):
    """Along which mode missing cells lie next to each other far more often than by chance."""

    mode: int
    share: float  # of missing cells whose neighbour is missing too
    chance: float  # the same by chance


class Split(NamedTuple):
    """Which of the observed cells are fitted, and which judge."""

    kept: Tensor  # ascending
    judge: Tensor
    gaps: Together | None  # how missing cells lie
    pieces: int  # in the shape of the gaps that judge; 0: cells by chance

    @property
    def alike(self) -> bool:
        """Whether the cells that judge have the shape of the gaps."""
        return self.pieces > 0


def positions(cells: Cells) -> Tensor:
    """Return the positions of observed cells, [m, N] int64."""
    if isinstance(cells, Entries):
        return torch.stack([cells.rows, cells.cols], 1).long()
    return cells.indices.long()


def unseen(cells: Cells) -> list[list[int]]:
    """Return for each mode the positions at which no cell is observed."""
    if isinstance(cells, Entries):
        return [(count == 0).nonzero()[:, 0].tolist() for count in cells.counts()]
    return [cells.empty(k).tolist() for k in range(len(cells.shape))]


def together(cells: object) -> Together | None:
    """Say whether missing cells lie together; of anything but cells they do not.

    Examples
    --------
    >>> mask = Stream(0).uniform((20, 30), "mask") < 0.7
    >>> together(Entries.from_mask(mask)) is None
    True
    >>> mask = torch.ones(20, 30, dtype=torch.bool)
    >>> mask[::3, 20:] = False
    >>> found = together(Entries.from_mask(mask))
    >>> found.mode, found.share  # the next column
    (1, 1.0)
    """
    return _Grid(cells).together() if isinstance(cells, Cells) and _few(cells) else None


def split(cells: Cells, share: float, stream: Stream, purpose: str, remedy: str) -> Split:
    """Set a share of the observed cells aside: by chance, or in the shape of the gaps.

    Parameters
    ----------
    cells
        What was observed.
    share
        Of the cells, in (0, 1); fewer are taken where fewer than that are missing in gaps.
    stream, purpose
        Randomness of the choice.
    remedy
        What to do where there are too few cells.

    Raises
    ------
    InputError
        There are too few cells.
    """
    count = cells.shape_out[0]
    device = (cells.rows if isinstance(cells, Entries) else cells.indices).device
    aside = round(share * count)
    require(
        0 < aside < count,
        f"{count} observed cells are too few to hold out {share:.0%}",
        remedy=remedy,
    )
    gaps = None
    if _few(cells) and (gaps := (grid := _Grid(cells)).together()):
        hidden, pieces = grid.hidden(min(aside, grid.missing), stream, purpose)
        if int(hidden.sum()) >= FEW:
            kept, judge = (part.nonzero()[:, 0].to(device) for part in (~hidden, hidden))
            return Split(kept, judge, gaps, pieces)
    order = stream.permutation(count, purpose).to(device)
    return Split(order[aside:].sort().values, order[:aside], gaps, 0)


def _few(cells: Cells) -> bool:
    return cells.shape_out[0] <= MOST


class _Grid:
    """Observed cells in row order, without the slices that have none."""

    def __init__(self, cells: Cells) -> None:
        columns = [column.unique(return_inverse=True) for column in positions(cells).cpu().T]
        self.shape = tuple(len(places) for places, _ in columns)
        indices = torch.stack([inverse for _, inverse in columns], 1)
        self.keys, self.order = raveled(indices, self.shape).sort()
        self.indices = indices[self.order]
        self.count, self.total = len(self.keys), math.prod(self.shape)
        self.missing = self.total - self.count

    @cached_property
    def lines(self) -> list[Tensor]:
        """Numbers of the observed cells with one mode counted fastest, ascending; for each mode."""
        return [self._along(self.indices, k).sort().values for k in range(len(self.shape))]

    @cached_property
    def counts(self) -> list[Tensor]:
        """Observed cells of each slice of each mode."""
        return self._counts(self.indices)

    def _counts(self, indices: Tensor) -> list[Tensor]:
        pairs = zip(indices.T, self.shape, strict=True)
        return [torch.bincount(column, minlength=n) for column, n in pairs]

    def _along(self, indices: Tensor, mode: int) -> Tensor:
        order = [*(k for k in range(len(self.shape)) if k != mode), mode]
        return raveled(indices[:, order], [self.shape[k] for k in order])

    def together(self) -> Together | None:
        if self.missing < FEW:
            return None
        found = [Together(k, *self._beside(k)) for k in range(len(self.shape))]
        worst = max(found, key=lambda t: (t.share - t.chance) / (1 - t.chance))
        return worst if worst.share > (1 + 3 * worst.chance) / 4 else None

    def _beside(self, mode: int) -> tuple[float, float]:
        """Return how often the next cell along a mode is missing where one is, and by chance."""
        n, line, count = self.shape[mode], self.lines[mode], self.counts[mode]
        pairs = self.total // n * (n - 1)
        first, second = int(count[:-1].sum()), int(count[1:].sum())
        both = int(((line.diff() == 1) & (line[1:] % n > 0)).sum())
        gone = max(1, pairs - first)
        shares = [c.double() / self.count for c in self.counts]
        like = math.prod(float(s.square().sum()) for k, s in enumerate(shares) if k != mode)
        like *= self.count**2 * float((shares[mode][:-1] * shares[mode][1:]).sum())
        chance = min((pairs - first - second + like) / gone, 1 - 1e-9)
        return (pairs - first - second + both) / gone, chance

    def hidden(self, target: int, stream: Stream, purpose: str) -> tuple[Tensor, int]:
        """Hide cells in the shape of the gaps: which, [m] bool as they were given, and pieces."""
        low, high = self._runs(self._missing(stream.uniform((PIECES,), f"gaps of {purpose}")))
        draws = stream.uniform((PIECES, 2), f"moves of {purpose}").tolist()
        left, aside = self.counts, torch.zeros(self.count, dtype=torch.bool)
        least = [POORER * int(c.min()) for c in left]
        laid = pieces = 0
        for a, b, (which, where) in zip(low, high, draws, strict=True):
            room = [k for k, n in enumerate(self.shape) if int(b[k] - a[k]) < n]
            if not room:
                continue
            mode = room[int(which * len(room))]
            new = int(where * (self.shape[mode] - int(b[mode] - a[mode])))
            hit = self._landed(a, b, mode, new + (new >= int(a[mode])) - int(a[mode]))
            hit = hit[~aside[hit]]
            after = [c - h for c, h in zip(left, self._counts(self.indices[hit]), strict=True)]
            poor = any(float(c.min()) < m for c, m in zip(after, least, strict=True))
            if len(hit) == 0 or poor or laid + len(hit) > 2 * target:
                continue
            left, aside[hit] = after, True
            laid, pieces = laid + len(hit), pieces + 1
            if laid >= target:
                break
        return torch.zeros_like(aside).index_put_((self.order,), aside), pieces

    def _missing(self, uniform: Tensor) -> Tensor:
        """Return missing cells for numbers on [0, 1), [t, N]."""
        place = (uniform * self.missing).long()
        before = self.keys - torch.arange(self.count)  # missing cells before an observed one
        flat = place + torch.searchsorted(before, place, right=True)
        return torch.stack(torch.unravel_index(flat, self.shape), 1)

    def _runs(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return from where to where cells are missing along each mode, [t, N] each."""
        low, high = torch.empty_like(cells), torch.empty_like(cells)
        for k, n in enumerate(self.shape):
            line, key = self.lines[k], self._along(cells, k)
            start, at = key - cells[:, k], torch.searchsorted(line, key)
            before, after = line[(at - 1).clamp_min(0)], line[at.clamp_max(self.count - 1)]
            low[:, k] = torch.where((at > 0) & (before >= start), before - start + 1, 0)
            here = (at < self.count) & (after < start + n)
            high[:, k] = torch.where(here, after - start, n)
        return low, high

    def _landed(self, low: Tensor, high: Tensor, mode: int, shift: int) -> Tensor:
        """Return the observed cells on which the missing ones of a box land when it is moved."""
        move = torch.zeros_like(low)
        move[mode] = shift
        ends = torch.stack([(low + move)[0], (high + move)[0]]) * (self.total // self.shape[0])
        first, last = torch.searchsorted(self.keys, ends).tolist()
        cells = self.indices[first:last]
        inside = ((cells >= low + move) & (cells < high + move)).all(1).nonzero()[:, 0]
        source = raveled(cells[inside] - move, self.shape)
        at = torch.searchsorted(self.keys, source).clamp_max(self.count - 1)
        landed: Tensor = inside[self.keys[at] != source] + first
        return landed
