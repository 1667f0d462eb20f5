#!/usr/bin/env python3
"""Prints the runs of scripts/compare_speed.sh as a Markdown table that fits 80 columns: medians of each engine.

Usage: table.py RUNS.csv, whose lines are `workload,engine,check,events,cpu_seconds,peak_mb`

Fails if an engine did other work than the first one did, by its check value and its number of events.
"""

import csv
import pathlib
import statistics
import sys

ENGINES = {"heap": "bare heap", "desque": "desque 0.4", "coinfer": "coinfer", "simpy": "SimPy 4.1"}
COLUMNS = ["workload", "engine", "check", "events", "cpu_seconds", "peak_mb"]


def rate(run):
    """Million events per CPU second."""
    return int(run["events"]) / float(run["cpu_seconds"]) / 1e6


def row(first, cells, last):
    return f"| {first:14} | " + " | ".join(f"{cell:>10}" for cell in cells) + f" | {last:>7} |"


def medians(runs, workload, figure):
    """By engine, those that ran."""
    of_engine = {engine: [figure(run) for run in runs if run["workload"] == workload and run["engine"] == engine]
                 for engine in ENGINES}
    return {engine: statistics.median(figures) for engine, figures in of_engine.items() if figures}


def texts(figures):
    return [f"{figures[engine]:.3g}" if engine in figures else "-" for engine in ENGINES]


def caption(runs, workloads):
    """What the figures are, and where they were measured."""
    count = sum(run["workload"] == workloads[0] and run["engine"] == runs[0]["engine"] for run in runs)
    cpu = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split("model name\t: ")[1].splitlines()[0]
    return f"Million events per second of CPU time on one core ({cpu}; runs: {count}, median).\n"


def mistake(run, first):
    """How `run` differs from `first`, or nothing. See benches/events/workload.rs about `star`."""
    tolerance = 4e-3 if run["workload"].startswith("star") else 1e-9
    is_near = abs(float(run["check"]) / float(first["check"]) - 1) <= tolerance
    if is_near and run["events"] == first["events"]:
        return []
    return [f"{run['workload']}: {run['engine']} has check value {run['check']} after {run['events']} events, "
            f"{first['engine']} {first['check']} after {first['events']}"]


def main():
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        runs = list(csv.DictReader(file, COLUMNS))
    workloads = list(dict.fromkeys(run["workload"] for run in runs))
    mistakes = []
    print(caption(runs, workloads))
    print(row("workload", ENGINES.values(), "of heap"))
    print(f"|{'-' * 16}|" + f"{'-' * 11}:|" * len(ENGINES) + "--------:|")
    for workload in workloads:
        rates = medians(runs, workload, rate)
        is_comparable = "heap" in rates and "coinfer" in rates
        print(row(workload, texts(rates), f"{rates['coinfer'] / rates['heap']:.0%}" if is_comparable else "-"))
        same = [run for run in runs if run["workload"] == workload]
        mistakes += [line for run in same for line in mistake(run, same[0])]
    memory = medians(runs, "mm1", lambda run: float(run["peak_mb"]))
    if memory:
        print(row("peak MB of mm1", texts(memory), "-"))
    sys.exit("\n".join(mistakes) if mistakes else 0)


main()
