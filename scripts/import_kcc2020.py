#!/usr/bin/env python3
"""Writes traces/kcc2020-*.csv and tests/data/kcc2020-*.csv from a folder of published tables.

Usage: scripts/import_kcc2020.py FOLDER

FOLDER holds kcc2020-profile.csv, kcc2020-profile-with-io.csv, kcc2020-runs.csv and
kcc2020-figure.csv: the tables that Lee, Choi and Park published with their program, as plain CSV.
Figures are copied as they are written there, digit by digit; only names and columns change.
"""

import csv
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HARDWARE = {"cpu": "i7-9700K", "igpu": "UHD-630", "gpu": "GTX-1050-Ti"}
COLUMNS = "device,model,layer,batch,rows,statistic,repeat"

ORIGIN = """\
# source: https://github.com/sjlee25/batch-partitioning (Lee, Choi and Park, KCC 2020, pages 1745 to 1747)
# revision: {revision}
# hardware: Intel Core i7-9700K, Intel UHD Graphics 630, NVIDIA GeForce GTX 1050 Ti 4 GB, 16 GB DDR4
# software: TVM 0.7.dev0 (LLVM, OpenCL and CUDA targets), Python 3.7, Ubuntu 18.04
# date: 2020 (day not stated)
# kind: measured
"""

SHARED_NOTES = """\
# note: mean of the repeats of the authors' timer; how many is not recorded, and the column `repeat` says 1
# note: fp32, random weights and inputs; all inputs 3x224x224, of inception_v3 3x299x299
# note: batch 1 often runs other kernels: draw no line through it
# note: VGG has no batch above 65 on the GTX 1050 Ti, where memory ran out
# note: DenseNet-121 grows with the square of the batch on every device, which is no property of the network
"""

PROFILE_NOTES = """\
# note: this table is behind the published splits
# note: UHD-630: MobileNet at batch 64 and Inception-v3 up to 64 take far longer than the table with copies has
# note: UHD-630: VGG and ResNet-34 are faster than the device's peak allows, so use a table and no roofline
"""

WITH_IO_NOTES = """\
# note: a later measurement than kcc2020-profile.csv, without and with copies; not behind the published splits
# note: copies (`io`) are of inputs and outputs, not of weights
"""


def records(folder, name):
    with open(folder / name, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def write(path, text):
    (ROOT / path).write_text(text, encoding="utf-8")
    print(f"{path}: {text.count(chr(10))} lines")


def trace(revision, notes, time_column, rows):
    head = "# coinfer trace 1\n" + ORIGIN.format(revision=revision) + SHARED_NOTES + notes
    return head + f"{COLUMNS},{time_column}\n" + "".join(rows)


def row(record, layer, time):
    device = HARDWARE[record["unit"]]
    return f"{device},{record['model']},{layer},{record['batch']},all,mean,1,{time}\n"


def profile(folder):
    rows = (row(r, "whole", r["time_ms_per_sample"]) for r in records(folder, "kcc2020-profile.csv"))
    return trace("history of perf_table up to dce1f6e", PROFILE_NOTES, "time_ms_per_sample", rows)


def profile_with_io(folder):
    rows = (
        row(r, layer, r[column])
        for layer, column in (("whole", "compute_ms"), ("io", "io_ms"))
        for r in records(folder, "kcc2020-profile-with-io.csv")
    )
    return trace("1be3092, table_*", WITH_IO_NOTES, "time_ms", rows)


def copied(folder, name, notes):
    return "".join(f"# {note}\n" for note in notes) + (folder / name).read_text(encoding="utf-8")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    write("traces/kcc2020-profile.csv", profile(folder))
    write("traces/kcc2020-profile-with-io.csv", profile_with_io(folder))
    runs = [
        "800 recorded runs at threshold 1.0: the split, measured and predicted milliseconds of each device",
        "source: https://github.com/sjlee25/batch-partitioning, dce1f6e, logs/log_time_1.00",
        "note: the run of densenet-121 at batch 120 lacks its CPU share and so stands as a second one at 102",
    ]
    write("tests/data/kcc2020-runs.csv", copied(folder, "kcc2020-runs.csv", runs))
    figure = [
        "Batch 200, each split run ten times: milliseconds of each device, and speed-up over the GPU alone",
        "source: https://github.com/sjlee25/batch-partitioning, dce1f6e, logs/log_200_10x",
        "note: the GPU alone was not run at 200: the authors took its last profiled time per sample times 200",
    ]
    write("tests/data/kcc2020-figure.csv", copied(folder, "kcc2020-figure.csv", figure))


if __name__ == "__main__":
    main()
