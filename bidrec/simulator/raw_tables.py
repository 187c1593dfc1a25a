"""Latent rows as KONEPS's raw tables: column names and types of a real dump, naive times of the Seoul clock.

Columns that hold names, numbers or addresses of persons are not made at all.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator
from numpy.typing import NDArray

from bidrec.simulator.entities import Companies, Notices
from bidrec.simulator.market import DAY, World, office_hours

_WORK_CODE = {"물품": "1", "공사": "3", "용역": "5"}
_BANDS = (7.7, 8.3, 8.7, 9.0, 9.7)
"""log10 KRW: 5천만, 2억, 5억, 10억, 50억."""
_AWARDS = (
    "소액수의견적",
    "적격심사제-추정가격 2억원미만",
    "적격심사제-추정가격 5억원미만 2억원이상",
    "적격심사제-추정가격 10억원미만 5억원이상",
    "적격심사제-추정가격 50억원미만 10억원이상",
    "종합심사낙찰제",
)
FLOOR = np.array([88.0, 87.745, 87.745, 87.745, 86.745, 79.995])
"""Per cent of the reserve price below which a bid is out, by band."""
_LATE = "투찰마감시각 초과"
_TOO_LOW = "낙찰하한선미달"
_UNFIT = "적격심사 부적격"


def notice_ids(notices: Notices) -> pa.Array:
    """'bidntceno-bidntceord', as the koneps source spells it."""
    return pc.binary_join_element_wise(_number(notices), _order(notices), "-")


def company_ids(companies: Companies) -> pa.Array:
    """Ten digits that begin with 0: real registration numbers begin with 1 to 9."""
    return pc.utf8_lpad(pa.array(companies.ident).cast(pa.string()), 10, "0")


def notice_table(world: World, notices: Notices, rng: Generator) -> pa.Table:
    number = len(notices["published"])
    band = band_of(notices["value"])
    price = price_of(notices["value"])
    code, name, publisher_code, publisher_name = _institutions(world, notices, rng)
    works = pa.array([topic.work for topic in world.market.topics]).take(pa.array(notices["topic"]))
    limited = notices["limit"] >= 0
    kind = np.where(notices["reissue"] > 0, 1, 2 * (rng.random(number) < 0.1))
    bidding = rng.choice(3, number, p=(0.96, 0.03, 0.01))
    prices = np.where(band == 5, 1, rng.random(number) < 0.04)
    chosen = np.where(band == 0, 0, np.where(limited | notices["licence_limited"], 1, 2))
    chosen[rng.random(number) < 0.01] = 3
    columns = {
        "bidntceno": _number(notices),
        "bidntceord": _order(notices),
        "rentceyn": _yes(notices["reissue"] > 0),
        "ntcekindnm": _pick(("일반", "재공고", "긴급"), kind),
        "bsnsdivnm": works,
        "intrbidyn": _yes(rng.random(number) < 0.003),
        "bidntcedt": times(notices["published"]),
        "rgstdt": times(notices["published"] - rng.integers(0, 1200, number)),
        "bidntcenm": titles(world, notices),
        "ntceinsttcd": publisher_code,
        "ntceinsttnm": publisher_name,
        "dminsttcd": code,
        "dminsttnm": name,
        "bidmethdnm": _pick(("전자입찰", "전자입찰(직찰가능)", "전자시담"), bidding),
        "cntrctcnclsmthdnm": _pick(("수의계약", "제한경쟁", "일반경쟁", "지명경쟁"), chosen),
        "sucsfbidmthdnm": _pick(_AWARDS, band),
        "sucsfbidlwltrate": _some(pa.array(FLOOR[band]), rng.random(number) < 0.001),
        "bidbegindt": times(notices["published"] + 3600),
        "bidclsedt": _some(times(notices["closes"]), rng.random(number) < 0.009),
        "opengdt": times(notices["opened"]),
        "rbidpermsnyn": _yes(rng.random(number) < 0.7),
        "bidprtcptlmtyn": _yes(limited),
        "indstrytylmtyn": _some(_yes(notices["licence_limited"]), rng.random(number) < 0.3),
        "prtcptpsblrgnnm": _regions(world, notices),
        "lcnslmtnm": _licences(world, notices),
        "prearngprcedcsnmthdnm": _pick(("복수예가", "단일예가", "비예가"), prices),
        "totprdprcnum": pa.array(np.full(number, 15, np.int32)),
        "drwtprdprcnum": pa.array(np.full(number, 4, np.int32)),
        "presmptprce": _some(pa.array(price), rng.random(number) < 0.0094),
        "bdgtamt": _some(pa.array(price + price // 10), rng.random(number) < 0.0047),
        "govsplyamt": pa.array(np.where(rng.random(number) < 0.3, price // 50 // 1000 * 1000, 0)),
        "bssamt": _some(pa.array(price + price // 10), rng.random(number) < 0.18),
        "maincnsttynm": _some(
            pa.array([topic.name for topic in world.market.topics]).take(pa.array(notices["topic"])),
            rng.random(number) < 0.35,
        ),
        "cnstrtsitergnnm": _some(
            pa.array(world.district_label()).take(pa.array(notices["district"])), rng.random(number) < 0.16
        ),
        "ciblaplyn": _yes(pc.equal(works, "공사").to_numpy(zero_copy_only=False)),
        "mtltyadvcpsblyn": _yes(rng.random(number) < 0.2),
        "rgndutyjntcontrctyn": _yes(band >= 4),
        "dtlsbidyn": _yes(band >= 5),
        "dsgntcmptyn": _yes(chosen == 3),
        "arsltcmptyn": _yes(rng.random(number) < 0.02),
        "pqevalyn": _yes(band >= 5),
    }  # fmt: skip
    return pa.table(columns)


def company_table(world: World, companies: Companies, end: int, rng: Generator) -> pa.Table:
    number = len(companies.home)
    market, home = world.market, companies.home.astype(np.int64)
    province = world.district_province[home]
    within = home - np.searchsorted(world.district_province, province)
    region = pc.binary_join_element_wise(
        pa.array([entry.code for entry in market.provinces]).take(pa.array(province)),
        pa.array((110 + 10 * within).astype(str)),
        "",
    )
    unknown = rng.random(number) < 0.004
    staff = np.exp(rng.normal(1.6 + 1.2 * (companies.capacity - 8.0), 0.5)).astype(np.int32) + 1
    codes, words, licences = _permits(world, companies)
    no_line = rng.random(number) < 0.016
    return pa.table(
        {
            "bizno": company_ids(companies),
            "corpnm": _names(world, number, rng),
            "opbizdt": times((companies.born - rng.integers(30, 3000, number) * DAY) // DAY * DAY),
            "rgncd": _some(region, unknown),
            "rgnnm": _some(pa.array(world.district_label()).take(pa.array(home)), unknown),
            "cntrynm": pa.array(["대한민국"] * number),
            "mnfctdivnm": _some(_pick(("제조", "공급"), rng.integers(0, 2, number)), rng.random(number) < 0.012),
            "emplyenum": _some(pa.array(staff), rng.random(number) < 0.02),
            "corpbsnsdivcd": _some(codes, no_line),
            "corpbsnsdivnm": _some(words, no_line),
            "indstrytycd": licences,
            "hdoffcedivnm": _pick(("본사", "지사"), rng.random(number) < 0.05),
            "rgstdt": times(companies.born),
            "chgdt": times(companies.born),
            "esntlnocertrgstyn": _yes(rng.random(number) < 0.9),
            "collected_at": pa.array(np.full(number, end, "datetime64[s]")).cast(pa.timestamp("us", "Asia/Seoul")),
        }
    )


def bid_table(notices: Notices, companies: Companies, notice: NDArray, company: NDArray, rng: Generator) -> pa.Table:
    """Rows of the bids (notice[i], company[i]), index pairs sorted by notice."""
    number = len(notice)
    band = band_of(notices["value"])[notice]
    reserve = reserve_price(notices, rng)[notice]
    rate = np.round(FLOOR[band] + rng.exponential(0.7, number) - 0.12, 3)
    amount = (reserve * rate / 100).astype(np.int64) // 10 * 10
    late = rng.random(number) < 0.004
    closes, opened = notices["closes"][notice], notices["opened"][notice]
    early = np.maximum(_submitted(closes, rng), notices["published"][notice] + 60)
    submitted = np.where(late, closes + (rng.random(number) * (opened - closes - 60)).astype(np.int64) + 1, early)
    low = rate < FLOOR[band]
    unfit = rng.random(number) < 0.01
    reason = np.select([late, low, unfit], [1, 2, 3], 0)
    rank = _ranks(notice, reason == 0, amount)
    fails = notices["fails"][notice]
    return pa.table(
        {
            "bidntceno": _number(notices).take(pa.array(notice)),
            "bidntceord": _order(notices).take(pa.array(notice)),
            "bidprccorpbizrno": company_ids(companies).take(pa.array(company)),
            "presmptprce": pa.array(price_of(notices["value"])[notice]),
            "rsrvtnprce": pa.array(reserve),
            "opengrank": _some(pa.array(rank), rank == 0),
            "bidprcamt": _some(pa.array(amount), rng.random(number) < 0.002),
            "bidprcrt": pa.array(rate),
            "bidprcdate": pa.array((submitted // DAY).astype("datetime64[D]")),
            "bidprctm": pa.array((submitted % DAY).astype(np.int32), pa.time32("s")),
            "sucsfyn": _pick(("N", "Y"), (rank == 1) & ~fails),
            "dqlfctnrsn": pa.array((None, _LATE, _TOO_LOW, _UNFIT)).take(pa.array(reason)),
            "collected_at": times(opened + DAY),
        }
    )


def _submitted(closes: NDArray, rng: Generator) -> NDArray[np.int64]:
    """When bids come in: most in the last hours before the closing, the rest in office hours of the days before."""
    number = len(closes)
    before = office_hours(closes // DAY - rng.geometric(0.5, number), rng)
    return np.where(rng.random(number) < 0.6, closes - (rng.gamma(1.5, 2400, number)).astype(np.int64) - 60, before)


def band_of(value: NDArray) -> NDArray[np.int64]:
    """Index of the value band of log10 KRW values."""
    return np.searchsorted(_BANDS, value, side="right")


def price_of(value: NDArray) -> NDArray[np.int64]:
    """KRW, in whole thousands."""
    return (10.0**value / 1000).astype(np.int64) * 1000


def reserve_price(notices: Notices, rng: Generator) -> NDArray[np.int64]:
    """The price drawn at the opening, within 2 % of the base."""
    return (price_of(notices["value"]) * 1.1 * rng.uniform(0.985, 1.015, len(notices["value"]))).astype(np.int64)


def times(seconds: NDArray) -> pa.Array:
    """Seconds of the Seoul clock as naive timestamps."""
    return pa.array(seconds.astype("datetime64[s]")).cast(pa.timestamp("us"))


def _number(notices: Notices) -> pa.Array:
    serial = pc.utf8_lpad(pa.array(notices["serial"]).cast(pa.string()), 5, "0")
    return pc.binary_join_element_wise(pa.array(notices["month"]).cast(pa.string()), serial, "")


def _order(notices: Notices) -> pa.Array:
    return pc.utf8_lpad(pa.array(notices["reissue"]).cast(pa.string()), 3, "0")


def _institutions(world: World, notices: Notices, rng: Generator) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array]:
    """Codes of seven digits and names: of the institution that needs the work, and of who publishes it, which for some
    is the central agency."""
    provinces = world.market.provinces
    institution, province = pa.array(notices["institution"]), pa.array(notices["province"])
    codes = [f"{provinces[province].code}{index:05d}" for index, province in enumerate(world.institution_province)]
    code, name = pa.array(codes).take(institution), pa.array(world.institution_name).take(institution)
    agency_code = pa.array([f"12300{province.code}" for province in provinces]).take(province)
    agency_name = pa.array([f"조달청 {province.short}지방조달청" for province in provinces]).take(province)
    agency = pa.array(rng.random(len(institution)) < 0.12)
    return code, name, pc.if_else(agency, agency_code, code), pc.if_else(agency, agency_name, name)


def _regions(world: World, notices: Notices) -> pa.Array:
    """'대구광역시,경상북도', '전라남도' or NULL."""
    names = pa.array([province.name for province in world.market.provinces])
    first = names.take(pa.array(notices["limit"], mask=notices["limit"] < 0))
    second = names.take(pa.array(notices["limit_too"], mask=notices["limit_too"] < 0))
    both = pc.binary_join_element_wise(first, second, ",")
    return pc.coalesce(both, first)


def _licences(world: World, notices: Notices) -> pa.Array:
    """'상·하수도설비공사업/4996,토목공사업/0001' (either will do), one of them, or NULL."""
    market = world.market
    one = [market.licences[topic.licence] for topic in market.topics]
    either = [
        name + (f",{market.licences[topic.also]}" if topic.also >= 0 else "")
        for name, topic in zip(one, market.topics, strict=True)
    ]
    row = notices["topic"].astype(np.int64) * 2 + notices["licence_either"]
    listed = pa.array([text for pair in zip(one, either, strict=True) for text in pair]).take(pa.array(row))
    return _some(listed, ~notices["licence_limited"])


def _permits(world: World, companies: Companies) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Codes and names of lines of business, and licence codes, as comma lists; made once per combination."""
    combinations, row = np.unique(companies.licences, return_inverse=True)
    works = [{topic.work for topic in world.market.topics if topic.licence == at} for at in range(64)]
    lists: list[tuple[str, str, str]] = []
    for bits in combinations:
        held = [at for at in range(len(world.market.licences)) if bits >> at & 1]
        lines = sorted(set().union(*(works[at] for at in held)), key=_WORK_CODE.__getitem__)
        lists.append(
            (
                ",".join(_WORK_CODE[line] for line in lines),
                ",".join(lines),
                ",".join(world.market.licences[at].split("/")[-1] for at in held),
            )
        )
    codes, words, licences = (pa.array(column).take(pa.array(row)) for column in zip(*lists, strict=True))
    return codes, words, licences


