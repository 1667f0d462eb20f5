"""Runs one workload on SimPy and prints `workload,engine,check,events,cpu_seconds,peak_mb`.

Usage: on_simpy.py WORKLOAD

SimPy has no links that flows share, so that `star` is left out.
"""

import math
import pathlib
import sys
import time

import simpy

CUSTOMERS = 1_000_000
HOPS = 5_000_000
STATIONS, POPULATION, COMPLETIONS = 1_000, 10_000, 2_000_000
ITEMS, TRANSFER, EXECUTION = 100_000, 600_000 / 125e6, 8e6 / 1e9
MASK = 2**64 - 1


class Draws:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = z = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def exp(self, mean):
        return -mean * math.log(1.0 - (self.next() >> 11) * 2.0**-53)

    def below(self, count):
        return self.next() % count


def mm1():
    """One queue, one server."""
    draws, world = Draws(42), simpy.Environment()
    waiting = simpy.Store(world)
    sojourns = 0.0

    def source():
        gap = draws.exp(1.25)
        for customer in range(CUSTOMERS):
            yield world.timeout(gap)
            if customer + 1 < CUSTOMERS:
                gap = draws.exp(1.25)
            waiting.put(world.now)

    def server():
        nonlocal sojourns
        for _ in range(CUSTOMERS):
            arrival = yield waiting.get()
            yield world.timeout(draws.exp(1.0))
            sojourns += world.now - arrival

    world.process(source())
    world.process(server())
    world.run()
    return sojourns / CUSTOMERS, 2 * CUSTOMERS


def phold(entities):
    """Entities that send each other an event after a random time."""
    draws, world = Draws(42), simpy.Environment()
    handled = [0] * entities
    left = HOPS
    end = world.event()

    def message(entity):
        nonlocal left
        delay = draws.exp(1.0)
        while True:
            yield world.timeout(delay)
            handled[entity] += 1
            left -= 1
            if left == 0:
                end.succeed()
            entity = draws.below(entities)
            delay = draws.exp(1.0)

    for entity in range(entities):
        world.process(message(entity))
    world.run(until=end)
    return world.now, sum(handled)


def cqn():
    """A closed network of queues."""
    draws, world = Draws(42), simpy.Environment()
    waiting = [simpy.Store(world) for _ in range(STATIONS)]
    left = COMPLETIONS
    end = world.event()

    def station(own):
        nonlocal left
        customer = yield waiting[own].get()
        service = draws.exp(1.0)
        while True:
            yield world.timeout(service)
            left -= 1
            if left == 0:
                end.succeed()
            following = waiting[own].get()
            is_busy = following.triggered
            if is_busy:
                service = draws.exp(1.0)
            waiting[draws.below(STATIONS)].put(customer)
            customer = yield following
            if not is_busy:
                service = draws.exp(1.0)

    for customer in range(POPULATION):
        waiting[customer % STATIONS].put(customer)
    for own in range(STATIONS):
        world.process(station(own))
    world.run(until=end)
    return world.now, COMPLETIONS


def pipe():
    """Three hosts in a row that execute items and hand them on when the next one is idle."""
    world = simpy.Environment()
    idle = [simpy.Store(world) for _ in range(3)]
    received = [simpy.Store(world) for _ in range(3)]

    def host(own):
        draws = Draws(own + 1)
        for _ in range(ITEMS):
            if own > 0:
                idle[own].put(None)
                yield received[own].get()
            yield world.timeout(draws.exp(EXECUTION))
            if own < 2:
                yield idle[own + 1].get()
                yield world.timeout(TRANSFER)
                received[own + 1].put(None)

    for own in range(3):
        world.process(host(own))
    world.run()
    return world.now / ITEMS, 5 * ITEMS


WORKLOADS = {
    "mm1": mm1,
    "phold-1k": lambda: phold(1_000),
    "phold-10k": lambda: phold(10_000),
    "phold-100k": lambda: phold(100_000),
    "cqn": cqn,
    "pipe": pipe,
}


def peak_mb():
    """The most memory that this process had at once."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


if len(sys.argv) != 2 or sys.argv[1] not in WORKLOADS:
    sys.exit(f"usage: on_simpy.py WORKLOAD, one of {' '.join(WORKLOADS)}")
begin = time.process_time()
check, events = WORKLOADS[sys.argv[1]]()
seconds = time.process_time() - begin
print(f"{sys.argv[1]},simpy,{check:.9f},{events},{seconds:.6f},{peak_mb():.1f}")
