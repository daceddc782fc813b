"""Office files: what openpyxl and python-docx write, without the time of writing."""

from __future__ import annotations

import io
import re
import zipfile

_MODIFIED = re.compile(rb"(<dcterms:(?:modified|created)[^>]*>)[^<]*(</dcterms:(?:modified|created)>)")


def without_times(data: bytes) -> bytes:
    """An .xlsx or .docx file with fixed times, so that the same content has the same bytes.

    The libraries write the time of saving into the document's properties and into the archive; both are set
    to 1 January 2000.

    Examples
    --------
    >>> import io, openpyxl
    >>> out = io.BytesIO()
    >>> openpyxl.Workbook().save(out)
    >>> b"2000-01-01T00:00:00Z" in zipfile.ZipFile(io.BytesIO(without_times(out.getvalue()))).read("docProps/core.xml")
    True
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "docProps/core.xml":
                part = _MODIFIED.sub(rb"\g<1>2000-01-01T00:00:00Z\g<2>", part)
            entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            new.writestr(entry, part)
    return out.getvalue()
