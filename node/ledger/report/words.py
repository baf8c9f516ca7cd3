"""The words of a report, `words.json`: both languages have the same sentences in the same places."""

import json
from collections.abc import Mapping
from importlib.resources import files

from node.ledger.report.thresholds import LANGUAGES

LIMIT_WORDS = ("limit_proves", "limit_live", "limit_total", "limit_tests")

WORDS: Mapping[str, Mapping[str, str]] = json.loads(
    (files("node.ledger.report") / "words.json").read_bytes()
)

LIMITS = {language: [WORDS[word][language] for word in LIMIT_WORDS] for language in LANGUAGES}


class Words:
    """The words of one language; `table` has those of both, those of a monthly report unless said."""

    def __init__(self, language: str, table: Mapping[str, Mapping[str, str]] = WORDS) -> None:
        self.language = language
        self._table = table

    def __call__(self, name: str, /, **values: object) -> str:
        """Return a sentence with its values put in."""
        return self._table[name][self.language].format(**values)

    def known(self, name: str, otherwise: str) -> str:
        """Return a word if there is one, else what it stands for."""
        return self._table[name][self.language] if name in self._table else otherwise
