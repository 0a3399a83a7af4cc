"""`python -m bench`: measures what slo.toml promises and fails when a promise is missed. `ci/bench` calls it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import core, slo
from bench.load import run
from bench.load.generator import VoidRun
from bench.load.place import SetupError

HERE = Path(__file__).parent


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="ci/bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer, shorter rounds and slack: for every change")
    parser.add_argument("--only", choices=["load", "core", "boundary"], help="only these promises")
    parser.add_argument("--rounds", type=int, help="pairs of each ratio (default: 21, short 9)")
    parser.add_argument("--save", metavar="NAME", help="write the load results to bench/results/NAME.json and NAME.txt")
    args = parser.parse_args()
    promises = slo.read()
    slack = promises.short_slack if args.short else 1.0
    verdicts: list[slo.Verdict] = []
    try:
        if args.only in (None, "core"):
            verdicts += core_verdicts(promises, slack, rounds=1 if args.short else 3)
        if args.only in (None, "boundary"):
            verdicts += boundary_verdicts(promises, slack)
        if args.only in (None, "load"):
            verdicts += load_verdicts(promises, slack, args.rounds or (9 if args.short else 21), args.short, args.save)
    except (SetupError, VoidRun) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print("\n".join(map(str, verdicts)))
    missed = sum(not verdict.kept for verdict in verdicts)
    print(f"{len(verdicts) - missed} of {len(verdicts)} promises kept")
    return 1 if missed else 0


def core_verdicts(promises: slo.Promises, slack: float, rounds: int) -> list[slo.Verdict]:
    """The promises about single gates."""
    wanted = [promise for promise in promises.times if promise.source == "core"]
    medians = core.medians_us({promise.bench.partition("::")[0] for promise in wanted}, rounds)
    return [slo.judge_time(promise, medians, slack) for promise in wanted]


def boundary_verdicts(promises: slo.Promises, slack: float) -> list[slo.Verdict]:
    """The promises about crossing from Python to the core."""
    wanted = [promise for promise in promises.times if promise.source == "boundary"]
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        argv = [sys.executable, "-m", "pytest", "-q", "-s", f"--benchmark-json={output.name}", str(HERE / "boundary")]
        if subprocess.run(argv, cwd=HERE.parent, check=False).returncode != 0:
            raise SetupError("the benchmarks of bench/boundary failed")
        results = json.loads(Path(output.name).read_text())["benchmarks"]
    medians = {result["name"]: result["stats"]["median"] * 1e6 for result in results}
    return [slo.judge_time(promise, medians, slack) for promise in wanted]


def load_verdicts(
    promises: slo.Promises, slack: float, rounds: int, short: bool, save: str | None
) -> list[slo.Verdict]:
    """The promises about whole proxies beside their rivals."""
    cases = [run.CASES[name] for name in run.CASES if name in promises.cases()]
    if short:
        # Only who is judged, and not for long.
        cases = [
            replace(
                case,
                setups=tuple(name for name in case.setups if name in promises.setups()),
                load=replace(case.load, warmup_s=0.2, duration_s=0.5),
            )
            for case in cases
        ]
    setups = {name for case in cases for name in case.setups}
    with run.stage([name for name in run.SETUPS if name in setups], run.Cores()) as (gen, running):
        measured = {case.name: run.measure(case, rounds, gen, running) for case in cases}
    for results in measured.values():
        print(run.table(results), end="\n\n")
    if save:
        run.write(save, list(measured.values()), HERE / "results")
    return [slo.judge_ratio(promise, measured[promise.case], slack) for promise in promises.ratios]


if __name__ == "__main__":
    sys.exit(main())