def _names(world: World, number: int, rng: Generator) -> pa.Array:
    market = world.market
    every = [form.format(first + second) for form in market.forms for first in market.first for second in market.second]
    return pa.array(every).take(pa.array(rng.integers(0, len(every), number)))


def _ranks(notice: NDArray, valid: NDArray, amount: NDArray) -> NDArray[np.int32]:
    """1 for the lowest valid amount of each notice, then 2 ...; 0 where the bid is out."""
    order = np.lexsort((amount, ~valid, notice))
    place = np.arange(len(notice)) - np.searchsorted(notice, notice)  # notice is sorted: its bids begin there
    rank = np.zeros(len(notice), np.int32)
    rank[order] = place + 1
    rank[~valid] = 0
    return rank


def _yes(condition: NDArray) -> pa.Array:
    return _pick(("N", "Y"), condition)


def _pick(words: tuple[str, ...], which: NDArray) -> pa.Array:
    return pa.array(words).take(pa.array(np.asarray(which).astype(np.int32)))


def _some(values: pa.Array, missing: NDArray) -> pa.Array:
    """The values, NULL where missing."""
    return pc.if_else(pa.array(missing), pa.scalar(None, values.type), values)


_ENDS = ("", "", "", "", "", "", "", "(2차)", "(긴급)", "(추가)", "(전자)")


