#!/usr/bin/env python3
"""Writes scenarios/legion-NETWORK-BOARDS.toml: three networks on Firefly-RK3399 (F) and Odroid-XU4 (O) boards.

Usage: scripts/write_legion_scenarios.py [--check]

All 27 sets of boards, from one to six F and up to three O, are one text with other counts; one more has the ways in
which Legion's forecast errs. `--check` writes nothing and fails if a file is not what it would write.
"""

import pathlib
import sys

NETWORKS = {
    # Name in files: network, last layer, what is left out, published speed-ups.
    "vgg16": ("vgg-16", "pool5", "The fully connected layers, which the server runs, are left out"),
    "vgg19": ("vgg-19", "pool5", "The fully connected layers, which the server runs, are left out"),
    "yolov2": ("yolov2", "conv23", "The region layer, which the server runs, is left out"),
}

TEXT = """\
#:schema ../docs/scenario.schema.json
# Written by scripts/write_legion_scenarios.py.
# Choi, Lee, Kang and Park, "Legion", ICCD 2021: {network} on {boards}.
description = "{network} on {boards} behind a 100 Mbit/s switch (ICCD 2021)"
# As published: speed-ups are over one board that has its data at hand. {omission}.
baseline = "{baseline}1"
baseline_at_hand = true

[load]
offline = {{ samples = 1 }}

# Fitted to the published profiling times of VGG on two to six F: session and the number of runs. Compiling is among
# what a session takes.
[profiling]
session = "1.15 s"
warm_up = 5
repeats = 100

# It scatters and gathers. What it could compute itself is left out, as published.
[[devices]]
name = "server"
kind = "cpu"
memory = "16 GiB" # assumed
unsupported = ["conv", "pool"]
{devices}
# Bandwidth derived: 1448 B of each frame of 1538 B at 100 Mbit/s. Overhead assumed. That an interface carries one
# message at a time is fitted: a full-duplex one would meet boards of one kind too, but other rates of them.
[[switches]]
name = "lan"
bandwidth = "94 Mbit/s"
overhead = "1 ms"
duplex = "half"
sharing = "serial"

[[models]]
name = "{network}"
zoo = "{network}"
until = "{until}"
home = "server"

{strategies}"""

STRATEGIES = """\
[[strategies]]
name = "one board"
single = { device = "BASELINE" }

[[strategies]]
legion = {}

[[strategies]]
name = "legion, wild card"
legion = { wild_card = true }

[[strategies]]
full_search = {}

[[strategies]]
k_best = {}

[[strategies]]
modnn = {}

[[strategies]]
deepthings = {}

[[strategies]]
aofl = {}

[[strategies]]
coedge = {}

[[strategies]]
name = "neighbour"
legion = { transport = "neighbour" }

[[strategies]]
name = "neighbour, k best"
k_best = { transport = "neighbour" }
"""

# Each cause of error left out by itself, all of them, and messages timed with the waits that they have.
ABLATION = """\
# As published but for messages: their times were taken one board at a time, so that nobody waits.
[[strategies]]
name = "apart"
legion = { messages = "apart" }

[[strategies]]
name = "+ input growth"
legion = { messages = "apart", corrections = { input_growth = true } }

[[strategies]]
name = "+ fusion overhead"
legion = { messages = "apart", corrections = { fusion_overhead = true } }

[[strategies]]
name = "+ row steps"
legion = { messages = "apart", corrections = { row_steps = true } }

[[strategies]]
name = "+ edge halo"
legion = { messages = "apart", corrections = { edge_halo = true } }

[[strategies]]
name = "all four"
legion.messages = "apart"
legion.corrections = { input_growth = true, fusion_overhead = true, row_steps = true, edge_halo = true }

[[strategies]]
name = "together"
legion = { messages = "together" }

[[strategies]]
name = "all four, together"
legion.messages = "together"
legion.corrections = { input_growth = true, fusion_overhead = true, row_steps = true, edge_halo = true }

[[strategies]]
full_search = {}
"""

BOARDS = {
    "f": ("Firefly-RK3399", "4 GiB", "9.7", "F"),
    "o": ("Odroid-XU4", "2 GiB", "5.0", "O"),
}

DEVICE = """
# {board}. Rate fitted to the published speed-ups of VGG-16 on boards of this kind alone; step (2 ms a group) fitted.
[[devices]]
name = "{letter}"
count = {count}
kind = "board"
memory = "{memory}" # listed
speed = {{ rate = "{rate} GMAC/s", step = "2 ms"{tile} }}
"""


def scenario(network, counts, strategies, row_tile=1):
    name, until, omission = NETWORKS[network]
    present = [letter for letter in BOARDS if counts[letter] > 0]
    boards = " and ".join(f"{counts[letter]} {BOARDS[letter][0]}" for letter in present)
    devices = "".join(
        DEVICE.format(
            board=BOARDS[letter][0],
            letter=letter,
            count=counts[letter],
            memory=BOARDS[letter][1],
            rate=BOARDS[letter][2],
            tile=f", row_tile = {row_tile}" if row_tile > 1 else "",
        )
        for letter in present
    )
    return TEXT.format(
        network=name,
        until=until,
        omission=omission,
        boards=boards,
        baseline=present[0],
        devices=devices,
        strategies=strategies.replace("BASELINE", f"{present[0]}1"),
    )


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    folder = pathlib.Path(__file__).resolve().parent.parent / "scenarios"
    texts = {}
    for network in NETWORKS:
        for f in range(7):
            for o in range(4):
                if f + o > 0:
                    boards = (f"{f}f" if f else "") + (f"{o}o" if o else "")
                    texts[f"legion-{network}-{boards}.toml"] = scenario(network, {"f": f, "o": o}, STRATEGIES)
    # Rows in tiles of four are assumed: kernels compute several at a time.
    texts["legion-vgg16-6f-ablation.toml"] = scenario("vgg16", {"f": 6, "o": 0}, ABLATION, row_tile=4)
    wrong = []
    for name, text in texts.items():
        path = folder / name
        if not check:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            wrong.append(name)
    if wrong:
        sys.exit("not what scripts/write_legion_scenarios.py writes: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
