#!/usr/bin/env python3
"""Writes traces/xavier-*.csv from a folder of published tables.

Usage: scripts/import_xavier.py FOLDER

FOLDER holds xavier-shared-bandwidth.csv and xavier-layer-groups.csv: measurements of a Jetson AGX Xavier that the authors
of PCCS and of HaX-CoNN published with their programs, as plain CSV. Figures are copied as they are written there, digit by
digit; only names, columns and order change.
"""

import pathlib
import sys

from import_kcc2020 import records, write


BANDWIDTH = """\
# coinfer bandwidth 1
# source: https://github.com/processorcentricmodel/PCCS, model_construction/input.txt
# revision: not recorded
# hardware: NVIDIA Jetson AGX Xavier, LPDDR4x
# software: not recorded
# date: not recorded
# kind: measured
# note: what one processor achieved that alone achieves the first column, while others need the second
alone_gb_s,external_gb_s,achieved_gb_s
"""

GROUPS = """\
# coinfer trace 1
# source: https://github.com/ismetdagli/HaX-CoNN (Dagli and Belviranli, PPoPP 2024), src/dummy_z3_solver.py
# revision: 87f5f25
# hardware: NVIDIA Jetson AGX Xavier 32 GB, MAXN
# software: TensorRT 7.1.3 (JetPack 4.5.1), Caffe networks with fp16 allowed; what the DLA cannot run falls back to the GPU
# date: not recorded (published 2024)
# kind: measured
# note: milliseconds with two decimals, as the authors gave them to their solver; how many repeats is not recorded
{notes}{hand_overs}device,model,layer,batch,rows,statistic,repeat,precision,time_ms
"""

# A line each in the header.
NOTES = [
    "googlenet-caffe: groups begin at layers 0, 10, 25, 39, 52, 66, 81, 94, 110 and 124 of TensorRT's 141, which are those of"
    " Caffe: conv1 to pool2 are 0 to 9, inception_3a 10 to 23, 3b and pool3 24 to 38, .., 5b, pooling, classifier and softmax"
    " 124 to 140; each group is taken for the blocks that it all but covers: 24 is the first layer of 3b, and 52, 66 and 94 are"
    " the last of 4a, 4b and 4d (the profile of the GPU alone has 53, 67 and 95 there)",
    "alexnet-caffe: what groups 0 to 7 are is not recorded; assumed: conv1; norm1 and pool1; conv2; norm2 and pool2; conv3 to"
    " pool5; fc6; fc7; fc8: the last three take times as their weights do, the second and fourth are too short for convolutions"
    " and as long as such layers of GoogLeNet",
    "groups with a softmax at their end have it here too; the networks of coinfer leave it out",
    "whole networks are left out, so that a split is compared with its parts: googlenet took 1.95913 ms on the GPU and 3.6564 ms"
    " on the DLA in other runs, and its groups sum to 1.72 and 3.84",
]

DEVICES = {"gpu": "AGX-Xavier-GPU", "dla": "AGX-Xavier-DLA"}
MODELS = {"googlenet": "googlenet-caffe", "alexnet": "alexnet-caffe"}
LAYERS = {
    "googlenet": {
        "group 0-9": "conv1..pool2",
        "group 10-24": "inception3a.branch1..inception3a.concat",
        "group 25-38": "inception3b.branch1..pool3",
        "group 39-51": "inception4a.branch1..inception4a.concat",
        "group 52-65": "inception4b.branch1..inception4b.concat",
        "group 66-80": "inception4c.branch1..inception4c.concat",
        "group 81-93": "inception4d.branch1..inception4d.concat",
        "group 94-109": "inception4e.branch1..pool4",
        "group 110-123": "inception5a.branch1..inception5a.concat",
        "group 124-140": "inception5b.branch1..fc",
    },
    "alexnet": {
        "group 0": "conv1..conv1.relu",
        "group 1": "norm1..pool1",
        "group 2": "conv2..conv2.relu",
        "group 3": "norm2..pool2",
        "group 4": "conv3..pool5",
        "group 5": "flatten..fc6.dropout",
        "group 6": "fc7..fc7.dropout",
        "group 7": "fc8",
    },
}
# The profile of the GPU alone, in other groups and of other runs.
OTHER_PROFILE = "TensorRT 7.1.3 MAXN"
HAND_OVER = "transition cost out at layer "
# The last layer before each hand-over.
BEFORE = {
    "10": "pool2",
    "24": "inception3a.concat",
    "38": "pool3",
    "53": "inception4a.concat",
    "67": "inception4b.concat",
    "81": "inception4c.concat",
    "95": "inception4d.concat",
    "110": "pool4",
    "124": "inception5a.concat",
}


def bandwidth(folder):
    columns = ("alone_gb_s", "external_gb_s", "achieved_gb_s")
    rows = (",".join(r[column] for column in columns) for r in records(folder, "xavier-shared-bandwidth.csv"))
    return BANDWIDTH + "".join(f"{row}\n" for row in rows)


def groups(folder):
    rows, hand_overs = [], []
    for r in records(folder, "xavier-layer-groups.csv"):
        device, model, part, time = DEVICES[r["unit"]], MODELS[r["model"]], r["part"], r["latency_ms"]
        if part.startswith(HAND_OVER):
            layer = BEFORE[part.removeprefix(HAND_OVER)]
            hand_overs.append(f"# hand-over: {model}, out of {device} behind {layer}: {time} ms\n")
        elif part != "whole" and r["framework"] != OTHER_PROFILE:
            layer = LAYERS[r["model"]][part]
            rows.append(f"{device},{model},{layer},{r['batch']},all,mean,1,fp16,{time}\n")
    notes = "".join(f"# note: {note}\n" for note in NOTES)
    return GROUPS.format(notes=notes, hand_overs="".join(hand_overs)) + "".join(rows)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    write("traces/xavier-shared-bandwidth.csv", bandwidth(folder))
    write("traces/xavier-layer-groups.csv", groups(folder))


if __name__ == "__main__":
    main()
