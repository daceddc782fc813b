"""No alphabet ever turns into another."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.readers.text import decode, decode_instrument

HAN = re.compile(r"[\u4e00-\u9fff]")
WESTERN = ["µg/ml", "37 °C", "Müller", "Größe", "Zürich", "naïve", "façade", "Ångström", "±5 %", "10³", "m²", "×10", "Køge", "señor", "Gößweinstein", "œuvre", "5 µl ± 0,5", "Straße 5", "ÄÖÜ", "äöüß",
           "µmol/l", "é", "É", "déjà vu", "Ærø", "¿qué?", "«oui»", "25°±1", "10µl à 37°C", "Übergrößenträger", "São Paulo", "informação", "garçon", "½", "§ 5", "100 €", "µg/ml — 37 °C", "5·10³", "—", "·", "¡ª ¡¤"]  # fmt: skip
CHINESE = ["男", "女", "脐带", "吸烟", "肺泡灌洗", "姓名", "阴性", "已戒", "全肺灌洗液", "未知"]


@pytest.mark.parametrize("word", WESTERN)
@pytest.mark.parametrize("encoding", ["cp1252", "cp1250", "latin-1", "cp850", "mac_roman"])
def test_western_bytes_never_become_han(word: str, encoding: str) -> None:
    for line in (word, f"comment,{word}", f"donor_id,comment\nD01,{word}\nD02,{word} x\n"):
        try:
            data = line.encode(encoding)
        except UnicodeEncodeError:
            continue
        if data.isascii():
            continue
        assert not HAN.search(decode(data, "x.csv").text), f"{word!r} in {encoding}"
        assert not HAN.search(decode_instrument(data, "x.csv").text)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk", "gb2312"]
)
def test_chinese_tables_are_read_in_every_encoding_of_excel(encoding: str) -> None:
    text = "donor_id,sex,tissue,comment\n" + "".join(f"D{i:02d},{w},脐带,肺泡灌洗 {i}\n" for i, w in enumerate(CHINESE))
    decoded = decode(text.encode(encoding), "x.csv")
    assert decoded.text == text
    assert not any(p.severity == "error" for p in decoded.problems)


@pytest.mark.parametrize("encoding", ["gb18030", "gbk"])
@pytest.mark.parametrize("mark", ["—", "·", "——", "…", "、", "“男”"])
def test_chinese_punctuation_is_chinese(mark: str, encoding: str) -> None:
    text = f"donor_id,sex,comment\nD01,男,肺泡灌洗{mark}第二次\n"
    decoded = decode(text.encode(encoding), "x.csv")
    assert (decoded.text, decoded.encoding) == (text, "gb18030")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("word", WESTERN)
def test_western_text_survives_unicode(word: str, encoding: str) -> None:
    text = f"donor_id,comment\nD01,{word}\n"
    assert decode(text.encode(encoding), "x.csv").text == text


def test_a_table_in_an_unknown_encoding_is_refused_with_the_way_out() -> None:
    problem = decode("a,b\n1,Müller\n".encode("cp1252"), "labs.csv").problems[0]
    assert (problem.severity, problem.code, problem.file) == ("error", "unknown-encoding", "labs.csv")
    assert "UTF-8" in problem.fix


def test_an_instrument_file_falls_back_with_a_note() -> None:
    decoded = decode_instrument("Temp,37 °C\n".encode("cp1252"), "run.csv")
    assert decoded.text == "Temp,37 °C\n"
    assert [p.severity for p in decoded.problems] == ["repaired"]


@given(st.binary(max_size=300))
def test_any_bytes_give_text_or_a_sentence(data: bytes) -> None:
    decoded = decode(data, "x.csv")
    assert decoded.encoding or any(p.severity == "error" for p in decoded.problems)


@given(st.text(max_size=200))
def test_utf8_is_read_as_it_is(text: str) -> None:
    if not text.startswith("\ufeff") and "\x00" not in text:
        assert decode(text.encode(), "x.csv").text == text
