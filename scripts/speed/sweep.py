#!/usr/bin/env python3
"""Says how many scenarios a sweep of `coinfer` simulates per second of CPU time.

Usage: sweep.py COINFER
"""

import csv
import pathlib
import resource
import subprocess
import sys
import tempfile

SCENARIO = pathlib.Path(__file__).parent / "sweep.toml"

with tempfile.TemporaryDirectory() as folder:
    command = [sys.argv[1], "sweep", SCENARIO, "--jobs", "1", "--quiet", "--out", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    [results] = pathlib.Path(folder).glob("*/*/results.csv")
    with open(results, newline="", encoding="utf-8") as file:
        steps = [int(row["steps"]) for row in csv.DictReader(file)]
rate = len(steps) / (used.ru_utime + used.ru_stime)
print(f"\nA sweep simulates {rate:,.0f} scenarios of {sum(steps) / len(steps):.0f} steps per second of CPU time,\n"
      f"with all that it does for them ({len(steps):,} of them, {used.ru_maxrss * 1024 / 1e6:.0f} MB).")
