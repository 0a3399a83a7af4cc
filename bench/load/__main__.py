"""`python -m bench.load`: plays cases at chosen set-ups and prints the comparison."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from bench.load import run
from bench.load.generator import VoidRun
from bench.load.place import SetupError

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"any of {', '.join(run.CASES)} (default: all)")
    parser.add_argument("--setups", help=f"comma-separated, of {', '.join(run.SETUPS)} (default: all of a case)")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--duration", type=float, default=0.8, help="seconds measured in each run")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--arrivals", choices=["constant", "poisson"], default="poisson", help="in the open loop")
    parser.add_argument("--save", metavar="NAME", help="write bench/results/NAME.json and NAME.txt")
    args = parser.parse_args()
    names = args.cases or list(run.CASES)
    if unknown := [name for name in names if name not in run.CASES]:
        parser.error(f"unknown case `{unknown[0]}`: expected one of {', '.join(run.CASES)}")
    chosen = args.setups.split(",") if args.setups else None
    if unknown := [name for name in chosen or [] if name not in run.SETUPS]:
        parser.error(f"unknown set-up `{unknown[0]}`: expected one of {', '.join(run.SETUPS)}")
    cases = [run.CASES[name] for name in names]
    load = {"connections": args.connections, "duration_s": args.duration, "arrivals": args.arrivals}
    cases = [replace(case, load=replace(case.load, **load)) for case in cases]
    setups = {name for case in cases for name in case.setups if chosen is None or name in chosen}
    if any(case.share_of_nginx is not None for case in cases):
        setups.add("nginx")
    try:
        with run.stage([name for name in run.SETUPS if name in setups], run.Cores()) as (gen, running):
            results = [run.measure(case, args.rounds, gen, running) for case in cases]
    except (SetupError, VoidRun) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    for measured in results:
        print(run.table(measured), end="\n\n")
    if args.save:
        run.write(args.save, results, RESULTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