def titles(world: World, notices: Notices) -> pa.Array:
    """(n,) strings such as '전주시 덕진구 송정리 노후 상수관로 정비공사(2차)'. A re-notice keeps its title."""
    words = notices["words"]
    thing = _words([topic.things for topic in world.market.topics], notices["topic"], words >> 1)
    deed = _words([topic.deeds for topic in world.market.topics], notices["topic"], words >> 9)
    kind = world.institution_kind[notices["institution"]]
    site = _words([kind.sites or ("",) for kind in world.market.kinds], kind, words >> 17)
    place = pa.array(world.district_name).take(pa.array(notices["district"]))
    # Villages (리) lie in counties and cities; in a 구 it is a 동.
    site = pc.if_else(pc.ends_with(place, "구"), pc.replace_substring_regex(site, "리$", "동"), site)
    end = pa.array(_ENDS).take(pa.array((words >> 25) % len(_ENDS)))
    year = pc.binary_join_element_wise(pa.array((notices["month"] // 100).astype(str)), "년", "")
    blank = pa.array([""] * len(words))
    # A school's or hall's name stands alone, a village needs its district.
    pattern = (words >> 33) % 10
    parts = [
        _either(pattern == 0, year, blank),
        _either((pattern < 7) | (pc.equal(site, "").to_numpy(zero_copy_only=False)), place, blank),
        _either(pattern != 6, site, blank),
        thing,
        deed,
    ]
    spaced = pc.binary_join_element_wise(*parts, " ")
    tidy = pc.utf8_trim_whitespace(pc.replace_substring_regex(spaced, " +", " "))
    return pc.binary_join_element_wise(tidy, end, "")


def _words(lists: list[tuple[str, ...]], which: NDArray, seed: NDArray) -> pa.Array:
    """One word of the row's list, by its seed."""
    length = np.array([len(words) for words in lists])
    begin = np.concatenate([[0], np.cumsum(length)[:-1]])
    flat = pa.array([word for words in lists for word in words])
    return flat.take(pa.array(begin[which] + seed % length[which]))


def _either(condition: NDArray, yes: pa.Array, no: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(condition), yes, no)
