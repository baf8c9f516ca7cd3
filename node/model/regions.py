"""Regions (行政区划) by the six digits of GB/T 2260: province 2, city 2, county 2.

The province-level codes are restated here.  Cities and counties change every year and are checked by form only: the
right province, and each within the other.  `100000` is the whole country, which only registration authorities use.
"""

import re

from node.model.rule import ModelError, Rule

PROVINCES = {
    "11": "北京", "12": "天津", "13": "河北", "14": "山西", "15": "内蒙古",
    "21": "辽宁", "22": "吉林", "23": "黑龙江",
    "31": "上海", "32": "江苏", "33": "浙江", "34": "安徽", "35": "福建", "36": "江西", "37": "山东",
    "41": "河南", "42": "湖北", "43": "湖南", "44": "广东", "45": "广西", "46": "海南",
    "50": "重庆", "51": "四川", "52": "贵州", "53": "云南", "54": "西藏",
    "61": "陕西", "62": "甘肃", "63": "青海", "64": "宁夏", "65": "新疆",
    "71": "台湾", "81": "香港", "82": "澳门",
}  # fmt: skip
UNDIVIDED = frozenset({"71", "81", "82"})  # GB/T 2260 gives these no codes below the province

_SIX_DIGITS = re.compile(r"[0-9]{6}", re.ASCII)


def check_region(code: str, field: str) -> None:
    """Raise ModelError unless this is the code of a region of some level."""
    if not _SIX_DIGITS.fullmatch(code):
        raise ModelError(field, Rule.FORM, "give a region code of six digits, such as 370700")
    if code[:2] not in PROVINCES:
        raise ModelError(
            field, Rule.REGION, f"no province has the code {code[:2]}; see GB/T 2260 for the codes"
        )
    if code[2:4] == "00" and code[4:] != "00":
        raise ModelError(field, Rule.REGION, "a county's code names its city in digits 3 and 4")


def check_within(province: str, city: str, county: str) -> None:
    """Raise ModelError unless the city lies in the province, and the county, if given, in the city.

    A direct-controlled municipality has the collective code of its districts as city (`110100`); counties that a
    province governs itself have `9000` (`429000`); Taiwan, Hong Kong and Macao repeat the code of the province.
    """
    if province[2:] != "0000":
        raise ModelError("province", Rule.REGION, "a province's code ends with 0000")
    if city[:2] != province[:2] or city[4:] != "00" or not _is_city(city):
        raise ModelError(
            "city", Rule.REGION, f"give a city of the province {province}: {province[:2]}nn00"
        )
    if county and (county[:4] != city[:4] or (county[4:] == "00" and county != city)):
        raise ModelError("county", Rule.REGION, f"give a county of the city {city}: {city[:4]}nn")


def _is_city(code: str) -> bool:
    return code[2:4] != "00" or code[:2] in UNDIVIDED
