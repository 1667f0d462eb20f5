#!/usr/bin/env python3
"""Writes traces/igniter-v100.csv, traces/parvagpu-a100.csv and tests/data/igniter-v100-pairs.csv from published tables.

Usage: scripts/import_shares.py FOLDER

FOLDER holds gpu-share-latency-v100.csv, gpu-corun-v100.csv and mig-latency-a100.csv: times of networks on parts of GPUs that the authors of
iGniter and of ParvaGPU published with their programs, as plain CSV. Of the V100, figures are copied
digit by digit; of the A100, a time is the batch over the measured samples per second.
"""

import csv
import pathlib
import sys

from import_kcc2020 import write

V100 = """\
# coinfer trace 1
# source: https://github.com/icloud-ecnu/igniter (Xu et al., iGniter, TPDS 2022), i-Gniter/Profile/tools/gpulet.config
# revision: b1ff2ab2624bb8ae856fc133871afa8a93c84d59
# hardware: NVIDIA V100, 80 streaming multiprocessors
# software: TensorRT 8, trtexec under MPS
# date: not recorded (published 2022)
# kind: measured
# note: mean latency on the GPU by trtexec; how many repeats is not recorded, and the column `repeat` says 1
# note: a share is CUDA_MPS_ACTIVE_THREAD_PERCENTAGE; shares of 0.1 and 1 were measured at batch 1 only
device,model,layer,batch,rows,share,statistic,repeat,time_ms
"""

A100 = """\
# coinfer trace 1
# source: https://github.com/MunQ-Lee/ParvaGPU_SC24 (Lee et al., ParvaGPU, SC 2024), prof_data/*.csv
# revision: 5f3de1e18582b4c81896a1c3eb0e2915238dfee6
# hardware: NVIDIA A100 80 GB, instances of 1, 2, 3, 4 and 7 of 7 slices (MIG) with 10, 20, 40, 40 and 80 GB
# software: PyTorch 21.11
# date: not recorded (published 2024)
# kind: measured
# note: one process in an instance; the batch over the samples per second that the authors measured, since they rounded times to 1 ms
# note: a share is the slices over 7, rounded down; a batch is missing where it did not fit the instance
device,model,layer,batch,rows,share,statistic,repeat,time_ms
"""

# What coinfer calls a network.
NAMES = {
    "densenet121": "densenet-121",
    "mobilenetv2": "mobilenet_v2",
    "resnet50": "resnet-50",
    "vgg16": "vgg-16",
    "vgg19": "vgg-19",
}


def records(folder, name):
    with open(folder / name, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def row(device, record, share, time):
    name = NAMES.get(record["model"], record["model"])
    return f"{device},{name},whole,{record['batch']},all,{share},mean,1,{time}\n"


def v100(folder):
    for record in records(folder, "gpu-share-latency-v100.csv"):
        yield row("V100", record, int(record["share_pct"]) / 100, record["latency_ms"])


def a100(folder):
    for record in records(folder, "mig-latency-a100.csv"):
        if record["processes"] == "1" and record["throughput_per_process"]:
            share = int(record["gpcs"]) * 10_000 // 7 / 10_000
            time = 1000 * int(record["batch"]) / float(record["throughput_per_process"])
            yield row("A100", record, share, f"{time:.6g}")


def pairs(folder):
    names = [f"{column}_{side}" for column in ("model", "batch", "share", "time_ms") for side in (1, 2)]
    yield ",".join(names) + "\n"
    for record in records(folder, "gpu-corun-v100.csv"):
        sides = [
            (
                NAMES.get(record[f"model_{side}"], record[f"model_{side}"]),
                record[f"batch_{side}"],
                str(int(record[f"share_{side}_pct"]) / 100),
                record[f"latency_{side}_ms"],
            )
            for side in (1, 2)
        ]
        yield ",".join(value for values in zip(*sides) for value in values) + "\n"


PAIRS = """\
# Two networks at once on one V100, on shares of its streaming multiprocessors that add up to all: milliseconds of a batch
# source: https://github.com/icloud-ecnu/igniter, b1ff2ab, i-Gniter/Profile/tools/gpulet.config (key interference)
# note: measured; alone on the same share, they take what traces/igniter-v100.csv has
"""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    write("traces/igniter-v100.csv", V100 + "".join(v100(folder)))
    write("traces/parvagpu-a100.csv", A100 + "".join(a100(folder)))
    write("tests/data/igniter-v100-pairs.csv", PAIRS + "".join(pairs(folder)))


if __name__ == "__main__":
    main()
