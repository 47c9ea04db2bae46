"""Draws on disk: finished shards of fixed size, and a checkpoint for what is under way.

    folder/draws-00000.safetensors   rows 0 to R - 1, R a whole number of blocks of chains
    folder/checkpoint.safetensors    finished rows of the shard under way, and the state of the
                                     block under way

The checkpoint tells how far the run is; a shard is written before the checkpoint that counts
it. So a run that is killed loses the time since its last checkpoint and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.draws import Moments
from wellposed.errors import StoreError
from wellposed.run import Record, as_records
from wellposed.store import RunFolder, load_tree, save_tree
from wellposed.task import Account

NUMBERS = 1 << 22  # of a shard: 32 MB in float64
WATCHED = 4096  # chains whose summaries are kept


class Tally(NamedTuple):
    """What is known about the finished blocks."""

    blocks: int = 0  # finished
    evaluations: int = 0  # for each draw
    acceptance: float | None = None  # sum over the blocks
    trace: tuple[Record, ...] = ()  # of the first block
    account: Account | None = None  # costs: sums over the blocks
    moments: Moments | None = None  # where draws do not fit into memory


def merged(total: Account | None, block: Account | None, rows: int) -> Account | None:
    """Add the account of a block, of which ``rows`` chains are wanted."""
    if block is None:
        return total
    kept = block.summaries
    if kept is not None:
        kept = kept[:, :rows]
    if total is None:
        return block._replace(summaries=kept)
    if kept is not None and total.summaries is not None:
        kept = torch.cat([total.summaries, kept], 1)[:, :WATCHED]
    return block._replace(
        gradients=total.gradients + block.gradients,
        likelihoods=total.likelihoods + block.likelihoods,
        jacobians=total.jacobians + block.jacobians,
        summaries=kept, note=total.note or block.note,
    )  # fmt: skip


def averaged(total: Account, blocks: int) -> Account:
    """Return costs for each draw: those of a chain, averaged over the blocks."""
    return total._replace(
        gradients=total.gradients / blocks, likelihoods=total.likelihoods / blocks,
        jacobians=total.jacobians / blocks,
    )  # fmt: skip


@dataclass
class UnderWay:
    """Where a run stands: finished blocks, and the state of the next one."""

    tally: Tally = Tally()  # noqa: RUF009 - immutable
    state: Any = None  # None: the next block has not begun
    step: int = 0
    records: list[Record] = field(default_factory=list)


@dataclass
class Shelf:
    """Where the draws of one run are kept.

    Parameters
    ----------
    folder
        The run's folder, open.
    x
        Rows are filled here first: the result, [n, *shape], or room for one shard of it.
    size
        Chains in a block.
    n
        Rows of the result.
    """

    folder: RunFolder
    x: Tensor
    size: int
    n: int
    tally: Tally = Tally()  # noqa: RUF009 - immutable

    @property
    def rows(self) -> int:
        """Rows of a shard."""
        return shard_rows(self.size, self.x.shape[1:])

    def due(self) -> bool:
        """Whether a checkpoint is due."""
        return self.folder.due()

    def save(self, state: Any, step: int, records: list[Record]) -> None:
        """Write a checkpoint of the block under way."""
        rows = self._open_rows(self.tally)
        self.folder.save((self.tally, rows.clone(), state), step, records)

    def add(self, tally: Tally) -> None:
        """Note that a block is finished; write the shard that it fills."""
        self.tally = tally
        end = tally.blocks * self.size
        if end % self.rows == 0 and end <= self.n:
            shard = self._room(end - self.rows, self.rows)
            save_tree(self._path(end // self.rows - 1), shard)
            self.save(None, 0, [])

    def close(self, rows: int) -> None:
        """Write the last, partial shard of ``rows`` finished rows."""
        begin = rows - rows % self.rows
        if begin < rows:
            save_tree(self._path(begin // self.rows), self._room(begin, rows - begin))

    def load(self) -> UnderWay:
        """Fill the rows that an earlier run finished, and tell where to go on."""
        kept = self.folder.checkpoint()
        if kept is None:
            return UnderWay()
        self.tally, rows, state = kept["state"]
        if len(self.x) == self.n:
            self.load_rows(self.tally.blocks * self.size // self.rows * self.rows)
        self._open_rows(self.tally).copy_(rows)
        return UnderWay(self.tally, state, kept["step"], as_records(kept["records"]))

    def load_rows(self, count: int) -> None:
        """Fill the first rows from shards.

        Raises
        ------
        StoreError
            The shards hold fewer.
        FileError
            A shard is missing or damaged.
        """
        done = 0
        while done < count:
            rows = load_tree(self._path(done // self.rows))
            if len(rows) == 0 or done + len(rows) > len(self.x):
                raise StoreError(
                    f"{self._path(done // self.rows)} does not fit this run",
                    "it was changed",
                    "start anew in another folder",
                )
            self.x[done : done + len(rows)] = rows.to(self.x.device)
            done += len(rows)

    def _open_rows(self, tally: Tally) -> Tensor:
        """Return the finished rows that are in no full shard."""
        end = min(tally.blocks * self.size, self.n)
        return self._room(end - end % self.rows, end % self.rows)

    def _room(self, begin: int, count: int) -> Tensor:
        """Return where ``count`` rows from ``begin``, the start of a shard, are filled."""
        begin %= len(self.x)
        return self.x[begin : begin + count]

    def _path(self, shard: int) -> Path:
        return shard_path(self.folder.path, shard)


def shard_rows(size: int, shape: Sequence[int]) -> int:
    """Return the rows of a shard: as many whole blocks as make about 4 million numbers."""
    return size * max(1, NUMBERS // (size * max(1, math.prod(shape))))


def shard_path(folder: Path, shard: int) -> Path:
    """Return the file of a shard."""
    return folder / f"draws-{shard:05d}.safetensors"


@dataclass(frozen=True)
class StoredDraws:
    """Draws that stay on disk: ``len``, and iteration shard by shard, [rows, *shape].

    Parameters
    ----------
    folder
        The run's folder.
    n
        Number of draws.
    """

    folder: Path
    n: int

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Tensor]:
        done, shard = 0, 0
        while done < self.n:
            rows: Tensor = load_tree(shard_path(self.folder, shard))
            if len(rows) == 0:
                raise StoreError(
                    f"{shard_path(self.folder, shard)} holds no draws",
                    "it was changed",
                    "start anew in another folder",
                )
            done, shard = done + len(rows), shard + 1
            yield rows
