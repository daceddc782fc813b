"""Files that the fuzzing starts from, small and whole: cut from the demo, written by hand, and real ones if they are here."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import openpyxl

MOST_BYTES = 40_000
"""Larger real files take too long to read to be read thousands of times."""
CANARIES = ("13800138000", "zhang.wei@example.org", "11010119900307783X", "患者张伟")
"""Identities that stand in cells of every seed; no sentence may show one."""

REFERENCE = {
    "bioplex": ("luminex/bioplex/synthetic_bioplex.xlsx", "luminex/bioplex/Guide Set plate 1.xls"),
    "xponent": ("luminex/xponent/*.csv",),
    "intelliflex": ("luminex/intelliflex/*.csv",),
    "msd": ("luminex/msd/*",),
    "plain": ("luminex/ncal/*.csv",),
    "fcs": ("flow/flowkit/simple_line_example/*.fcs",),
    "gates": ("flow/flowkit/simple_*/*.wsp", "flow/flowkit/gate_ref/gml/gml_all_gates.xml"),
    "flow_table": ("phagocytosis/opsonophagocytosis_flowjo/flowjo_export.csv", "phagocytosis/abalone_beads/*.csv"),
    "uptake": ("phagocytosis/glioma_beads/*.txt",),
}


def seeds(demo: Path, study: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Names and bytes of files by the name of what reads them; those of a study are called by their path in it."""
    raw = demo / "cytokines" / "raw"
    found = {
        "bioplex": [_small_book(raw / "P3.xlsx")],
        "bioplex_xml": [BIOPLEX_XML.encode()],
        "xponent": [_small_blocks((raw / "P1.csv").read_text(encoding="utf-8"))],
        "intelliflex": [INTELLIFLEX.encode()],
        "msd": [MSD.encode(), MSD_GRID.encode(), _as_book(MSD)],
        "plain": [PLAIN_LONG.encode(), PLAIN_WIDE.encode(), _as_book(PLAIN_LONG)],
        "fcs": [_smallest(demo.glob("phenotype/fcs/*.fcs")), _smallest(demo.glob("phagocytosis/raw/*.fcs")), _fcs()],
        "gates": [WORKSPACE.encode(), GATING_ML.encode(), (demo / "phagocytosis/raw/gates.xml").read_bytes()],
        "flow_table": [FLOWJO.encode(), FACSDIVA.encode(), _as_book(FLOWJO)],
        "uptake": [CELLS.encode(), FIELDS.encode(), SERIES.encode(), _as_book(FIELDS)],
    }  # fmt: skip
    for reader, files in _real_files().items():
        found[reader] += files
    named = {reader: [("x.dat", data) for data in files] for reader, files in found.items()}
    tables = [p for p in sorted(study.rglob("*.csv")) if p.parent.name != "raw"]
    files = [(p.relative_to(study).as_posix(), p.read_bytes()) for p in tables]
    books = [(name.replace(".csv", ".xlsx"), _as_book(data.decode())) for name, data in files]
    settings = [("study.yaml", folder.joinpath("study.yaml").read_bytes()) for folder in (study, demo)]
    return named | {"tables": files + books, "study.yaml": settings, "study": files + settings[:1]}


def broad_study(folder: Path) -> None:
    """Adds to the small study a table of every kind, one drawn as a grid, so that every reader of tables has a seed."""
    for name, text in STUDY_TABLES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "cytokines/raw").mkdir()
    (folder / "cytokines/raw/p.csv").write_text(PLAIN_LONG, encoding="utf-8")
    (folder / "phenotype/fcs").mkdir()
    (folder / "phenotype/fcs/a.fcs").write_bytes(_fcs())


