"""Industries (行业) by GB/T 4754-2017: section (门类) A to T, division (大类) 2 digits, group (中类) 3, class (小类) 4.

The 20 sections and the numbers of their 97 divisions are restated here.  The 473 groups and 1,382 classes (after the
first amendment, 2019) are checked by form only: each begins with the code above it.
"""

import re

from node.model.rule import ModelError, Rule

SECTIONS = {  # letter: Chinese name, first division, last division
    "A": ("农、林、牧、渔业", 1, 5),
    "B": ("采矿业", 6, 12),
    "C": ("制造业", 13, 43),
    "D": ("电力、热力、燃气及水生产和供应业", 44, 46),
    "E": ("建筑业", 47, 50),
    "F": ("批发和零售业", 51, 52),
    "G": ("交通运输、仓储和邮政业", 53, 60),
    "H": ("住宿和餐饮业", 61, 62),
    "I": ("信息传输、软件和信息技术服务业", 63, 65),
    "J": ("金融业", 66, 69),
    "K": ("房地产业", 70, 70),
    "L": ("租赁和商务服务业", 71, 72),
    "M": ("科学研究和技术服务业", 73, 75),
    "N": ("水利、环境和公共设施管理业", 76, 79),
    "O": ("居民服务、修理和其他服务业", 80, 82),
    "P": ("教育", 83, 83),
    "Q": ("卫生和社会工作", 84, 85),
    "R": ("文化、体育和娱乐业", 86, 90),
    "S": ("公共管理、社会保障和社会组织", 91, 96),
    "T": ("国际组织", 97, 97),
}

_DIGITS = re.compile(r"[0-9]{2,4}", re.ASCII)


def check_section(section: str, field: str = "section") -> None:
    """Raise ModelError unless this is the letter of a section."""
    if section not in SECTIONS:
        raise ModelError(field, Rule.INDUSTRY, "give the letter of a section, A to T (GB/T 4754)")


def check_division(section: str, division: str, field: str = "division") -> None:
    """Raise ModelError unless the two digits are a division of this section."""
    name, first, last = SECTIONS[section]
    is_number = len(division) == 2 and _DIGITS.fullmatch(division)
    if not is_number or not first <= int(division) <= last:
        raise ModelError(
            field, Rule.INDUSTRY, f"give a division of {section} {name}: {first:02d} to {last:02d}"
        )


def check_below(above: str, code: str, field: str) -> None:
    """Raise ModelError unless the code is the one above it with one digit more."""
    if len(code) != len(above) + 1 or code[:-1] != above or not _DIGITS.fullmatch(code):
        raise ModelError(
            field, Rule.INDUSTRY, f"give {len(above) + 1} digits that begin with {above}"
        )
