"""How personal data is shown to those who need not see all of it: `张*`, `138****0000`, `1****************X`.

The stars do not tell the length, but for numbers whose length everybody knows.  An empty value stays empty.
"""

from collections.abc import Callable

Mask = Callable[[str], str]

_SHOWN_OF_LONG = 11  # from so many characters on, a telephone number shows its first 3 and last 4


def mask_name(name: str) -> str:
    """Return the first character of a person's name, and a star: `张*`."""
    return f"{name[0]}*" if name else ""


def mask_phone(number: str) -> str:
    """Return a telephone number without its middle: `138****0000`; of a short one only the last two digits."""
    if not number:
        return ""
    if len(number) >= _SHOWN_OF_LONG:
        return f"{number[:3]}****{number[-4:]}"
    return f"****{number[-2:]}" if len(number) > 4 else "****"


def mask_number(number: str) -> str:
    """Return the first and the last character of the number of a paper, with stars between them."""
    if not number:
        return ""
    if len(number) < 6:
        return "****"
    return f"{number[0]}{'*' * (len(number) - 2)}{number[-1]}"


def mask_email(address: str) -> str:
    """Return an e-mail address without its name: `z***@example.com`."""
    if not address:
        return ""
    name, at, domain = address.partition("@")
    return f"{name[:1]}***{at}{domain}" if at else "***"


def mask_wholly(text: str) -> str:
    """Return stars: a photo of a paper, or its file, is not shown at all."""
    return "***" if text else ""
