"""Papers that say who somebody is (证件): the unified social credit code of an organisation, the ID card of a person.

- GB 32100-2015, 18 characters of 31 (digits and capitals without I, O, S, V, Z): registration department, category,
  six digits of the region, the organisation code of nine (GB 11714), check character.  Weights are 3^(i-1) mod 31 and
  the check is 31 minus the sum mod 31 (GB/T 17710, MOD 31).  The check character inside the organisation code is not
  looked at: codes that were given before 2015 are not all known to keep it.
- GB 11643-1999, 17 digits and a check character (ISO 7064, MOD 11-2): six of the region, eight of the date of birth.
"""

import re
from datetime import date
from enum import IntEnum

from node.model.rule import ModelError, Rule

CREDIT_CODE_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_CODE = re.compile(
    rf"[{CREDIT_CODE_CHARACTERS}]{{2}}[0-9]{{6}}[{CREDIT_CODE_CHARACTERS}]{{10}}", re.ASCII
)
_ID_CARD = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)
_ID_CARD_CHECKS = "10X98765432"


class OrganisationPaper(IntEnum):
    """The certificate of an organisation (单位证件类型); EPP calls the second one 3."""

    CREDIT_CODE = 1  # 统一社会信用代码
    OTHER = 2  # 其他


class PersonPaper(IntEnum):
    """The certificate of a person (个人证件类型).  EPP knows six; which, is not public."""

    ID_CARD = 1  # 身份证
    PASSPORT = 2  # 护照
    OTHER = 3  # 其他


def credit_code_check(first_17: str) -> str:
    """Return the check character of the first 17 characters of a credit code.  Raises ValueError."""
    values = [CREDIT_CODE_CHARACTERS.index(character) for character in first_17]
    total = sum(value * pow(3, place, 31) for place, value in enumerate(values))
    return CREDIT_CODE_CHARACTERS[-total % 31]


def id_card_check(first_17: str) -> str:
    """Return the check character of the first 17 digits of an ID card's number."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(first_17))
    return _ID_CARD_CHECKS[total % 11]


def check_organisation_paper(kind: OrganisationPaper, number: str, field: str) -> None:
    """Raise ModelError unless the number can be one of this kind."""
    if kind is not OrganisationPaper.CREDIT_CODE:
        return
    if not _CREDIT_CODE.fullmatch(number):
        raise ModelError(
            field,
            Rule.FORM,
            "a unified social credit code has 18 digits and capitals, without I, O, S, V and Z",
        )
    if credit_code_check(number[:17]) != number[17]:
        raise ModelError(
            field, Rule.CHECK_DIGIT, "the last character does not fit the others; correct the code"
        )


def check_person_paper(kind: PersonPaper, number: str, field: str) -> None:
    """Raise ModelError unless the number can be one of this kind.  The message does not repeat it."""
    if kind is not PersonPaper.ID_CARD:
        return
    if not _ID_CARD.fullmatch(number) or not _is_day(number[6:14]):
        raise ModelError(
            field, Rule.FORM, "the number of an ID card has 18 characters, a date of birth in 7-14"
        )
    if id_card_check(number[:17]) != number[17]:
        raise ModelError(
            field, Rule.CHECK_DIGIT, "the last character does not fit the others; correct it"
        )


def _is_day(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True
