#!/usr/bin/env python3
"""Fits what Lee, Won and Park (KSC 2022) did not publish, and writes what follows from it.

Usage: scripts/fit_ksc2022.py FILE          shows the fit, and what fits on three points say of the other six
       scripts/fit_ksc2022.py FILE --write  writes traces/ksc2022-mobilenet.csv and tests/data/ksc2022-figure.csv too

FILE is ksc2022-figure.csv: images per second by batch, on the GPU alone and on the GPU and both DLAs.

Three constants are fitted to the times on all units, by least squares of relative errors:
    dla      milliseconds of an image on a DLA
    serial   milliseconds for each image of a DLA during which nothing else goes on: reformats
    join     milliseconds for each batch during which nothing else goes on: launches, waits, hand-over
With D images on each DLA and G = B - 2 D on the GPU, T(B) = min over D of max(gpu(G), dla D) + join + 2 D serial.
The GPU's times are those published. Between 4 and 16 images they are the line through 16, 32 and 64: at 4 the GPU is
faster for each image than at 16, with other kernels, and up to where is not known. Below 4 they are in proportion.
"""

import csv
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
THREE = [4, 64, 1024]
DENSE = 1.024 / 568.740  # the dense layer's part of the multiply-accumulates: what the tail takes is assumed
PARTS = {"whole": 1.0, "conv0..avgpool": 1 - DENSE, "flatten..fc": DENSE}
CLOCKS = {"xavier-nx-gpu": 1109.25 / 803.25, "xavier-nx-dla": 1100.8 / 896.0}  # 15 W over 10 W

HEAD = """\
# coinfer trace 1
# source: https://github.com/sjlee25/nvdla-parallelization-readme (Lee, Won and Park, KSC 2022), its figure
# revision: a3e230b
# hardware: NVIDIA Jetson Xavier NX, GPU and two NVDLA
# software: not stated
# date: 2022 (day not stated)
# kind: derived
# note: written by scripts/fit_ksc2022.py
# note: xavier-nx-gpu, whole: digitised from the figure's images per second; all else is derived
# note: xavier-nx-gpu, batches 5 to 15: the line through 16, 32 and 64 (assumed); 1 to 3: in proportion to 4 (assumed)
# note: front (conv0..avgpool) and tail (flatten..fc) of the GPU share its time as their multiply-accumulates (assumed)
# note: xavier-nx-dla: {dla} ms an image, one of three constants fitted to the nine published points of GPU and DLAs
# note: precision was not published; fp16 is assumed for both
# note: xavier-nx-gpu-line: the line below 16 images too, as if those kernels ran there (assumed)
# note: *-10w: scaled by the clocks of the 10 W mode: GPU 803.25 of 1109.25 MHz, DLA 896 of 1100.8 MHz
device,model,layer,batch,rows,precision,statistic,repeat,time_ms
"""


class Gpu:
    """Milliseconds of a number of images on the GPU."""

    def __init__(self, times):
        self.known = sorted(times.items())
        few = [(batch, time) for batch, time in self.known if 16 <= batch <= 64]
        mean = [sum(values) / len(few) for values in zip(*few)]
        self.slope = sum((x - mean[0]) * (y - mean[1]) for x, y in few) / sum((x - mean[0]) ** 2 for x, _ in few)
        self.base = mean[1] - self.slope * mean[0]

    def __call__(self, images):
        first, time = self.known[0]
        if images <= first:
            return time * images / first
        if images < 16:
            return self.base + self.slope * images
        for (a, low), (b, high) in zip(self.known, self.known[1:]):
            if images <= b:
                return low + (high - low) * (images - a) / (b - a)
        last, time = self.known[-1]
        return time * images / last


def together(batch, gpu, dla, serial, join):
    def time(own):
        return max(gpu(batch - 2 * own), dla * own) + join + 2 * own * serial

    # The GPU's part falls with D and the rest grows: the best D is next to where they meet.
    low, high = 1, (batch - 1) // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if gpu(batch - 2 * middle) > dla * middle else (low, middle)
    return min(time(own) for own in range(max(1, low - 2), min((batch - 1) // 2, high + 2) + 1))


def errors(constants, gpu, both, batches):
    return [together(batch, gpu, *constants) / both[batch] - 1 for batch in batches]


def fit(gpu, both, batches):
    """Constants with the least sum of squared relative errors, by descent along each from three starts."""

    def loss(constants):
        return sum(error**2 for error in errors(constants, gpu, both, batches))

    best = None
    for start in ([10.0, 0.2, 10.0], [8.0, 0.5, 12.0], [9.0, 0.0, 14.0]):
        now, steps, least = start, [1.0, 0.2, 2.0], loss(start)
        while max(steps) > 0.003:
            before = least
            for index in range(3):
                for sign in (1, -1):
                    other = list(now)
                    other[index] = max(0.0, other[index] + sign * steps[index])
                    found = loss(other)
                    if found < least - 1e-12:
                        now, least = other, found
            if least == before:
                steps = [step / 2 for step in steps]
        if best is None or least < best[0]:
            best = (least, now)
    return [round(value, 3) for value in best[1]]


def row(device, layer, batch, time):
    return f"{device},mobilenet,{layer},{batch},all,fp16,mean,1,{time:.6g}\n"


def trace(gpu, times, dla):
    rows = []

    def add(device, layer, batch, time):
        for suffix, factor in (("", 1.0), ("-10w", CLOCKS[device])):
            rows.append(row(device + suffix, layer, batch, time * factor))

    batches = sorted({*range(1, 17), *times})
    for layer, part in PARTS.items():
        for batch in batches:
            add("xavier-nx-gpu", layer, batch, gpu(batch) * part)
    for layer, part in PARTS.items():
        for batch in batches:
            time = gpu(batch) if batch >= 16 else gpu.base + gpu.slope * batch
            rows.append(row("xavier-nx-gpu-line", layer, batch, time * part))
    for batch in (1, 2, 4, 16, 64, 256, 1024, 4096):
        add("xavier-nx-dla", "conv0..avgpool", batch, batch * dla)
    return HEAD.format(dla=dla) + "".join(sorted(rows, key=lambda row: row.split(",")[0]))


def main():
    path = pathlib.Path(sys.argv[1])
    text = path.read_text(encoding="utf-8")
    rows = [[float(value) for value in row.values()] for row in csv.DictReader(text.splitlines())]
    alone = {int(batch): batch / rate * 1e3 for batch, rate, _ in rows}
    both = {int(batch): batch / rate * 1e3 for batch, _, rate in rows}
    gpu = Gpu(alone)
    print("fitted on             dla   serial  join    errors of T at " + " ".join(map(str, sorted(both))) + ", %")
    for batches in (sorted(both), THREE):
        constants = fit(gpu, both, batches)
        shown = " ".join(f"{100 * error:+.1f}" for error in errors(constants, gpu, both, sorted(both)))
        name = "all nine" if len(batches) == 9 else ", ".join(map(str, batches))
        print(f"{name:<20} {constants[0]:6.3f} {constants[1]:7.3f} {constants[2]:7.3f}   {shown}")
    if "--write" in sys.argv[2:]:
        constants = fit(gpu, both, sorted(both))
        for name, content in (
            ("traces/ksc2022-mobilenet.csv", trace(gpu, alone, constants[0])),
            ("tests/data/ksc2022-figure.csv", text),
        ):
            (ROOT / name).write_text(content, encoding="utf-8")
            print(f"{name}: {content.count(chr(10))} lines")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main()
