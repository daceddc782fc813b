"""FlowJo workspaces and GatingML files: what FlowKit reads, and what must never reach it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.assays.flow.gates import apply_gates
from helpers.core.problems import Refused
from helpers.readers import gate, gate_files
from helpers.readers.fcs import Channel
from helpers.readers.gate_files import read_gate_file

SPACES = " ".join(
    f'xmlns:{short}="http://www.isac-net.org/std/Gating-ML/v2.0/{name}"'
    for short, name in (("gating", "gating"), ("transforms", "transformations"), ("data-type", "datatypes"))
)


def parameter(name: str) -> str:
    return f'<data-type:parameter data-type:name="{name}"/>'


SCALES = (
    f'<transforms:linear transforms:minRange="0" transforms:maxRange="1000">{parameter("A")}</transforms:linear>'
    '<transforms:logicle transforms:length="256" transforms:T="262144" transforms:A="0" transforms:W="0.5"'
    f' transforms:M="4.5">{parameter("B")}</transforms:logicle>'
    f'<transforms:log transforms:offset="10" transforms:decades="4">{parameter("C/D")}</transforms:log>'
)
MATRIX = (
    '<transforms:spilloverMatrix spectral="0" prefix="Comp-" name="mine" suffix=""><data-type:parameters>'
    '<data-type:parameter data-type:name="A"/><data-type:parameter data-type:name="B"/></data-type:parameters>'
    + "".join(
        f'<transforms:spillover data-type:parameter="{row}">'
        + "".join(
            f'<transforms:coefficient data-type:parameter="{c}" transforms:value="{v}"/>'
            for c, v in zip("AB", values, strict=True)
        )
        + "</transforms:spillover>"
        for row, values in (("A", (1, 0.2)), ("B", (0.1, 1)))
    )
    + "</transforms:spilloverMatrix>"
)


def range_gate(channel: str, low: float) -> str:
    axis = f'<data-type:fcs-dimension data-type:name="{channel}"/>'
    return (
        f'<Gate><gating:RectangleGate><gating:dimension gating:min="{low}">{axis}</gating:dimension>'
        "</gating:RectangleGate></Gate>"
    )


TREE = f"""
<Subpopulations>
  <Population name="bright" owningGroup="" count="40">{range_gate("Comp-A", 500)}
    <Subpopulations>
      <Population name="double" owningGroup="" count="-1">{range_gate("Comp-B", 1000)}</Population>
      <AndNode name="both" owningGroup="" count="7"><Dependents>
        <Dependent name="bright/double"/><Dependent name="far"/></Dependents></AndNode>
    </Subpopulations>
  </Population>
  <Population name="far" owningGroup="" count="12">{range_gate("C_D", 100)}</Population>
  <NotNode name="near" owningGroup="" count="88"><Dependents><Dependent name="far"/></Dependents></NotNode>
