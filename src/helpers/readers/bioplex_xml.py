"""Bio-Plex Manager's XML (version 6) → one plate.

The file tells everything twice: raw bead regions by well, and readings by sample and well. Readings are what the
vendor calls FI; the bead regions add counts and CV, and are compared with the readings.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from helpers.core.problems import Problem, Refused, Severity
from helpers.readers.bioplex import SOFTWARE, Record, analyte_names, curve_parameters, plate_tables, sampling_errors
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate, frame, number, role_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_XML_BYTES = 100_000_000
"""A 96-well plate with all its bead events is about 25 MB."""
_ROOT = re.compile(rb"<(?:\w{1,20}:)?BioPlexManager\b")
_TAG = re.compile(r"\{[^}]*Bio-Plex_\d+\}BioPlexManager")
_NAMING = ("MWAnalyte", "Analyte", "Interpolator")
"""Elements that name the analyte of a bead region."""
_ROLES = {"Blank": "blank", "Control": "control", "Standard": "standard", "Unknown": "sample"}
_STATES = (
    (re.compile(r"not been set|not available|unable", re.I), "not_available"),
    (re.compile(r"outlier", re.I), "excluded"),
    (re.compile(r"extrapolat", re.I), "extrapolated"),
    (re.compile(r"above|greater|high|>", re.I), "above"),
    (re.compile(r"below|less|low|<", re.I), "below"),
)
_AGAIN = "Export the plate again from Bio-Plex Manager and read that file untouched."
_LOOK = "Compare this place with the plate in Bio-Plex Manager."
_SENTENCES: dict[str, tuple[Severity, str, str]] = {
    "too-large": ("error", "This XML file is far too large for a plate.", _AGAIN),
    "xml-entities": ("error", "This XML file defines a document type or entities; no instrument does, so it is not read.", _AGAIN),
    "damaged-xml": ("error", "This XML file is damaged or cut off.", _AGAIN),
    "not-bioplex": ("error", "This is no XML file of Bio-Plex Manager.", _AGAIN),
    "no-data": ("error", "This file holds no readings of wells.", _AGAIN),
    "not-a-well": ("error", "The position of this well is not on the plate, so its readings are left out.", _AGAIN),
    "well-twice": ("error", "This well stands more than once; all its readings are left out.", _AGAIN),
    "analyte-differs": ("error", "This bead region is named otherwise elsewhere, so this reading is left out.", _AGAIN),
    "analyte-twice": ("error", "This bead region stands more than once here; all its values are left out.", _AGAIN),
    "not-a-number": ("warning", "This value is no number; it is left empty.", _LOOK),
    "no-reading": ("warning", "There is no reading of this analyte in this well.", _LOOK),
    "reading-differs": ("warning", "The reading is not the median of its bead region; the reading is kept.", _LOOK),
    "sample-differs": ("warning", "The label of this sample does not fit the kind of samples it stands under.", _LOOK),
    "unknown-error": ("warning", "This reason why there is no concentration is not known.", _LOOK),
    "no-curve": ("warning", "There is no standard curve of this analyte.", _LOOK),
    "unknown-equation": ("warning", "A standard curve is announced, but no 4PL or 5PL equation can be found.", _LOOK),
    "no-regions": ("warning", "Some wells have readings but no bead regions: no bead counts.", _LOOK),
    "well-of-none": ("warning", "Some wells have bead regions but belong to no sample.", _LOOK),
    "not-kept": ("repaired", "Names, dates, serial numbers and single bead events are not kept.", "Nothing to do."),
}  # fmt: skip


def is_bioplex_xml(data: bytes) -> bool:
    """Whether a file is the XML export of Bio-Plex Manager.

    Examples
    --------
    >>> is_bioplex_xml(b'<?xml version="1.0"?><bpm:BioPlexManager xmlns:bpm="x">'), is_bioplex_xml(b"<html>")
    (True, False)
    """
    return _ROOT.search(data[:4096].replace(b"\0", b"")) is not None


def read_bioplex_xml(data: bytes, file: str) -> list[Plate]:
    """The plate of one XML file of Bio-Plex Manager, as printed.

    Parameters
    ----------
    data
        The whole file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        If it is too large, damaged, defines entities or holds no readings.
    """
    reading = _Reading(_root(data, file))
    records, means = reading.wells(), reading.means()
    if not records:
        reading.say("no-data")
        raise Refused(replace(p, file=file) for p in reading.problems)
    curves = reading.curves()
    reading.say("not-kept")
    wells, standards = plate_tables(records)
    averages, _ = plate_tables(means)
    version = reading.root.get("BioPlexManagerVersion", "")
    plate = Plate(
        number=1,
        layout="bioplex_xml",
        software=f"{SOFTWARE} {version}" if re.fullmatch(r"[\d.]{1,20}", version) else SOFTWARE,
        wells=frame(wells, WELLS),
        averages=frame(averages, WELLS),
        standards=frame(standards, STANDARDS),
        curves=frame(curves, CURVES),
        analytes=frame(reading.analytes(), ANALYTES),
        problems=tuple(dict.fromkeys(replace(p, file=file) for p in reading.problems)),
    )
    return [plate]


def _root(data: bytes, file: str) -> Element:
    import defusedxml.ElementTree as xml
    from defusedxml import DefusedXmlException

    code, row = "", None
    if len(data) > MOST_XML_BYTES:
        code = "too-large"
    else:
        try:
            root: Element = xml.fromstring(data, forbid_dtd=True)
        except DefusedXmlException:
            code = "xml-entities"
        except (xml.ParseError, ValueError, LookupError) as err:
            code, row = "damaged-xml", getattr(err, "position", (None,))[0]
        else:
            code = "" if _TAG.fullmatch(root.tag) else "not-bioplex"
    if code:
        severity, message, fix = _SENTENCES[code]
        raise Refused([Problem(severity, code, message, fix, file=file, row=row)])
    return root


class _Reading:
    """One parsed file, and what was said about it so far."""

    def __init__(self, root: Element) -> None:
        self.root = root
        self.problems: list[Problem] = []
        size = root.find("PlateDimensions")
        self.columns = _whole(size, "Columns") or 12
        self.rows = min(_whole(size, "Rows") or 8, 16)
        pairs = [(e.get("RegionNumber", ""), _said(e, "AnalyteName")) for e in root.iter() if e.tag in _NAMING]
        usual: dict[str, Counter[str]] = {}
        for region, name in pairs:
            usual.setdefault(region, Counter())[name] += 1
        self.printed = {region: names.most_common(1)[0][0] for region, names in usual.items() if region}
        self.names = analyte_names(f"{name} ({region})" for region, name in self.printed.items())
        self.samples = list(self._samples())
        self.regions = dict(self._regions())

    def say(self, code: str, column: str = "", found: str = "", expected: str = "") -> None:
        """Keep one problem."""
        severity, message, fix = _SENTENCES[code]
        self.problems.append(Problem(severity, code, message, fix, column=column, found=found, expected=expected))

    def name(self, region: str) -> str:
        """What the analyte of a bead region is called on this plate."""
        return self.names[f"{self.printed[region]} ({region})"][0]

    def value(self, text: str, column: str) -> float:
        """A printed number; empty, and said, where it is none."""
        found = number(text)
        if found is None:
            self.say("not-a-number", column, text)
        return math.nan if found is None else found

    def own(self, parent: Element, path: str, place: str) -> Iterator[tuple[str, Element]]:
        """Elements of a parent by the analyte's bead region, without those that are in doubt."""
        known = []
        for element in parent.iterfind(path):
            region, name = element.get("RegionNumber", ""), _said(element, "AnalyteName")
            if self.printed.get(region) == name:
                known.append((region, element))
            else:
                self.say("analyte-differs", f"{place}, region {region}", name, self.printed.get(region, ""))
        times = Counter(region for region, _ in known)
        for region in (region for region, n in times.items() if n > 1):
            self.say("analyte-twice", f"{place}, region {region}")
        yield from ((region, element) for region, element in known if times[region] == 1)

    def position(self, element: Element, number_name: str) -> str | None:
        """Well such as ``A1``; None, and said, where row, column and number do not fit each other and the plate."""
        row, column = _whole(element, "RowNo") or 0, _whole(element, "ColNo") or 0
        on_plate = 1 <= row <= self.rows and 1 <= column <= self.columns
        if on_plate and _whole(element, number_name) == (row - 1) * self.columns + column:
            return f"{'ABCDEFGHIJKLMNOP'[row - 1]}{column}"
        self.say("not-a-well", element.tag, " ".join(map(str, element.attrib.values())))
        return None

    def _regions(self) -> Iterator[tuple[tuple[str, str], Element]]:
        """Bead regions by well and region."""
        wells = [(self.position(e, "WellNo"), e) for e in self.root.iterfind("Wells/Well")]
        times = Counter(well for well, _ in wells)
        for well, element in wells:
            if well and times[well] == 1:
                for region in element.iterfind("BeadRegions/BeadRegion"):
                    yield (well, region.get("RegionNumber", "")), region
            elif well:
                self.say("well-twice", f"Wells, {well}")

    def _samples(self) -> Iterator[tuple[Record, Element, list[tuple[str, Element]]]]:
        """Samples with what they give to all their rows, and their wells."""
        found = []
        for sample in self.root.iterfind("Samples/*/*"):
            label = _said(sample, "Label")
            role = _ROLES.get(sample.tag, role_of(label)[0])
            if sample.tag not in _ROLES or role_of(label)[0] != role:
                self.say("sample-differs", sample.tag, label)
            base: Record = {"kind": label, "sample": _said(sample, "Description"), "role": role}
            base["dilution"] = self.value(_said(sample, "Dilution"), f"{label}, Dilution")
            wells = sample.iterfind("MemberWells/MemberWell")
            found.append((base, sample, [(w, e) for e in wells if (w := self.position(e, "WellNumber"))]))
        times = Counter(well for _, _, members in found for well, _ in members)
        for well in (well for well, n in times.items() if n > 1):
            self.say("well-twice", f"Samples, {well}")
        for base, sample, members in found:
            yield base, sample, [(well, e) for well, e in members if times[well] == 1]

    def wells(self) -> list[Record]:
        """One record a well and analyte."""
        records, bare = [], set()
        for base, sample, members in self.samples:
            expected = dict(self._expected(sample, base["kind"]))
            for well, member in members:
                for region, element in self.own(member, "MWAnalytes/MWAnalyte", well):
                    place = f"{well}, {self.name(region)}"
                    record = {**base, "well": well, "analyte": self.name(region), "expected": expected.get(region)}
                    record |= self._reading_of(element, place)
                    if (well, region) in self.regions:
                        record |= self._beads(self.regions[well, region], record["mfi"], place)
                    else:
                        bare.add(well)
                    records.append(record)
        if bare:
            self.say("no-regions", found=f"{len(bare)} wells")
        members_of_all = {well for _, _, members in self.samples for well, _ in members}
        loose = [(w, r, e) for (w, r), e in self.regions.items() if w not in members_of_all and r in self.printed]
        for well, region, element in loose:
            record = {"well": well, "analyte": self.name(region)}
            record["mfi"] = self.value(_said(element, "Median"), f"{well}, {self.name(region)}, Median")
            records.append(record | self._beads(element, record["mfi"], f"{well}, {self.name(region)}"))
        if loose:
            self.say("well-of-none", found=", ".join(sorted({well for well, _, _ in loose})))
        return records

    def _expected(self, sample: Element, label: str) -> Iterator[tuple[str, float]]:
        """Expected concentrations of a sample by bead region; 0 is one that nobody entered."""
        for region, element in ((e.get("RegionNumber", ""), e) for e in sample.iterfind("Analytes/Analyte")):
            value = self.value(_said(element, "ExpectedConc"), f"{label}, region {region}, ExpectedConc")
            if value:
                yield region, value

    def _reading_of(self, element: Element, place: str) -> Record:
        """FI, flags and concentration of one analyte in one well."""
        reading, conc = element.find("Reading"), element.find("MWObsConc")
        record: Record = {"mfi": self.value(_said(element, "Reading"), f"{place}, Reading")}
        if math.isnan(record["mfi"]):
            self.say("no-reading", place)
        if reading is not None:
            code = reading.get("Code", "0")
            record["errors"] = "" if code == "0" else sampling_errors(code)
            record["outlier"] = reading.get("OutlierType", "None") != "None" or reading.get("Valid") == "false"
        if conc is not None:
            error = "" if conc.get("ReadingOK") == "true" else conc.get("ReadError", "not available")
            record |= self._concentration(conc, error, f"{place}, MWObsConc")
        return record

    def _concentration(self, element: Element, error: str, place: str) -> Record:
        """Concentration and its state by the vendor's own words."""
        state = next((state for pattern, state in _STATES if pattern.search(error)), "") if error else "measured"
        if not state:
            self.say("unknown-error", place, error)
            state = "not_available"
        value = self.value(_mixed(element), place) if state in ("measured", "extrapolated") else math.nan
        return {"conc": value, "state": "not_available" if state == "measured" and math.isnan(value) else state}

    def _beads(self, element: Element, reading: float, place: str) -> Record:
        """Bead count and CV (a fraction in the file) of one bead region."""
        median = self.value(_said(element, "Median"), f"{place}, Median")
        if not math.isnan(reading + median) and not math.isclose(reading, median, rel_tol=1e-6):
            self.say("reading-differs", place, f"{reading:.10g}", f"{median:.10g}")
        cv_pct = 100 * self.value(_said(element, "CV"), f"{place}, CV")
        return {"bead_count": self.value(_said(element, "RegionCount"), f"{place}, RegionCount"), "cv_pct": cv_pct}

    def means(self) -> list[Record]:
        """One record a sample and analyte: means over its wells, as the vendor prints them."""
        records = []
        for base, sample, members in self.samples:
            if not members or len(members) < len(sample.findall("MemberWells/MemberWell")):
                continue  # wells of this mean were left out, and said
            expected = dict(self._expected(sample, base["kind"]))
            for region, element in self.own(sample, "Analytes/Analyte", base["kind"]):
                place = f"{base['kind']}, {self.name(region)}"
                record = {**base, "well": ",".join(well for well, _ in members), "analyte": self.name(region)}
                record["expected"] = expected.get(region)
                for name, tag in (("mfi", "RawMean"), ("net_mfi", "Mean"), ("cv_pct", "PercentCV")):
                    record[name] = self.value(_said(element, tag), f"{place}, {tag}")
                conc = element.find("ObsConc")
                if conc is not None:
                    error = _said(element, "ObsConcValidationFlag")
                    record |= self._concentration(conc, "" if error == "OK" else error, f"{place}, ObsConc")
                records.append(record)
        return records

    def analytes(self) -> list[Record]:
        """Analytes with region, unit, and the bead count at which reading a well stops where all wells agree on it."""
        minimum = {e.get("BeadCount", "") for e in self.root.iterfind("Wells/Well/RunSettings/StopReadingCriteria")}
        beads = number(minimum.pop()) if len(minimum) == 1 else None
        units = {
            e.get("RegionNumber", ""): _said(e, "ConcentrationUnits") or None
            for e in self.root.iterfind("StandardCurves/Interpolators/Interpolator")
        }
        return [
            {"analyte": self.name(region), "region": region, "unit": units.get(region), "bead_minimum": beads}
            for region in self.printed
        ]

    def curves(self) -> list[Record]:
        """Printed curves; a regression that failed is said."""
        found = []
        for region, element in self.own(self.root, "StandardCurves/Interpolators/Interpolator", "StandardCurves"):
            name, error = self.name(region), _said(element, "EquationErr")
            texts = [text.strip() for e in element.iter() for text in (e.text, e.tail) if text]
            curve = next(((text, c) for text in texts if (c := curve_parameters(text))), None)
            if curve:
                found.append({"analyte": name, "equation": curve[0], **curve[1]})
            elif error or element.get("IsValid") != "true":
                self.say("no-curve", name, error)
            else:
                self.say("unknown-equation", name)
        return found


def _said(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _mixed(element: Element) -> str:
    """Text of an element that stands between its children, too: the file prints a value after them."""
    return " ".join(filter(None, ((text or "").strip() for text in (element.text, *(e.tail for e in element)))))


def _whole(element: Element | None, name: str) -> int | None:
    text = "" if element is None else element.get(name, "")
    return int(text) if re.fullmatch(r"\d{1,4}", text) else None
