"""Identities of people: found by pattern, said by rule, never shown.

Patterns know what they look for: PRC identity numbers, telephone numbers, e-mail, calendar dates, numbers behind a
word such as 住院号 or MRN, and names in Han characters. A name in Latin letters cannot be told from any other word;
only headings and forms of address give it away.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

IDENTITY, MOBILE, TELEPHONE, EMAIL = "prc-identity-number", "mobile-number", "telephone-number", "email"
DATE, NAME, DIGITS, COLUMN = "full-date", "personal-name", "long-digit-run", "private-column"
RECORD, PERHAPS_NAME = "record-number", "possible-name"
DOTS = "•••"


@dataclass(frozen=True)
class Finding:
    """One rule that a text breaks, in words; the text itself is not kept."""

    rule: str
    severity: str
    description: str


_DESCRIPTIONS = {
    IDENTITY: "a PRC identity number",
    MOBILE: "a mobile number",
    TELEPHONE: "a telephone number",
    EMAIL: "an e-mail address",
    DATE: "a calendar date",
    RECORD: "a hospital, insurance or passport number",
    NAME: "a person's name",
    PERHAPS_NAME: "a word that could be a person's name",
    DIGITS: "a hospital or telephone number (six or more digits in a row)",
}

_GAP = r"[ \-.]?"
_IDENTITY_18 = re.compile(
    rf"(?<!\d)([1-9]\d{{5}}){_GAP}((?:18|19|20)\d{{2}}){_GAP}(\d{{2}}){_GAP}(\d{{2}}){_GAP}\d{{3}}{_GAP}[\dXx](?!\d)"
)
_IDENTITY_15 = re.compile(r"(?<![\d.])[1-9]\d{5}(\d{2})(\d{2})(\d{2})\d{3}(?![\d.])")
_MOBILE = re.compile(r"(?<![\d.+])(?:(?:\+|00)86[ \-]?)?1[3-9]\d[ \-]?\d{4}[ \-]?\d{4}(?!\d|\.\d)")
_LANDLINE = re.compile(r"(?<![0-9A-Za-z.])(?:\(0\d{2,3}\)[ \-]?|0\d{2,3}[ \-])\d{7,8}(?![0-9A-Za-z])")
_ABROAD = re.compile(r"(?<![0-9A-Za-z])\+[1-9]\d{0,2}(?:[ \-()]{0,2}\d){8,12}(?![0-9A-Za-z])")
_EMAIL = re.compile(r"[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}")
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_YEAR = r"(?:19|20)\d{2}"
_DATES = (
    re.compile(rf"(?<![0-9A-Za-z])({_YEAR})([-/.])(\d{{1,2}})\2(\d{{1,2}})(?![0-9A-Za-z]|[-/.]\d)(?=$|[^0-9A-Za-z])"),
    re.compile(rf"(?<![0-9A-Za-z])({_YEAR})-(\d{{2}})-(\d{{2}})T\d{{2}}:\d{{2}}"),
    re.compile(rf"(?<![0-9A-Za-z])(\d{{1,2}})([-/.])(\d{{1,2}})\2({_YEAR})(?![0-9A-Za-z])"),
    re.compile(rf"(?<![0-9A-Za-z.])({_YEAR})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?![0-9A-Za-z.])"),
    re.compile(rf"({_YEAR}) ?年 ?(\d{{1,2}}) ?月 ?(\d{{1,2}}) ?日?"),
    re.compile(
        rf"(?<![0-9A-Za-z])(\d{{1,2}})(?:st|nd|rd|th)?[ \-.]{{1,2}}{_MONTH}\.?[ \-,.]{{1,2}}({_YEAR})(?![0-9A-Za-z])",
        re.I,
    ),
    re.compile(rf"(?<![0-9A-Za-z]){_MONTH}\.? (\d{{1,2}})(?:st|nd|rd|th)?,? ({_YEAR})(?![0-9A-Za-z])", re.I),
)
_HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_LONE_HAN = re.compile(rf"\s*{_HAN}(?:[\s·•.]?{_HAN}){{1,3}}\s*")
_SURNAMES = frozenset(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
    "庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂丛焦向柳邢路岳齐梅莫庄辛管祝左涂谷祁时舒耿牟卜詹关苗凌费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包司柏宁柯阮桂闵解强柴华车冉房边辜吉饶"
    "刁瞿戚丘古米池滕晋苑邬臧畅宫来嵺苟全褚廉简娄盖符奚木穆党燕郎邸冀谈姬屠连郜晏栾郁商蒙计喻揭窦迟宇敖糜鄢冷卓花仇艾蓝都巩稽井练仲乐虞卞封竺冼原官衣楚佟栗匡宗应台巫鞠僧桑荆谌银扬明沙伏岑习胥保和蔺肖闫骆佘"
    "邝付"
)
_COMPOUND_SURNAMES = """
欧阳 上官 司马 诸葛 夏侯 皇甫 尉迟 公孙 慕容 令狐 宇文 长孙 司徒 司空 东方 南宫 西门 独孤 端木 澹台
"""
_COMPOUND = tuple(_COMPOUND_SURNAMES.split())
_NO_NAMES = """
温箱 温度 温控 温育 石蜡 石棉 石英 石膏 石墨 明胶 明场 金标 金属 金黄 单核 单抗 单独 单纯 单侧 单用 单细 单染 单层 单次 单位 单个 白细 白介 白蛋 白色 白斑 黄色 黄染 黄疸 蓝色 蓝染
蓝光 银染 封闭 封片 盖玻 盖片 包埋 台盼 苏木 谷氨 谷胱 谷丙 谷草 孔板 孔径 管道 管腔 冷冻 冷藏 冷却 解冻 解离 解剖 计数 计算 计划 成纤 成像 成熟 成功 马血 牛血 牛皮 康宁 林格 柯萨
鲁米 高糖 高温 高倍 高频 高通 高内 高剂 高浓 高压 高脂 常规 常温 常氧 常压 全血 全长 全自 全程 原位 原始 原代 原液 应用
白血 黄斑 安全 安慰 安静 安排 安装 康复 左肺 左侧 左下 左上 左旋 左氧 左心 全肺 全身 全部 全麻 高血 高度 高热 高烧 高龄 高危 高尿 易感 阳性 关节 关键 关于 关系 房颤 房间 毛玻 毛刺
毛细 焦虑 焦躁 管床 管理 查房 查体 查看 查阅 霍乱 梅毒 宫颈 宫腔 顾虑 严重 严格 严密 甘油 甘氨 甘露 华法 伏立 米诺 莫西 万古 沙丁 沙眼 曲线 曲霉 柳氮 陈旧 陈述 舒张 舒适 张口 吉非
时间 时候 时序 时期 时长 时相 周期 周围 周边 周末 周一 周二 周三 周四 周五 周六 周日 周后 周内 明日 明天 明年 明显 明确 凌晨 季度 何时 何种 何处 程度 程序 强度 强阳 强烈 常见 常用
常态 连续 连接 计量 文献 文件 文本 文字 文化 文档 方法 方案 方差 方向 方便 方式 项目 符合 费用 范围 段落 边缘 边界 位置 位于 位点 成人 成年 成分 成本 纪录 纪要 习惯 谈话 保存 保持
保留 保护 保证 许可 许多 马上 万一 任何 任意 任务 童年 党员 商品 施加 申请 余下 余量 原因 原则 原料 应答 应激 应当 应该 于术 于是 于出 于入 于本 于该 于第 向上 向下 曾用 曾有 曾在
曾因 曾经 曾行 曾患 曾服 包括 包被 包裹 车祸 游离
江苏 江西 安徽 宁夏 宁波 吉林 武汉 徐州 郑州 常州 温州 苏州 台州 台湾 沈阳 邢台 金华 华山 华西 华东 华南 石家
"""
_WORDS = frozenset(_NO_NAMES.split())
"""How words of this laboratory and clinic begin that begin with a surname and are no name; short, not complete."""

_OWN_WORDS = "于曾和向时应都全常成连位原保明解关来查易单计符谈边左商习强冷花房"
"""Surnames that in a sentence far more often are a word of their own: 患者于术后, 家属应签字, 应定期随访."""

_SURNAME = f"[{''.join(sorted(_SURNAMES))}]"
_GIVEN = f"(?:(?:{'|'.join(_COMPOUND)})|{_SURNAME}){_HAN}{{1,2}}"
_LEADS = "姓名|患者|病人|病员|患儿|受试者|联系人|家属|医生|医师|主任|操作员|操作者|护士"
_LED = re.compile(rf"(?:{_LEADS})(\s*[:：为是]?\s*)({_GIVEN})")
_FOLLOWED = re.compile(
    rf"(?:(?<![•\u3400-\u9fff])|(?<=[由请与和及经找给予是为至])|(?<=今日|昨日|今天|昨天))({_GIVEN})\s*"
    r"(?:复查|来电|来院|来诊|就诊|随访|签字|签名|家属|病历|病案|先生|女士|小姐|医生|医师|主任|教授|护士)"
)
_TITLED = re.compile(
    rf"(?:(?<![•\u3400-\u9fff])|(?<=[由请与和及经找问给]))({_SURNAME})(?:先生|女士|小姐|医生|医师|主任|教授|护士)"
)
_LATIN_TITLED = re.compile(
    r"(?<![A-Za-z])(?:(?i:patient|name|surname|operator|technician|nurse)\s*[:=]\s*|(?:Mr|Mrs|Ms|Dr|Prof)\.?\s+)([A-Z][A-Za-z'’\-]{1,30}(?:[ ,]+[A-Z][A-Za-z'’\-]{0,30}){0,2})"
)
_CONTEXT_WORDS = re.compile(
    rf"^(?:{_HAN}*)(?:组|品|养|胞|液|型|性|炎|症|病|肺|盘|织|号|份|量|药|剂|箱|胶|蜡|瓶|皿|膜|酶|盐|糖|酸)$"
)
_RECORDS = re.compile(
    r"(?:(?:住院|病案|病历|门诊|就诊|登记|检查|医保卡?|社保卡?|身份证|护照)(?:号码?|编号)\s*[:#=为是]?\s*(?=[A-Z]{0,3}-?\d{3})"
    r"|床号\s*[:#=为是]?\s*(?=\d)"
    r"|(?<![A-Z])(?:MRN|(?:hospital|admission|inpatient|outpatient|medical record|patient|insurance|passport)"
    r"(?: (?:no|number|id)\b|#))[\s:#=.]*(?=[A-Z]{0,3}-?\d{4}))([A-Z]{0,3}-?\d+)",
    re.I,
)
_DIGEST = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{32,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9A-Za-z])", re.I
)
_LONG_DIGITS = re.compile(r"\d{6,}")
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_HAN_RUNS = re.compile(rf"{_HAN}+")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")


def _real_day(year: str, month: str, day: str) -> bool:
    try:
        return 1850 <= date(int(year), int(month), int(day)).year <= 2100
    except ValueError:
        return False


def _short_year(two: str) -> str:
    return f"19{two}"


def _matches(text: str) -> Iterator[tuple[str, int, int]]:
    """Spans of text (already half-width) that break a rule; digests and UUIDs are passed over."""
    text = _DIGEST.sub(lambda m: "x" * len(m[0]), text)
    for m in _IDENTITY_18.finditer(text):
        if _real_day(m[2], m[3], m[4]):
            yield IDENTITY, *m.span()
    for m in _IDENTITY_15.finditer(text):
        if _real_day(_short_year(m[1]), m[2], m[3]):
            yield IDENTITY, *m.span()
    for rule, pattern in ((MOBILE, _MOBILE), (TELEPHONE, _LANDLINE), (TELEPHONE, _ABROAD), (EMAIL, _EMAIL)):
        for m in pattern.finditer(text):
            yield rule, *m.span()
    for pattern in _DATES:
        for m in pattern.finditer(text):
            if _is_date(m):
                yield DATE, *m.span()
    for m in _RECORDS.finditer(text):
        yield RECORD, *m.span(1)
    if not text.isascii():
        yield from ((NAME, *span) for span in _han_names(text))
    for m in _LATIN_TITLED.finditer(text):
        yield NAME, *m.span(1)


def _han_names(text: str) -> Iterator[tuple[int, int]]:
    """Spans of names in Han characters that the words around them give away: 患者张伟, 李四来电, 陈主任."""
    for m in _LED.finditer(text):
        if not _begins_a_word(m[2]) and (m[1] or not _own_word(m[2])):
            yield m.span(2)
    for m in _FOLLOWED.finditer(text):
        if not _begins_a_word(m[1]) and not _own_word(m[1]) and not _CONTEXT_WORDS.match(m[1]):
            yield m.span(1)
    for m in _TITLED.finditer(text):
        yield m.span(1)


def _own_word(name: str) -> bool:
    return name[0] in _OWN_WORDS and not name.startswith(_COMPOUND)


def _is_date(m: re.Match[str]) -> bool:
    groups = [g for g in m.groups() if g and g.isdigit()]
    if len(groups) < 3:
        return True  # a month in words
    if len(groups[0]) == 4:
        return _real_day(*groups[:3])
    return _real_day(groups[2], groups[1], groups[0]) or _real_day(groups[2], groups[0], groups[1])


def _is_name(text: str) -> bool:
    plain = _joined(text)
    known = (plain[0] in _SURNAMES and 2 <= len(plain) <= 3) or (plain.startswith(_COMPOUND) and 3 <= len(plain) <= 4)
    return bool(known and not _CONTEXT_WORDS.match(plain) and not _begins_a_word(plain))


def _joined(text: str) -> str:
    return re.sub(r"[\s·•.]", "", text)


def _begins_a_word(name: str) -> bool:
    """Whether what could be a name is another word, or a surname with 氏 (Tang's, 唐氏)."""
    return name[:2] in _WORDS or name[1:2] == "氏"


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def findings(text: str, allowed: frozenset[str] = frozenset()) -> list[Finding]:
    """Rules that a text breaks, each once: a cell, a heading, a sheet name, a setting, a parameter.

    Parameters
    ----------
    text
        Any text.
    allowed
        Values the schema lists for this cell (男, 脐带, 吸烟); such a value is never a name. Where it is given
        (a column of codes), any other two to four Han characters alone count as a name; elsewhere they do
        where they begin with a Chinese surname and no ordinary word begins so.

    Examples
    --------
    >>> [f.rule for f in findings("call 13800138000")]
    ['mobile-number']
    >>> findings("NCT05640687"), findings("男", frozenset({"男"}))
    ([], [])
    """
    if len(text) < 2 or text in allowed:
        return []
    rules = dict.fromkeys(rule for rule, _, _ in _matches(_plain(text)))
    if _LONE_HAN.fullmatch(text) and (allowed or _is_name(text.strip())):
        rules[NAME] = None
    return [Finding(rule, "error", _DESCRIPTIONS[rule]) for rule in rules]


def findings_in_prose(text: str) -> list[Finding]:
    """Rules that a remark breaks: those of any text, but a lone short word that merely could be a name is a warning.

    Examples
    --------
    >>> [(f.rule, f.severity) for f in findings_in_prose("张伟")], findings_in_prose("石蜡")
    ([('possible-name', 'warning')], [])
    >>> [(f.rule, f.severity) for f in findings_in_prose("患者张伟复查")]
    [('personal-name', 'error')]
    """
    found = findings(text)
    lone = [f.rule for f in found] == [NAME] and _LONE_HAN.fullmatch(text) and len(_joined(text)) <= 3
    return [Finding(PERHAPS_NAME, "warning", _DESCRIPTIONS[PERHAPS_NAME])] if lone else found


def findings_in_id(text: str) -> list[Finding]:
    """Rules that a study code breaks: those of any text, and six or more digits in a row.

    Examples
    --------
    >>> [f.rule for f in findings_in_id("P00123456")]
    ['long-digit-run']
    """
    found = findings(text)
    if not found and _LONG_DIGITS.search(_plain(text)):
        found = [Finding(DIGITS, "error", _DESCRIPTIONS[DIGITS])]
    return found


def findings_in_path(path: str) -> list[Finding]:
    """Rules that a file's or folder's name breaks, as a whole or in one of its words.

    Parameters
    ----------
    path
        Name or path with forward slashes; each part is looked at without its ending.

    Examples
    --------
    >>> [f.rule for f in findings_in_path("raw/2023-03-05 张伟.csv")]
    ['full-date', 'personal-name']
    >>> findings_in_path("phenotype/fcs/D01 am.fcs")
    []
    """
    found: dict[str, Finding] = {}
    for part in path.split("/"):
        stem = _ENDING.sub("", part)
        for text in (part, stem, *_HAN_RUNS.findall(stem)):
            found |= {f.rule: f for f in findings(text)}
    return list(found.values())


def mask(text: str) -> str:
    """The same text with every identity replaced by dots; unchanged where there is none.

    Examples
    --------
    >>> mask("mail zhang@example.org now"), mask("5 µg/ml")
    ('mail ••• now', '5 µg/ml')
    """
    plain = _plain(text)
    if _LONE_HAN.fullmatch(text) and _is_name(text.strip()):
        return DOTS
    spans = sorted((a, b) for _, a, b in _matches(plain))
    if not spans:
        return text
    if plain != text:  # positions no longer fit the text as it was written
        return DOTS
    out, at = [], 0
    for a, b in spans:
        if b > at:
            out += [text[at : max(a, at)], DOTS]
            at = b
    return "".join([*out, text[at:]])


_PRIVATE_WORDS = frozenset(
    {
        "initials",
        "patient",
        "surname",
        "forename",
        "firstname",
        "lastname",
        "fullname",
        "phone",
        "telephone",
        "tel",
        "mobile",
        "cellphone",
        "address",
        "postcode",
        "zipcode",
        "email",
        "mail",
        "wechat",
        "weixin",
        "qq",
        "passport",
        "mrn",
        "insurance",
        "birth",
        "birthday",
        "birthdate",
        "dob",
        "contact",
        "ssn",
        "idcard",
    }
)
_PRIVATE_PHRASES = (
    "first name",
    "last name",
    "full name",
    "given name",
    "family name",
    "patient name",
    "donor name",
    "subject name",
    "id card",
    "id number",
    "identity card",
    "hospital no",
    "hospital number",
    "admission no",
    "admission number",
    "admission date",
    "bed no",
    "bed number",
    "date of birth",
    "home address",
    "medical record",
    "outpatient no",
    "inpatient no",
    "national id",
    "e mail",
    "we chat",
    "zip code",
    "operator name",
    "doctor name",
    "physician name",
)
_PRIVATE_ALONE = frozenset({"name", "names", "bed", "identity"})
_PRIVATE_HAN = (
    "姓名",
    "名字",
    "电话",
    "手机",
    "住址",
    "地址",
    "身份证",
    "证件号",
    "病案号",
    "病历号",
    "住院号",
    "门诊号",
    "床号",
    "出生日期",
    "出生年月",
    "生日",
    "联系人",
    "联系方式",
    "邮箱",
    "微信",
    "护照",
    "医保",
    "籍贯",
    "家属",
)


def column_finding(heading: str) -> Finding | None:
    """Whether a column heading announces identities, in English or Chinese.

    Examples
    --------
    >>> column_finding("Patient_Name").description
    'names or other identities of people'
    >>> column_finding("plate_label") is None
    True
    """
    plain = _plain(heading).casefold()
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _plain(heading)).casefold()
    words = re.findall(r"[^\W_]+", split)
    phrase, joined = " ".join(words), "".join(words)
    private = (
        any(w in _PRIVATE_WORDS for w in words)
        or joined in _PRIVATE_WORDS
        or joined in _PRIVATE_ALONE
        or any(f" {p} " in f" {phrase} " or joined == p.replace(" ", "") for p in _PRIVATE_PHRASES)
        or any(h in plain for h in _PRIVATE_HAN)
    )
    return Finding(COLUMN, "error", "names or other identities of people") if private else None


@lru_cache(maxsize=10_000)
def alias(file: str) -> str:
    """A file's name for outputs: as it is, or an alias where it holds a date or an identity.

    The alias hangs on the name alone, so that a file is called the same with and without its folder; where the
    folder's own name may not be shown it hangs on both. It is made of letters, so that no alias looks like a number.

    Examples
    --------
    >>> alias("phenotype/fcs/D01 am.fcs"), alias("raw/run 2023-03-05.csv")
    ('phenotype/fcs/D01 am.fcs', 'raw/file-lgmjgope.csv')
    """
    if not findings_in_path(file):
        return file
    folder, _, name = file.rpartition("/")
    open_folder = not findings_in_path(folder)
    ending = _ENDING.search(name)
    digest = hashlib.sha256((name if open_folder else file).encode("utf-8")).hexdigest()[:8]
    safe = f"file-{digest.translate(_LETTERS)}{ending[0] if ending else ''}"
    return f"{folder}/{safe}" if folder and open_folder else safe