</Subpopulations>"""


def sample(name: str, number: int = 1, tree: str = TREE, scales: str = SCALES) -> str:
    return (
        f'<Sample><DataSet uri="file:/C:/Users/zhang/{name}" sampleID="{number}"/>{MATRIX}'
        f"<Transformations>{scales}</Transformations>"
        '<Keywords><Keyword name="$OP" value="Zhang San"/></Keywords>'
        f'<SampleNode name="{name}" count="100" sampleID="{number}">{tree}</SampleNode></Sample>'
    )


def workspace(*samples: str) -> str:
    return (
        f'<Workspace version="20.0" flowJoVersion="10.8.1" {SPACES}><Groups/>'
        f"<SampleList>{''.join(samples)}</SampleList></Workspace>"
    )


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], gate.GateFile]:
    def from_text(text: str | bytes) -> gate.GateFile:
        path = tmp_path / "gates.wsp"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_gate_file(path, "phenotype/gates.wsp")

    return from_text


def codes(read: Callable[[str | bytes], gate.GateFile], text: str | bytes) -> set[str]:
    with pytest.raises(Refused) as caught:
        read(text)
    assert all(p.file == "phenotype/gates.wsp" for p in caught.value.problems)
    return {p.code for p in caught.value.problems}


# ---- workspaces


def test_a_workspace_with_everything(read: Callable[[str | bytes], gate.GateFile]) -> None:
    gates = read(workspace(sample("D01.fcs")))
    assert (gates.kind, gates.version, list(gates.sets)) == ("flowjo", "10.8.1", ["D01.fcs"])
    own = gates.sets["D01.fcs"]
    by_path = {p.path: p for p in own.populations}
    assert {path: p.stored_events for path, p in by_path.items()} == {
        ("bright",): 40,
        ("bright", "double"): None,
        ("bright", "both"): 7,
        ("far",): 12,
        ("near",): 88,
    }
    assert own.stored_events == 100
    bright, both = by_path[("bright",)].gate, by_path[("bright", "both")].gate
    assert isinstance(bright, gate.Rectangle) and bright.lows == (0.5,), "500 on a linear scale up to 1000"
    assert bright.dimensions == (gate.Dimension("A", gate.Linear(1000, 0), "mine"),)
    assert own.matrices["mine"].matrix.tolist() == [[1, 0.2], [0.1, 1]]
    operands = (gate.Operand(("bright", "double")), gate.Operand(("far",)))
    assert both == gate.Boolean("and", operands)
    assert by_path[("near",)].gate == gate.Boolean("not", (gate.Operand(("far",)),))


def test_no_keyword_of_a_workspace_is_kept(read: Callable[[str | bytes], gate.GateFile]) -> None:
    assert not re.search("zhang", repr(read(workspace(sample("D01.fcs")))), re.I)


def test_one_unreadable_sample_does_not_lose_the_others(read: Callable[[str | bytes], gate.GateFile]) -> None:
    strange = SCALES.replace("logicle", "miltenyi")
    gates = read(workspace(sample("D01.fcs"), sample("D02.fcs", 2, scales=strange), sample("D03.fcs", 3)))
    assert list(gates.sets) == ["D01.fcs", "D03.fcs"]
    (problem,) = gates.problems
    assert (problem.severity, problem.entity) == ("quarantine", "file D02.fcs")


def test_a_gate_without_a_form_is_named(read: Callable[[str | bytes], gate.GateFile]) -> None:
    tree = '<Subpopulations><Population name="cluster" owningGroup="" count="3"/></Subpopulations>'
    assert codes(read, workspace(sample("D01.fcs", tree=tree))) == {"gates-unreadable"}


def test_two_samples_of_one_name_are_both_kept(read: Callable[[str | bytes], gate.GateFile]) -> None:
    gates = read(workspace(sample("D01.fcs", 1), sample("D01.fcs", 2, tree="")))
    assert list(gates.sets) == ["D01.fcs [1]", "D01.fcs [2]"]
    assert {p.code for p in gates.problems} == {"sample-twice"}
    assert gates.sets["D01.fcs [2]"].populations == ()


def test_real_workspaces_keep_what_flowjo_counted(reference_data: Path) -> None:
    folder = reference_data / "flow/flowkit/simple_diamond_example"
    gates = read_gate_file(folder / "simple_diamond_example_quad_gate.wsp", "quad.wsp").sets["test_data_diamond_01.fcs"]
    assert [p.stored_events for p in gates.populations] == [49671, 50596, 50330, 49403]
    assert gates.stored_events == 200_000


# ---- GatingML


def test_every_gatingml_file_of_the_compliance_set(reference_data: Path) -> None:
    """All but one; that one holds an element <sample>, which the schema does not know."""
    refused = []
    for path in sorted((reference_data / "flow/flowkit/gate_ref/gml").glob("*.xml")):
        try:
            gates = read_gate_file(path, path.name)
        except Refused as error:
            refused.append((path.name, error.problems[0].code))
        else:
            assert gates.kind == "gatingml" and gates.sets[""].populations
    assert refused == [("gml_range_gate_attr_testing.xml", "gates-unreadable")]


def test_quadrants_are_populations_under_the_gates_parent(reference_data: Path) -> None:
    file = reference_data / "flow/flowkit/gate_ref/gml/gml_parent_quadrant_rect_gate.xml"
    paths = {p.path for p in read_gate_file(file, file.name).sets[""].populations}
    assert ("FL2P-FL4P", "ParRectangle1") in paths and ("FL2N-FL4N",) in paths and len(paths) == 5


# ---- files of strangers

GATINGML = f"<gating:Gating-ML {SPACES}>{{}}</gating:Gating-ML>"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not-xml"),
        ("not xml at all", "not-xml"),
        (b"\x00\xff\xfe" * 100, "not-xml"),
        (b"PK\x03\x04 a workbook", "not-xml"),
        (workspace(sample("D01.fcs"))[:1500], "not-xml"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "not-xml"),
        ("<html><body/></html>", "not-gates"),
        ('<Workspace flowJoVersion="10.8.1"/>', "not-gates"),
        (f'<Workspace flowJoVersion="9.9" {SPACES}><Groups/><SampleList/></Workspace>', None),
        (workspace(sample("D01.fcs")).replace("10.8.1", "9.9.6"), "gates-unreadable"),
        (
            workspace(sample("D01.fcs")).replace("<SampleNode", "<Other").replace("</SampleNode", "</Other"),
            "gates-unreadable",
        ),
        (workspace(sample("D01.fcs", tree=TREE.replace('"500"', '"lots"').replace("500", "lots"))), "gates-unreadable"),
        (GATINGML.format("<gating:RectangleGate/>"), "gates-unreadable"),
        (GATINGML.format("<gating:SpiralGate gating:id='x'/>"), "gates-unreadable"),
        ("<a>" * 5000 + "</a>" * 5000, "not-gates"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "xml-entities"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>', "xml-entities"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>', "xml-entities"),
        (
            '<!DOCTYPE l [<!ENTITY a "lol">'
            + "".join(f'<!ENTITY {y} "{f"&{x};" * 10}">' for x, y in zip("abcdefghi", "bcdefghij", strict=True))
            + "]><l>&j;</l>",
            "xml-entities",
        ),
    ],
)
def test_hostile_and_broken_files(
    read: Callable[[str | bytes], gate.GateFile], text: str | bytes, code: str | None
) -> None:
    if code is None:
        assert read(text).sets == {}
    else:
        assert codes(read, text) == {code}


def test_a_file_that_is_too_large(
    read: Callable[[str | bytes], gate.GateFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_files, "MOST_BYTES", 1000)
    assert codes(read, workspace(sample("D01.fcs"))) == {"too-large"}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be opened"):
        read_gate_file(tmp_path / "none.wsp", "none.wsp")


def test_mutated_workspaces_are_refused_or_applied(read: Callable[[str | bytes], gate.GateFile]) -> None:
    """150 mutations: what is read is applied or refused in turn; never another error."""
    rng = np.random.default_rng(8)
    text = workspace(sample("D01.fcs"), sample("D02.fcs", 2)).encode()
    events, named = (
        rng.normal(500, 300, (200, 3)),
        [Channel(n, name, "", 32, 1e5) for n, name in enumerate(("A", "B", "C/D"), 1)],
    )
    words = [m.span(1) for m in re.finditer(rb'="([^"]*)"', text)]
    applied = 0
    for i in range(150):
        out = bytearray(text)
        if i % 3 == 0:
            for at in rng.integers(0, len(text), size=3):
                out[at] ^= 1 << int(rng.integers(8))
        elif i % 3 == 1:
            first, last = words[rng.integers(len(words))]
            out[first:last] = (b"", b"-1", b"nan", b"1e999", b"x" * 300, b"A")[rng.integers(6)]
        else:
            first, last = sorted(rng.integers(0, len(text), size=2))
            del out[first : first + (last - first) // 20]
        with contextlib.suppress(Refused):
            for gates in read(bytes(out)).sets.values():
                applied += len(apply_gates(events, named, gates).members)
    assert applied > 100


def test_a_circle_of_gates(read: Callable[[str | bytes], gate.GateFile]) -> None:
    axis = '<data-type:fcs-dimension data-type:name="A"/>'
    one = (
        '<gating:RectangleGate gating:id="{}" gating:parent_id="{}"><gating:dimension gating:min="1"'
        f' gating:compensation-ref="uncompensated">{axis}</gating:dimension></gating:RectangleGate>'
    )
    assert codes(read, GATINGML.format(one.format("g", "h") + one.format("h", "g"))) == {"gates-unreadable"}
    assert read(GATINGML.format(one.format("g", "h") + one.format("h", "i").replace(' gating:parent_id="i"', ""))).sets


def test_a_spectral_matrix_is_not_taken_for_a_square_one(read: Callable[[str | bytes], gate.GateFile]) -> None:
    """More detectors than dyes would be unmixed, not compensated: the file is refused with what it holds."""

    def dimensions(*names: str) -> str:
        return "".join(f'<data-type:fcs-dimension data-type:name="{n}"/>' for n in names)

    def matrix(*rows: tuple[float, ...]) -> str:
        spectra = ("".join(f'<transforms:coefficient transforms:value="{v}"/>' for v in row) for row in rows)
        detectors = ["B1", "B2", "B3"][: len(rows[0])]
        return GATINGML.format(
            '<transforms:spectrumMatrix transforms:id="S">'
            f"<transforms:fluorochromes>{dimensions('A', 'B')}</transforms:fluorochromes>"
            f"<transforms:detectors>{dimensions(*detectors)}</transforms:detectors>"
            + "".join(f"<transforms:spectrum>{spectrum}</transforms:spectrum>" for spectrum in spectra)
            + "</transforms:spectrumMatrix>"
        )

    assert read(matrix((1, 0.1), (0.2, 1))).sets[""].matrices["S"].channels == ("B1", "B2")
    with pytest.raises(Refused, match="more detectors than dyes"):
        read(matrix((1, 0.1, 0.3), (0.2, 1, 0.1)))
