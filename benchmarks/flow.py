"""Read, compensate, gate and take medians of 300,000 events × 18 channels: ours against FlowKit, in one run.

Run with ``.venv/bin/python benchmarks/flow.py FILE.fcs…``: files of one panel with a spillover matrix, such as
Activation_*.fcs of CytoExploreRData; their events are joined, and repeated where they are fewer, in a temporary file.
Both sides give the same numbers, which is checked: events in up to five rectangular gates on logicle edges, and the
compensated median of every channel in each gate. FlowKit is taken twice: by its gating strategy, as its manual
does it, and at its leanest (sample compensated and transformed, edges compared by hand). Peak memory is taken by
a process of its own for each.

With ``--study COUNT`` before the files: a study's worth of files, COUNT of 50,000 events (and a quarter and a half as
many), each measured as the phenotype assay measures them, on two cores, with an empty cache. Time per file, which must
not grow with their number, and peak memory of all processes together, which must stay under 1.5 GB.
"""

from __future__ import annotations

import os
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
from helpers.assays.flow.transforms import linear_edge
from helpers.assays.phenotype.gating import GateRow, Stain
from helpers.assays.phenotype.measure import Recipe
from helpers.assays.phenotype.samples import FOLDER, Tube
from helpers.assays.phenotype.tasks import Task, measure_all
from helpers.readers.fcs import read_fcs, read_fcs_header
from helpers.readers.gate import OWN_MATRIX, Dimension, GateSet, Logicle, Population, Rectangle

EVENTS, TIMES = 300_000, 9
STUDY_EVENTS, CORES, MOST_MB = 50_000, 2, 1_500
LOW, HIGH = (0.1, 0.15), (0.8, 0.9)
MOST_GATES = 5
Result = tuple[list[int], list[list[float]]]


def pooled(files: list[Path]) -> tuple[np.ndarray, list[str], dict[str, str]]:
    """Events of several files of one panel, their channels, and the keywords that are kept."""
    parts = [flowio.FlowData(str(f)) for f in files]
    width = parts[0].channel_count
    events = np.concatenate([np.reshape(np.array(p.events, dtype=np.float32), (-1, width)) for p in parts])
    said = parts[0].text
    return events, parts[0].pnn_labels, {"spill": said.get("spill") or said["spillover"], "timestep": said["timestep"]}


def joined(files: list[Path], target: Path) -> None:
    """One FCS file of `EVENTS` events from several of one panel."""
    events, labels, kept = pooled(files)
    rows = np.resize(np.arange(len(events)), EVENTS)
    with target.open("wb") as handle:
        flowio.create_fcs(handle, array("f", events[rows].tobytes()), labels, metadata_dict=kept)


def pairs(file: Path) -> list[tuple[str, str]]:
    """Channels of the gates: neighbours in the spillover matrix, each in one gate."""
    spillover = read_fcs_header(file, file.name).spillover
    assert spillover is not None
    return list(zip(spillover.channels[::2], spillover.channels[1::2], strict=False))[:MOST_GATES]


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
    masks = [results.get_gate_membership(f"gate {i}") for i in range(len(pairs(file)))]
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


# ---- a study's worth of files


def write_study(files: list[Path], folder: Path, count: int) -> None:
    """`count` files of `STUDY_EVENTS` events, each other events of the pool, so that no two have one content."""
    events, labels, kept = pooled(files)
    (folder / FOLDER).mkdir(parents=True)
    for i in range(count):
        rows = np.random.default_rng(i).integers(0, len(events), STUDY_EVENTS)
        with (folder / FOLDER / f"{i:03d}.fcs").open("wb") as handle:
            flowio.create_fcs(handle, array("f", events[rows].tobytes()), labels, metadata_dict=kept)


def measured_study(folder: Path, count: int) -> None:
    """The first `count` files of a study through the assay's own path; prints the seconds that took."""
    names = [f"{i:03d}.fcs" for i in range(count)]
    low, high = (tuple(linear_edge(x, Logicle()) for x in edges) for edges in (LOW, HIGH))
    edges = (low[0], high[0], low[1], high[1])
    gates = [
        GateRow(f"gate {i}", "", "rectangle", channels, edges, "", "", "", "")
        for i, channels in enumerate(pairs(folder / FOLDER / names[0]))
    ]
    recipe = Recipe("P1", tuple(gates), "", Stain((), frozenset()))
    tubes = [Tube(n, "", "", "", "", "", (), "P1", "stained", (), "", "", "") for n in names]
    tasks: list[Task] = [(tube, recipe, None, "table") for tube in tubes]
    start = time.perf_counter()
    found, problems = measure_all(folder, tasks)
    taken = time.perf_counter() - start
    assert len(found) == count, problems
    assert all(len(one.populations) == len(gates) and one.n_events == STUDY_EVENTS for one in found.values())
    print(taken)


def of_all_processes_mb(pid: int) -> float:
    """Memory of a process and all that it started; pages that they share count once."""
    total, left = 0, [pid]
    while left:
        one = left.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
            for task in Path(f"/proc/{one}/task").iterdir():
                left += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
        except (OSError, StopIteration):
            continue  # it has ended
    return total / 1024


def study_run(folder: Path, count: int) -> tuple[float, float]:
    """Seconds and peak MB of one run in a process of its own, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        own = os.environ | {"APAP_CACHE": cache, "LOKY_MAX_CPU_COUNT": str(CORES)}
        words = [sys.executable, __file__, "--measure", str(folder), str(count)]
        running = subprocess.Popen(words, env=own, stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(running.pid, sorted(os.sched_getaffinity(0))[:CORES])
        peak = 0.0
        while running.poll() is None:
            peak = max(peak, of_all_processes_mb(running.pid))
            time.sleep(0.05)
        said = running.communicate()[0]
    if running.returncode:
        sys.exit("A run failed.")
    return float(said), peak


def whole_study(files: list[Path], count: int) -> None:
    """Print time per file and memory of a quarter, half and all of the files."""
    with tempfile.TemporaryDirectory() as folder:
        write_study(files, Path(folder), count)
        counts = sorted({max(1, count // 4), max(1, count // 2), count})
        runs = {n: study_run(Path(folder), n) for n in counts}
    for n, (taken, peak) in runs.items():
        print(
            f"{n} files of {STUDY_EVENTS} events: {taken:.1f} s, {1000 * taken / n:.0f} ms a file, {peak:.0f} MB at most"
        )
    first, last = counts[0], counts[-1]
    per_file = (runs[last][0] / last) / (runs[first][0] / first)
    print(f"cost a file with {last} files over that with {first}: {per_file:.2f}; memory under {MOST_MB} MB: ", end="")
    print("yes" if max(peak for _, peak in runs.values()) < MOST_MB else "NO")


def main() -> None:
    """Compare the ways, or measure a study's worth of files; other words are for the processes that this starts."""
    warnings.simplefilter("ignore")
    words = sys.argv[1:]
    if words[:1] == ["--measure"]:
        measured_study(Path(words[1]), int(words[2]))
    elif words[:1] == ["--study"] and len(words) > 2:
        whole_study([Path(w) for w in words[2:]], int(words[1]))
    elif words[:1] == ["--memory"]:
        before = resident_kb("VmRSS")
        WAYS[words[1]](Path(words[2]))
        print((resident_kb("VmHWM") - before) // 1024)
    elif words:
        compare([Path(w) for w in words])
    else:
        sys.exit("Name the FCS files to join.")


if __name__ == "__main__":
    main()
