"""Read, compensate, gate and take medians of 300,000 events × 18 channels: ours against FlowKit, in one run.

Run with ``.venv/bin/python benchmarks/flow.py FILE.fcs…``: files of one panel with a spillover matrix, such as
Activation_*.fcs of CytoExploreRData; their events are joined, and repeated where they are fewer, in a temporary file.
Both sides give the same numbers, which is checked: events in five rectangular gates on logicle edges, and the
compensated median of every channel in each gate. FlowKit is taken twice: by its gating strategy, as its manual
does it, and at its leanest (sample compensated and transformed, edges compared by hand). Peak memory is taken by
a process of its own for each.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from array import array
from collections.abc import Callable
from pathlib import Path

import flowio
import flowkit
import numpy as np

from helpers.assays.flow.compensation import compensate
from helpers.assays.flow.gates import apply_gates
from helpers.readers.fcs import read_fcs, read_fcs_header
from helpers.readers.gate import OWN_MATRIX, Dimension, GateSet, Logicle, Population, Rectangle

EVENTS, TIMES = 300_000, 9
LOW, HIGH = (0.1, 0.15), (0.8, 0.9)
GATES = 5
Result = tuple[list[int], list[list[float]]]


def joined(files: list[Path], target: Path) -> None:
    """One FCS file of `EVENTS` events from several of one panel."""
    parts = [flowio.FlowData(str(f)) for f in files]
    width = parts[0].channel_count
    events = np.concatenate([np.reshape(np.array(p.events, dtype=np.float32), (-1, width)) for p in parts])
    rows = np.resize(np.arange(len(events)), EVENTS)
    kept = {"spill": parts[0].text["spill"], "timestep": parts[0].text["timestep"]}
    with target.open("wb") as handle:
        flowio.create_fcs(handle, array("f", events[rows].tobytes()), parts[0].pnn_labels, metadata_dict=kept)


def pairs(file: Path) -> list[tuple[str, str]]:
    """Channels of the five gates: neighbours in the spillover matrix."""
    spillover = read_fcs_header(file, file.name).spillover
    assert spillover is not None
    return [(spillover.channels[2 * i], spillover.channels[2 * i + 1]) for i in range(GATES)]


def ours(file: Path) -> Result:
    """This project's path."""
    fcs = read_fcs(file, file.name)
    assert fcs.spillover is not None
    events = compensate(fcs.events, fcs.names, fcs.spillover)
    populations = []
    for i, channels in enumerate(pairs(file)):
        dimensions = tuple(Dimension(c, Logicle(), OWN_MATRIX) for c in channels)
        populations.append(Population((f"gate {i}",), Rectangle(dimensions, LOW, HIGH)))
    gated = apply_gates(fcs.events, fcs.channels, GateSet(tuple(populations)), compensated={OWN_MATRIX: events})
    masks = [gated.members[p.path] for p in populations]
    return [int(m.sum()) for m in masks], [[float(np.median(c[m])) for c in events.T] for m in masks]


def flowkit_strategy(file: Path) -> Result:
    """FlowKit's gating strategy; medians of the compensated events of its sample."""
    sample = flowkit.Sample(str(file))
    sample.apply_compensation(sample.metadata["spill"])
    strategy = flowkit.GatingStrategy()
    strategy.add_transform("logicle", flowkit.transforms.LogicleTransform(262144, 0.5, 4.5, 0))
    for i, channels in enumerate(pairs(file)):
        dimensions = [
            flowkit.Dimension(c, "FCS", "logicle", range_min=low, range_max=high)
            for c, low, high in zip(channels, LOW, HIGH, strict=True)
        ]
        strategy.add_gate(flowkit.gates.RectangleGate(f"gate {i}", dimensions), ("root",))
    results = strategy.gate_sample(sample)
    masks = [results.get_gate_membership(f"gate {i}") for i in range(GATES)]
    events = sample.get_events("comp")
    return [int(m.sum()) for m in masks], [np.median(events[m], axis=0).tolist() for m in masks]


def flowkit_lean(file: Path) -> Result:
    """FlowKit's sample alone: compensated, transformed, edges compared by hand."""
    sample = flowkit.Sample(str(file))
    sample.apply_compensation(sample.metadata["spill"])
    sample.apply_transform(flowkit.transforms.LogicleTransform(262144, 0.5, 4.5, 0))
    drawn, events = sample.get_events("xform"), sample.get_events("comp")
    masks = []
    for channels in pairs(file):
        inside = np.ones(len(drawn), dtype=bool)
        for c, low, high in zip(channels, LOW, HIGH, strict=True):
            values = drawn[:, sample.get_channel_index(c)]
            inside &= (values >= low) & (values < high)
        masks.append(inside)
    return [int(m.sum()) for m in masks], [np.median(events[m], axis=0).tolist() for m in masks]


WAYS: dict[str, Callable[[Path], Result]] = {
    "ours": ours,
    "FlowKit, gating strategy": flowkit_strategy,
    "FlowKit, lean": flowkit_lean,
}


def seconds(way: Callable[[Path], Result], file: Path) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    way(file)
    return time.perf_counter() - start


def spread(values: list[float]) -> str:
    """Median and quartiles, in words."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def memory_mb(name: str, file: Path) -> int:
    """Memory that one run adds to a process that has everything imported."""
    words = [sys.executable, __file__, "--memory", name, str(file)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def resident_kb(kind: str) -> int:
    """This process's memory as Linux counts it: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def compare(files: list[Path]) -> None:
    """Print times, their ratio and memory."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "joined.fcs"
        joined(files, file)
        results = {name: way(file) for name, way in WAYS.items()}  # also the warm-up
        for name, (counted, medians) in results.items():
            assert counted == results["ours"][0], f"{name} counts other events"
            assert np.allclose(medians, results["ours"][1], rtol=1e-9, atol=1e-6), f"{name} has other medians"
        print(f"{EVENTS} events, events in the gates: {results['ours'][0]}")
        taken: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(TIMES):
            for name, way in WAYS.items():
                taken[name].append(seconds(way, file))
        for name, own in taken.items():
            ratios = [peer / mine for peer, mine in zip(own, taken["ours"], strict=True)]
            print(f"{name}: {spread(own)} s, {spread(ratios)} times ours, {memory_mb(name, file)} MB more at its peak")


def main() -> None:
    """Compare the ways; with --memory NAME FILE run one way and print the memory it added."""
    warnings.simplefilter("ignore")
    words = sys.argv[1:]
    if words[:1] == ["--memory"]:
        before = resident_kb("VmRSS")
        WAYS[words[1]](Path(words[2]))
        print((resident_kb("VmHWM") - before) // 1024)
    elif words:
        compare([Path(w) for w in words])
    else:
        sys.exit("Name the FCS files to join.")


if __name__ == "__main__":
    main()