def _real_files() -> dict[str, list[bytes]]:
    """Small real files of the folder in APAP_REFERENCE_DATA; none where it is not set."""
    named = os.environ.get("APAP_REFERENCE_DATA")
    if not named:
        return {}
    root = Path(named)
    assert root.is_dir(), "APAP_REFERENCE_DATA is set, but there is no such folder"
    files = {
        name: [p for pattern in patterns for p in sorted(root.glob(pattern))] for name, patterns in REFERENCE.items()
    }
    assert all(files.values()), f"no reference files for: {[name for name, found in files.items() if not found]}"
    return {name: [p.read_bytes() for p in found if p.stat().st_size <= MOST_BYTES] for name, found in files.items()}


# ---- cut from the demo


def _small_blocks(text: str) -> bytes:
    """An xPONENT file with four columns and nine wells in each block."""
    head, *blocks = text.replace("SIMULATED_P1", CANARIES[1]).split('\n"DataType:"')
    short = [head]
    for block in blocks:
        lines = [",".join(line.split(",")[:5]) for line in block.splitlines()]
        short.append("\n".join([*lines[:11], *(line for line in lines[11:] if line.startswith("-- CRC")), ""]))
    return '\n"DataType:"'.join(short).replace("Standard3", CANARIES[0]).encode()


def _small_book(path: Path) -> bytes:
    """A Bio-Plex workbook of two analytes and about twenty wells."""
    whole, made = openpyxl.load_workbook(path, read_only=True), openpyxl.Workbook()
    made.remove(made.active)
    for name in whole.sheetnames[:2]:
        rows = list(whole[name].iter_rows(values_only=True))
        sheet = made.create_sheet(name)
        for row in (*rows[:26], *rows[-12:]):
            sheet.append([CANARIES[0] if cell == "C2" else cell for cell in row])
    return _saved(made)


def _as_book(text: str) -> bytes:
    """The same table as a workbook, numbers as numbers."""
    made = openpyxl.Workbook()
    for line in text.splitlines():
        made.active.append([float(c) if c.replace(".", "", 1).isdigit() and len(c) < 9 else c for c in line.split(",")])
    return _saved(made)


