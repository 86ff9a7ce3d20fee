#!/usr/bin/env python3
"""Faults that real processes survive: each scenario runs the release binary and breaks something.

A scenario in GAPS is known to fail; it is run all the same, and its success is a failure of this list.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import time

import clients
import cluster
import files
import outages
import refreshing
import reload

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SCENARIOS = [*refreshing.SCENARIOS, *outages.SCENARIOS, *cluster.SCENARIOS, *files.SCENARIOS,
             *clients.SCENARIOS, *reload.SCENARIOS]
GAPS = {}


@dataclasses.dataclass
class Counts:
    """How often a scenario repeats its fault."""

    rounds: int
    losses: int
    outages: int


FEW = Counts(rounds=20, losses=5, outages=2)
MANY = Counts(rounds=200, losses=50, outages=10)


def main():
    names = {scenario.__name__: scenario for scenario in SCENARIOS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=TARGET / "release/vestibule")
    parser.add_argument("--only", default=",".join(names), help="names, separated by commas")
    parser.add_argument("--long", action="store_true", help="many more repetitions")
    options = parser.parse_args()
    unknown = [name for name in options.only.split(",") if name not in names]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [names[name] for name in options.only.split(",")]
    failed = sum(not passes(scenario, options) for scenario in chosen)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


def passes(scenario, options):
    """Runs one scenario and prints how it went."""
    since, name = time.monotonic(), scenario.__name__
    title = name.replace("_", " ")
    try:
        told = scenario(options.binary, MANY if options.long else FEW)
        verdict, good = ("FAIL", False) if name in GAPS else ("ok", True)
        told = f"this is no longer a gap: {told}" if name in GAPS else told
    except (AssertionError, OSError) as why:
        verdict, told, good = ("gap", GAPS[name], True) if name in GAPS else ("FAIL", why, False)
    print(f"{verdict:<5} {title} ({time.monotonic() - since:.1f} s): {told}", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(main())
