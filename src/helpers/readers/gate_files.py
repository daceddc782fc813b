"""Gate files of other programs → our own gates: FlowJo 10 workspaces (.wsp) and GatingML 2.0 (.xml).

FlowKit reads the gates. Before it sees a file, the XML is checked: strangers wrote it. A workspace is handed over
one sample at a time, so that one unknown gate loses one sample and not the workspace, and the counts that FlowJo
stored are kept for each population.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from xml.etree.ElementTree import Element, ParseError, tostring

from helpers.core.problems import Problem, Refused
from helpers.readers import gate
from helpers.readers.fcs import Spillover

if TYPE_CHECKING:
    from flowkit import GatingStrategy

MOST_BYTES = 50_000_000

_SPACE = "http://www.isac-net.org/std/Gating-ML/v2.0/"
_NODES = ("Population", "AndNode", "OrNode", "NotNode")


def read_gate_file(path: Path, file: str) -> gate.GateFile:
    """Gates of a FlowJo workspace, by sample, or of a GatingML file, for every sample.

    Parameters
    ----------
    path
        The file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        If the file is neither, is too large, holds XML that could attack the reader, or no gates that can be read.
    """
    root, data = _checked_xml(path, file)
    if "flowJoVersion" in root.attrib:
        return _workspace(root, file)
    if root.tag == f"{{{_SPACE}gating}}Gating-ML":
        return _gatingml(data, file)
    _refuse("not-gates", "This is neither a FlowJo workspace nor a GatingML 2.0 file.", file)


def _refuse(code: str, message: str, file: str, found: str = "") -> NoReturn:
    fix = "Save it again in FlowJo 10 (.wsp), or export GatingML 2.0."
    raise Refused([Problem("error", code, message, fix, file=file, found=found)])


def _checked_xml(path: Path, file: str) -> tuple[Element, bytes]:
    """The document, after it was seen to define no entities and to load nothing."""
    import defusedxml.ElementTree as xml
    from defusedxml import DefusedXmlException

    try:
        with path.open("rb") as handle:
            data = handle.read(MOST_BYTES + 1)
    except OSError:
        _refuse("unreadable", "The file cannot be opened.", file)
    if len(data) > MOST_BYTES:
        _refuse("too-large", "The gate file is larger than 50 MB.", file)
    try:
        return xml.fromstring(data, forbid_dtd=True), data
    except DefusedXmlException:
        _refuse("xml-entities", "The file defines entities or loads other files, which a gate file never does.", file)
    except (ParseError, ValueError, LookupError):
        _refuse("not-xml", "The file is no well-formed XML; it is damaged or of another kind.", file)


# ---- GatingML


def _gatingml(data: bytes, file: str) -> gate.GateFile:
    import flowkit

    try:
        gates = _gate_set(flowkit.parse_gating_xml(io.BytesIO(data)), "", {})
    except Exception as error:  # FlowKit says what it does not know in many kinds of error
        _refuse("gates-unreadable", "The gates of this file cannot be read.", file, str(error))
    return gate.GateFile(file, "gatingml", "2.0", {"": gates})


# ---- FlowJo


def _workspace(root: Element, file: str) -> gate.GateFile:
    samples, groups = root.find("SampleList"), root.find("Groups")
    if samples is None or groups is None:
        _refuse("not-gates", "The workspace has no list of samples.", file)
    for name in ("gating", "transformations", "datatypes"):
        root.set(f"{{{_SPACE}{name}}}id", "")  # declares all three vocabularies, which the reader looks for
    groups.clear()
    problems: list[Problem] = []
    sets: dict[str, gate.GateSet] = {}
    every = list(samples)
    names = Counter(_sample_name(s) for s in every)
    for sample in every:
        name = _sample_name(sample)
        samples[:] = [sample]
        try:
            gates = _sample_gates(tostring(root), sample)
        except Exception as error:  # as above
            problems.append(_unread_sample(file, name, error))
            continue
        if names[name] > 1:
            problems.append(_doubled_sample(file, name))
            node = sample.find("SampleNode")
            name = f"{name} [{node.get('sampleID') if node is not None else ''}]"
        sets[name] = gates
    samples[:] = every
    if every and not sets:
        raise Refused([replace(p, severity="error") for p in problems])
    return gate.GateFile(file, "flowjo", root.get("flowJoVersion", ""), sets, tuple(problems))


def _sample_name(sample: Element) -> str:
    node = sample.find("SampleNode")
    return "" if node is None else node.get("name", "")


def _unread_sample(file: str, sample: str, error: Exception) -> Problem:
    return Problem(
        "quarantine",
        "gates-unreadable",
        f"The gates of a sample cannot be read ({type(error).__name__}).",
        "Use rectangles, polygons, ellipses, quadrants and Boolean gates on linear, log, biex, logicle or ArcSinh scales.",
        file=file,
        found=str(error),
        entity=f"file {sample}",
    )


def _doubled_sample(file: str, sample: str) -> Problem:
    message = "Two samples of the workspace have one name; their number was added to it."
    fix = "Take the sample that is not meant out of the workspace."
    return Problem("warning", "sample-twice", message, fix, file=file, found=sample)


def _sample_gates(workspace: bytes, sample: Element) -> gate.GateSet:
    import flowkit

    read = flowkit.parse_wsp(io.BytesIO(workspace))["samples"]
    ((name, parts),) = read.items()
    return _gate_set(parts["gating_strategy"], name, dict(_stored_counts(sample)))


def _stored_counts(sample: Element) -> Iterator[tuple[gate.Path, int | None]]:
    """Counts that FlowJo stored, by path, () for all events; −1 in the file means that it never counted."""
    node = sample.find("SampleNode")
    waiting: list[tuple[gate.Path, Element]] = [((), node)] if node is not None else []
    while waiting:
        path, element = waiting.pop()
        count = int(element.get("count", "-1"))
        yield path, count if count >= 0 else None
        for below in element.findall("Subpopulations"):
            waiting += [((*path, child.get("name", "")), child) for child in below if child.tag in _NODES]


# ---- FlowKit's objects → ours


def _gate_set(strategy: GatingStrategy, sample: str, stored: dict[gate.Path, int | None]) -> gate.GateSet:
    from flowkit.exceptions import QuadrantReferenceError

    kept: list[tuple[gate.Path, Any]] = []
    for name, above in strategy.get_gate_ids():
        try:
            kept.append(((*above[1:], name), strategy.get_gate(name, above, sample_id=sample)))
        except QuadrantReferenceError:
            continue  # one quadrant; it comes with its gate
    crosses = {path for path, its_gate in kept if its_gate.gate_type == "QuadrantGate"}

    def real(path: gate.Path) -> gate.Path:
        """A path without the names of quadrant gates, which are no populations."""
        return tuple(name for i, name in enumerate(path) if path[: i + 1] not in crosses)

    populations: list[gate.Population] = []
    for path, its_gate in kept:
        if path in crosses:
            populations += [gate.Population((*real(path), q), form) for q, form in _quadrants(its_gate, strategy)]
            continue
        form = _boolean(its_gate, real) if its_gate.gate_type == "BooleanGate" else _form(its_gate, strategy)
        outside = getattr(its_gate, "use_complement", False)
        populations.append(gate.Population(real(path), form, outside, stored.get(path)))
    matrices = {name: _matrix(m) for name, m in strategy.comp_matrices.items()}
    return gate.GateSet(tuple(populations), matrices, stored.get(()))


def _matrix(matrix: Any) -> Spillover:
    if len(matrix.detectors) != len(matrix.matrix):
        raise ValueError("a spectral matrix, with more detectors than dyes")
    return Spillover(tuple(matrix.detectors), matrix.matrix, tuple(getattr(matrix, "fluorochromes", ())))


def _form(its_gate: Any, strategy: GatingStrategy) -> gate.Gate:
    dimensions = tuple(_dimension(d, strategy) for d in its_gate.dimensions)
    if its_gate.gate_type == "RectangleGate":
        ends = [(getattr(d, "min", None), getattr(d, "max", None)) for d in its_gate.dimensions]
        return _rectangle(dimensions, ends)
    if its_gate.gate_type == "PolygonGate":
        first, second = dimensions
        return gate.Polygon((first, second), tuple((float(x), float(y)) for x, y in its_gate.vertices))
    if its_gate.gate_type == "EllipsoidGate":
        covariance = tuple(tuple(map(float, row)) for row in its_gate.covariance_matrix)
        return gate.Ellipsoid(dimensions, tuple(its_gate.coordinates), covariance, float(its_gate.distance_square))
    raise ValueError(f"a gate of type {its_gate.gate_type}")


def _rectangle(dimensions: tuple[gate.Dimension, ...], ends: list[tuple[float | None, float | None]]) -> gate.Rectangle:
    lows = tuple(-math.inf if low is None else float(low) for low, _ in ends)
    highs = tuple(math.inf if high is None else float(high) for _, high in ends)
    return gate.Rectangle(dimensions, lows, highs)


def _quadrants(its_gate: Any, strategy: GatingStrategy) -> Iterator[tuple[str, gate.Rectangle]]:
    """The quadrants of a gate as rectangles, by name."""
    dividers = {d.id: _dimension(d, strategy) for d in its_gate.dimensions}
    for name, quadrant in its_gate.quadrants.items():
        dimensions = tuple(dividers[ref] for ref in quadrant.divider_refs)
        yield name, _rectangle(dimensions, [quadrant.get_divider_range(ref) for ref in quadrant.divider_refs])


def _boolean(its_gate: Any, real: Any) -> gate.Boolean:
    refs = [((*ref["path"][1:], ref["ref"]), bool(ref["complement"])) for ref in its_gate.gate_refs]
    return gate.Boolean(its_gate.type, tuple(gate.Operand(real(path), complement) for path, complement in refs))


def _dimension(dimension: Any, strategy: GatingStrategy) -> gate.Dimension:
    reference = dimension.transformation_ref
    scale = None if reference is None else _transform(strategy.transformations[reference])
    compensation = dimension.compensation_ref or gate.RAW
    if hasattr(dimension, "ratio_ref"):
        ratio = strategy.transformations[dimension.ratio_ref]
        above, below = ratio.dimensions
        channel: str | gate.Ratio = gate.Ratio(above, below, ratio.param_a, ratio.param_b, ratio.param_c)
    else:
        channel = getattr(dimension, "dimension_ref", None) or dimension.id
    return gate.Dimension(channel, scale, compensation)


def _transform(scale: Any) -> gate.Transform:
    match type(scale).__name__:
        case "LinearTransform":
            return gate.Linear(scale.param_t, scale.param_a)
        case "LogTransform":
            return gate.Log(scale.param_t, scale.param_m)
        case "AsinhTransform":
            return gate.Asinh(scale.param_t, scale.param_m, scale.param_a)
        case "LogicleTransform":
            return gate.Logicle(scale.param_t, scale.param_w, scale.param_m, scale.param_a)
        case "HyperlogTransform":
            return gate.Hyperlog(scale.param_t, scale.param_w, scale.param_m, scale.param_a)
        case "WSPBiexTransform":
            return gate.Biex(scale.negative, scale.width, scale.positive, scale.max_value)
        case "WSPLogTransform":
            return gate.FlowJoLog(scale.offset, scale.decades)
        case other:
            raise ValueError(f"a scale of type {other}")