def _saved(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _smallest(files: Iterable[Path]) -> bytes:
    return min(files, key=lambda p: (p.stat().st_size, p.name)).read_bytes()


def _fcs() -> bytes:
    """Three events of four channels, with a spillover matrix, logarithmic amplifiers and people's names."""
    words = {"BYTEORD": "1,2,3,4", "DATATYPE": "F", "MODE": "L", "PAR": "4", "TOT": "3", "NEXTDATA": "0"}
    words |= {"BEGINDATA": "1500", "ENDDATA": "1547", "BEGINSTEXT": "0", "ENDSTEXT": "0", "TIMESTEP": "0.01"}
    words |= {"SPILLOVER": "2,B,C,1,0.2,0.1,1", "OP": CANARIES[3], "FIL": CANARIES[1], "CYT": f"Cyt {CANARIES[0]}"}
    for n, (name, marker) in enumerate((("A", "FSC"), ("B", CANARIES[0]), ("C", "CD169 张伟"), ("Time", "")), 1):
        words |= {
            f"P{n}N": name,
            f"P{n}S": marker or " ",
            f"P{n}B": "32",
            f"P{n}R": "262144",
            f"P{n}E": "0,0",
            f"P{n}G": "1.0",
        }
    text = ("|" + "".join(f"${k}|{v}|" for k, v in words.items())).encode()
    head = f"FCS3.0    {58:>8}{57 + len(text):>8}{1500:>8}{1547:>8}{0:>8}{0:>8}".encode()
    return (head + text).ljust(1500) + struct.pack("<12f", *range(1, 13))


# ---- written by hand

INTELLIFLEX = (
    "INSTRUMENT TYPE,SERIAL NUMBER,SOFTWARE VERSION,PLATE NAME,PLATE START,WELL LOCATION,WELL TYPE,WELL STATUS,SAMPLE ID,"
    "TOTAL EVENTS,R20: RP1 ANALYTE NAME,R20: RP1 REGION,R20: RP1 MEDIAN,R20: RP1 NET MEDIAN,R20: RP1 COUNT,R20: RP1 %CV,"
    "R21: RP1 ANALYTE NAME,R21: RP1 REGION,R21: RP1 MEDIAN,R21: RP1 NET MEDIAN,R21: RP1 COUNT,R21: RP1 %CV\n"
    "INTELLIFLEX,SN,2.1,P1,2024-10-07 12:00:00 PM,A1,S1,Completed,Standard1,500,IL-6,20,9700,9600,60,4,IL-8,21,6900,6800,70,3\n"
    "INTELLIFLEX,SN,2.1,P1,2024-10-07 12:00:00 PM,B1,B,Completed,Background0,500,IL-6,20,100,0,61,9,IL-8,21,90,0,70,8\n"
    f"INTELLIFLEX,SN,2.1,P1,2024-10-07 12:00:00 PM,A2,U1,Warning,{CANARIES[0]},500,IL-6,20,2000,1900,30,4,IL-8,21,8400,8300,9,3\n"
)
MSD = (
    "Plate Name,Sample,Assay,Well,Spot,Detection Range,Dilution,Concentration,Signal,Calc. Concentration\n"
    "P1,S001,IL-6,A01,1,In Detection Range,,1000,90000,1004.5\n"
    "P1,S001,IL-8,A01,2,Above Detection Range,,800,70000,812\n"
    "P1,C001,IL-6,C01,1,In Detection Range,2,125,12000,131\n"
    "P1,C001,IL-8,C01,2,In Detection Range,2,100,11000,103\n"
    f"P1,{CANARIES[0]},IL-6,D01,1,Below Fit Curve Range,2,,80,NaN\n"
    f"P1,{CANARIES[0]},IL-8,D01,2,Below Detection Range,2,,120,0.04\n"
)
MSD_GRID = (
    f"FileName :\tZ:\\{CANARIES[1]}\\P1.txt\nStack ID :\t0.1\nPlate #  :\t1\nType     :\t96\nWells Per Row :\t12\n"
    "Wells Per Col :\t8\nSpots Per Well:\t2\nRead Time:\t09/08/2023\t13:39:33 EDT\nVersion  :\tMMPR 1.0.38\n"
    f"User     :\t{CANARIES[0]}\nOrient   :\tNormal\n\n{'=' * 10}Data{'=' * 30}\n"
    "  \t" + "\t".join(f"{j:<10}" for j in range(1, 13)) + "\n"
    + "".join(f"{x} \t" + "\t".join(f"{1000 * i + 10 * j + s:>10}  " for j in range(12)) + "\n"
              for i, x in enumerate("ABCDEFGH", 1) for s in (1, 2))
)  # fmt: skip
PLAIN_LONG = (
    "Well,Sample,Analyte,MFI,Bead_Count,Dilution,Expected_pg_ml,Conc\n"
    "A1,Standard1,IL-6,9000.5,80,,1000,1012.5\nA2,Standard2,IL-6,3000,75,,250,248\nB1,Blank,IL-6,20,70,,,\n"
    f"C1,{CANARIES[0]},IL-6,500,60,2,,< 3.2\nC2,D02 AM,IL-6,12000,60,2,,> 1000\n"
)
PLAIN_WIDE = (
    f"well,sample,IL-6,IL-8,TNF-a\nA1,S1,1200,300,5\nB1,S2,700.5,200,4\nC1,{CANARIES[1]},30,20,3\nD1,blank,3,2,1\n"
)
FLOWJO = (
    ",Cells | Count,Cells/Live | Freq. of Parent,Cells/Live | Median (FITC-A)\n"
    f"a.fcs,12000,88.1 %,1502\n{CANARIES[0]}.fcs,9000,71.3 %,88\nMean,10500,79.7,795\nSD,2121,11.9,1000\n"
)
FACSDIVA = f"Tube Name,P1 #Events,P1 %Parent,P1 FITC-A Mean\n{CANARIES[1]},1200,48.5,1502\nT2,900,12,88\n"
CELLS = (
    "ImageNumber,ObjectNumber,Metadata_Well,Children_Beads_Count,Intensity_IntegratedIntensity_YG\n"
    f"1,1,{CANARIES[0]},0,10.5\n1,2,B02,3,99\n2,1,B03,1,40\n"
)
FIELDS = f"sample,field,n_cells,n_positive,particles\n{CANARIES[0]},1,50,20,41\nU1,2,60,10,12\n"
SERIES = f"Vessel Name: {CANARIES[1]}\nMetric: Red\n\nDate Time\tElapsed\tA1\tA2\n1\t0\t10\t20\n2\t0.5\t15,5\t30\n3\t1\t20\t31\n"
GATING = "http://www.isac-net.org/std/Gating-ML/v2.0"
SPACES = (
    f'xmlns:gating="{GATING}/gating" xmlns:transforms="{GATING}/transformations" xmlns:data-type="{GATING}/datatypes"'
)


def _axis(name: str, **words: str) -> str:
    more = "".join(f' gating:{key}="{value}"' for key, value in words.items()).replace("scale=", "transformation-ref=")
    return (
        f'<gating:dimension gating:compensation-ref="uncompensated"{more}>'
        f'<data-type:fcs-dimension data-type:name="{name}"/></gating:dimension>'
    )


def _vertex(*values: float) -> str:
    return (
        "<gating:vertex>" + "".join(f'<gating:coordinate data-type:value="{v}"/>' for v in values) + "</gating:vertex>"
    )


GATING_ML = (
    f'<?xml version="1.0" encoding="UTF-8"?><gating:Gating-ML {SPACES}>'
    '<transforms:transformation transforms:id="asinh"><transforms:fasinh transforms:T="10000" transforms:M="4" transforms:A="1"/></transforms:transformation>'
    '<transforms:transformation transforms:id="lgcl"><transforms:logicle transforms:T="10000" transforms:W="0.5" transforms:M="4.5" transforms:A="0"/></transforms:transformation>'
    f'<gating:RectangleGate gating:id="AM">{_axis("FSC-A", min="8000")}{_axis("APC-A", max="0.5", scale="asinh")}</gating:RectangleGate>'
    f'<gating:PolygonGate gating:id="{CANARIES[3]}" gating:parent_id="AM">{_axis("A")}{_axis("B", scale="lgcl")}{_vertex(1, 2)}{_vertex(9, 2)}{_vertex(5, 8)}</gating:PolygonGate>'
    f'<gating:EllipsoidGate gating:id="E">{_axis("A")}{_axis("B")}<gating:mean><gating:coordinate data-type:value="12"/><gating:coordinate data-type:value="16"/></gating:mean>'
    '<gating:covarianceMatrix><gating:row><gating:entry data-type:value="6"/><gating:entry data-type:value="2"/></gating:row>'
    '<gating:row><gating:entry data-type:value="2"/><gating:entry data-type:value="6"/></gating:row></gating:covarianceMatrix>'
    '<gating:distanceSquare data-type:value="1"/></gating:EllipsoidGate>'
    '<gating:BooleanGate gating:id="not"><gating:not><gating:gateReference gating:ref="AM"/></gating:not></gating:BooleanGate>'
    "</gating:Gating-ML>"
)


def _range(channel: str, low: float) -> str:
    axis = f'<data-type:fcs-dimension data-type:name="{channel}"/>'
    return f'<Gate><gating:RectangleGate><gating:dimension gating:min="{low}">{axis}</gating:dimension></gating:RectangleGate></Gate>'


WORKSPACE = (
    f'<Workspace version="20.0" flowJoVersion="10.8.1" {SPACES}><Groups/><SampleList><Sample>'
    f'<DataSet uri="file:/C:/Users/{CANARIES[1]}/a.fcs" sampleID="1"/><transforms:spilloverMatrix spectral="0" prefix="Comp-" name="mine" suffix="">'
    '<data-type:parameters><data-type:parameter data-type:name="A"/><data-type:parameter data-type:name="B"/></data-type:parameters>'
    + "".join(
        f'<transforms:spillover data-type:parameter="{row}">'
        + "".join(f'<transforms:coefficient data-type:parameter="{c}" transforms:value="{v}"/>' for c, v in zip("AB", values, strict=True))
        + "</transforms:spillover>"
        for row, values in (("A", (1, 0.2)), ("B", (0.1, 1)))
    )
    + '</transforms:spilloverMatrix><Transformations><transforms:linear transforms:minRange="0" transforms:maxRange="1000"><data-type:parameter data-type:name="A"/></transforms:linear>'
    '<transforms:biex transforms:length="256" transforms:maxRange="262144" transforms:neg="0" transforms:width="-10" transforms:pos="4.4"><data-type:parameter data-type:name="B"/></transforms:biex></Transformations>'
    f'<Keywords><Keyword name="$OP" value="{CANARIES[3]}"/></Keywords><SampleNode name="{CANARIES[0]}.fcs" count="100" sampleID="1"><Subpopulations>'
    f'<Population name="bright {CANARIES[0]}" owningGroup="" count="40">{_range("Comp-A", 500)}<Subpopulations><Population name="double" owningGroup="" count="-1">{_range("Comp-B", 1000)}</Population></Subpopulations></Population>'
    '<NotNode name="near" owningGroup="" count="88"><Dependents><Dependent name="bright"/></Dependents></NotNode>'
    "</Subpopulations></SampleNode></Sample></SampleList></Workspace>"
)  # fmt: skip


def _bioplex_xml() -> str:
    """Two wells of one standard and one of a sample, two bead regions."""
    regions = (("12", "IL-6", 1000), ("15", "IL-8", 800))
    wells = "".join(
        f'<Well RowNo="1" ColNo="{j}" WellNo="{j}"><User>{CANARIES[3]}</User><RunSettings><StopReadingCriteria BeadCount="25">x</StopReadingCriteria></RunSettings><BeadRegions>'
        + "".join(f'<BeadRegion RegionNumber="{r}"><RegionCount>60</RegionCount><Median>{900 * j}.00</Median><CV>1.2E-001</CV></BeadRegion>' for r, _, _ in regions)
        + "</BeadRegions></Well>"
        for j in (1, 2, 3)
    )  # fmt: skip
    curves = "".join(
        f'<Interpolator RegionNumber="{r}" External="false" IsValid="true"><AnalyteName>{name}</AnalyteName><ConcentrationUnits>pg/ml</ConcentrationUnits>'
        f'<Equation>FI = 12.5 + (24000 - 12.5) / ((1 + (Conc / 310)^-1.1))^0.9</Equation></Interpolator>'
        for r, name, _ in regions
    )  # fmt: skip

    def sample(tag: str, label: str, said: str, places: tuple[int, ...], expected: int) -> str:
        means = "".join(
            f'<Analyte RegionNumber="{r}"><AnalyteName>{name}</AnalyteName><RawMean>1350</RawMean><Mean>1300</Mean><PercentCV>3.1</PercentCV>'
            f'<ExpectedConc>{expected * top / 1000}</ExpectedConc><ObsConc><CV>0.1</CV>12.5</ObsConc><ObsConcValidationFlag Code="0">OK</ObsConcValidationFlag></Analyte>'
            for r, name, top in regions
        )  # fmt: skip
        members = "".join(
            f'<MemberWell RowNo="1" ColNo="{j}" WellNumber="{j}"><MWAnalytes>'
            + "".join(
                f'<MWAnalyte RegionNumber="{r}"><AnalyteName>{name}</AnalyteName><Reading Code="0" OutlierType="None" Valid="true">{900 * j}.0</Reading>'
                f'<MWObsConc ReadingOK="true"><CV>0</CV>11.5</MWObsConc></MWAnalyte>'
                for r, name, _ in regions
            )
            + "</MWAnalytes></MemberWell>"
            for j in places
        )  # fmt: skip
        return f"<{tag}><Description>{said}</Description><Label>{label}</Label><Dilution>1.0E+000</Dilution><Analytes>{means}</Analytes><MemberWells>{members}</MemberWells></{tag}>"

    samples = f"<Standards>{sample('Standard', 'S1', '', (1, 2), 1000)}</Standards><Unknowns>{sample('Unknown', 'X1', CANARIES[0], (3,), 0)}</Unknowns>"
    return (
        '<?xml version="1.0" encoding="utf-8"?><bp:BioPlexManager xmlns:bp="http://www.Bio-Rad.com/XMLschema/2010/Bio-Plex_5" BioPlexManagerVersion="6.2.0.175">'
        f'<AuthorName>{CANARIES[1]}</AuthorName><PlateDimensions Columns="12" Rows="8" TotalWells="96"/><Wells>{wells}</Wells>'
        f"<StandardCurves><Interpolators>{curves}</Interpolators></StandardCurves><Samples>{samples}</Samples></bp:BioPlexManager>"
    )


BIOPLEX_XML = _bioplex_xml()

STUDY_TABLES = {
    "cytokines/plates.csv": "plate_id,instrument_file,platform\nP1,p.csv,luminex_xponent\n",
    "cytokines/layout_P1.csv": "P1,1,2,3,4,5,6,7,8,9,10,11,12\nA,S1,C01,B,,,,,,,,,\nB,S2,C02 @4,QC1,R,,,,,,,,\nC,,,,,,,,,,,,\nD,,,,,,,,,,,,\nE,,,,,,,,,,,,\nF,,,,,,,,,,,,\nG,,,,,,,,,,,,\nH,,,,,,,,,,,,\n",
    "cytokines/samples.csv": "sample_id,culture_id,thaw_count\nC01,C01,1\nC02,C02,1\n",
    "cytokines/standards.csv": "plate_id,analyte,level,expected_pg_ml\nP1,IL-6,1,1000\nP1,IL-6,2,250\n",
    "cytokines/analytes.csv": "analyte,synonyms,msc_secreted\nIL-6,IL6,yes\nIL-8,CXCL8,no\n",
    "cytokines/concentrations.csv": "sample_id,analyte,replicate,conc_pg_ml,qualifier,lloq_pg_ml,uloq_pg_ml\nC01,MCP-1,1,30.5,=,3,3000\nC02,MCP-1,1,3,<,3,3000\n",
    "phenotype/samples.csv": "fcs_file,culture_id,panel_id,tube_role\na.fcs,C01,P1,stained\n",
    "phenotype/panels.csv": "panel_id,channel,marker,fluorochrome\nP1,B,CD169,PE\nP1,C,CD45,FITC\n",
    "phenotype/gates.csv": "gate_set,population,override_for,parent,kind,channels,edges,reason,version\n"
    "P1,Cells,,,polygon,A;B,0;0;100;0;100;100;0;100,,1\nP1,AM,,Cells,rectangle,CD169,2;,,1\nP1,AM,D02,Cells,rectangle,CD169,3;,seen,1\n",
    "phagocytosis/wells.csv": "phago_id,culture_id,target,minutes,method,particles_per_cell,n_cells,n_positive,particles_total\n"
    "F1,C01,bead,60,counts,10,100,40,60\nF2,C02,bead,60,counts,10,100,50,80\n",
    "deviations.csv": "entity,entity_id,code,decision,decided_before_unblinding,rule\nculture,C01,other,keep,yes,seen\n",
}  # fmt: skip
