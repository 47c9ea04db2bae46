"""Run a benchmark by name: ``python -m benchmarks NAME [OPTIONS]``; ``all`` runs the quick ones."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from pathlib import Path

HELPERS = {
    "__main__", "alignment", "baselines", "common", "exact_posteriors", "figures", "instances",
    "photographs", "plots", "runs", "together",
}  # fmt: skip
FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the benchmarks there are."""
    return sorted(m.name for m in pkgutil.iter_modules([str(FOLDER)]) if m.name not in HELPERS)


def main() -> None:
    """Run what the command line names."""
    if len(sys.argv) < 2 or sys.argv[1] not in [*names(), "all"]:
        sys.exit(f"usage: python -m benchmarks NAME [OPTIONS]\nnames: all, {', '.join(names())}")
    wanted = names() if sys.argv[1] == "all" else [sys.argv[1]]
    for name in wanted:
        start = time.perf_counter()
        importlib.import_module(f"benchmarks.{name}").main(sys.argv[2:])
        print(f"[{name}: {time.perf_counter() - start:.0f} s]")


if __name__ == "__main__":
    main()
