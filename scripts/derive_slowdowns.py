#!/usr/bin/env python3
"""Prints how much longer CPU and integrated GPU take beside each other than their tables say.

Usage: scripts/derive_slowdowns.py

Short runs: the 800 recorded ones, one round each, those from batch 100 on whose integrated GPU worked
for at least 80 % of the CPU's time. The authors started each device as soon as its own build was done,
so that devices hardly overlapped. Long runs: the published figure, ten rounds of each split at batch
200, where they did. Excess is measured time over the time in the table of the device alone, less 1.

The long runs do not tell causes apart: the other device's work, a shared power budget and sustained
load would all look the same.
"""

import csv
import math
import pathlib
import statistics

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROFILES = {"cpu": "i7-9700K", "igpu": "UHD-630", "gpu": "GTX-1050-Ti"}


def records(path):
    with open(ROOT / path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def tables():
    table = {}
    for row in records("traces/kcc2020-profile.csv"):
        points = table.setdefault((row["device"], row["model"]), {})
        points[int(row["batch"])] = float(row["time_ms_per_sample"])
    return table


def estimate(points, batch):
    """Milliseconds of a batch by the published lookup."""
    if batch in points:
        return points[batch] * batch
    last = max(points)
    if batch > last:
        return points[last] * batch
    low = 2 ** int(math.log2(batch)) + 1
    high = 2 * (low - 1) - 1
    slope = (points[high] - points[low]) / (high - low)
    return (points[low] + slope * (batch - low)) * batch


def excess(table, row, device):
    points = table[PROFILES[device], row["model"]]
    return float(row[f"{device}_ms"]) / estimate(points, int(row[device])) - 1


def overlaps(row):
    busy = row["cpu_ms"] and row["igpu_ms"] and float(row["igpu_ms"]) >= 0.8 * float(row["cpu_ms"])
    return busy and int(row["batch"]) >= 100


def main():
    table = tables()
    short_runs = [row for row in records("tests/data/kcc2020-runs.csv") if overlaps(row)]
    print("excess in %         short runs (median)    long runs, batch 200")
    print("model               cpu     igpu    runs   cpu     igpu    gpu")
    for long_run in records("tests/data/kcc2020-figure.csv"):
        model = long_run["model"]
        short = [row for row in short_runs if row["model"] == model]
        cells = [statistics.median(100 * excess(table, row, device) for row in short) for device in ("cpu", "igpu")]
        cells = [f"{cell:+7.1f}" for cell in cells] + [f"{len(short):7d}"]
        cells += [f"{100 * excess(table, long_run, device):+7.1f}" for device in PROFILES]
        print(f"{model:<16}" + " ".join(cells))


if __name__ == "__main__":
    main()
