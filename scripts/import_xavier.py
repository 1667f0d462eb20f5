#!/usr/bin/env python3
"""Writes traces/xavier-*.csv from a folder of published tables.

Usage: scripts/import_xavier.py FOLDER

FOLDER holds xavier-shared-bandwidth.csv and xavier-layer-groups.csv: measurements of a Jetson AGX Xavier that the authors
of PCCS and of HaX-CoNN published with their programs, as plain CSV. Figures are copied as they are written there, digit by
digit; only names, columns and order change.
"""

import csv
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

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


def records(folder, name):
    with open(folder / name, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def write(path, text):
    (ROOT / path).write_text(text, encoding="utf-8")
    print(f"{path}: {text.count(chr(10))} lines")


def bandwidth(folder):
    columns = ("alone_gb_s", "external_gb_s", "achieved_gb_s")
    rows = (",".join(r[column] for column in columns) for r in records(folder, "xavier-shared-bandwidth.csv"))
    return BANDWIDTH + "".join(f"{row}\n" for row in rows)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    write("traces/xavier-shared-bandwidth.csv", bandwidth(folder))


if __name__ == "__main__":
    main()
