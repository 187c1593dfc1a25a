"""KONEPS rows for tests, as the raw tables have them: text columns, Korean clock times."""

from typing import Any

Row = dict[str, Any]


def raw_notice(number: int = 1, order: str = "000", **changes: Any) -> Row:
    row = {
        "bidntceno": f"2024010{number:04}",
        "bidntceord": order,
        "bidntcedt": "2024-01-02 10:00:00",
        "rgstdt": "2024-01-02 10:05:00",
        "bidclsedt": "2024-01-10 10:00:00",
        "opengdt": "2024-01-10 11:00:00",
        "bidntcenm": "도로, 포장 공사",
        "ntceinsttcd": "6410000",
        "ntceinsttnm": "경기도 수원시",
        "ntceinsttofclnm": "김공무",
        "dminsttcd": "6410001",
        "dminsttnm": "경기도 수원시 팔달구",
        "bidmethdnm": "전자입찰",
        "cntrctcnclsmthdnm": "제한경쟁",
        "sucsfbidmthdnm": "적격심사제",
        "presmptprce": "1000000",
        "bdgtamt": "1100000",
        "cnstrtsitergnnm": "경기도 수원시",
        "intrbidyn": "N",
        "rbidopengdt": "",
        "prtcptpsblrgnnm": "경기도, 서울특별시",
        "lcnslmtnm": "토목공사업/0002,[포장공사업/0003]",
    }
    return row | changes


def raw_company(number: int = 1, **changes: Any) -> Row:
    row = {
        "bizno": f"01234567{number:02}",
        "rgstdt": "2015-03-01 09:00:00",
        "chgdt": "",
        "corpnm": "가나건설",
        "ceonm": "홍길동",
        "telno": "02-123-4567",
        "rgncd": "41111",
        "rgnnm": "경기도 수원시 팔달구",
        "emplyenum": "12",
        "corpbsnsdivcd": "1,2",
        "opbizdt": "1987-06-01 00:00:00",  # Korea had summer time that year
    }
    return row | changes


def raw_bid(number: int = 1, order: str = "000", by: int = 1, **changes: Any) -> Row:
    row = {
        "bidntceno": f"2024010{number:04}",
        "bidntceord": order,
        "bidprccorpbizrno": f"01234567{by:02}",
        "bidprcamt": "880000",
        "opengrank": "1",
        "sucsfyn": "Y",
        "bidprcdate": "2024-01-09",
        "bidprctm": "17:30:00",
        "dqlfctnrsn": "",
        "collected_at": "2024-02-01 03:00:00",
    }
    return row | changes
