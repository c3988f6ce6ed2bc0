"""The language of a subset, from its name, which mteb's data sets spell in half a dozen ways."""

from __future__ import annotations

import re

from langcodes import Language, standardize_tag, tag_is_valid

PAIR = ""  # two languages

_NO_SUBSETS = {"default"}
# Parts of names that look like language codes: en-ext is Amazon's extended English.
_NO_CODES = {"ext"}
_MACRO = {"cmo": "zh"}


def subset_language(subset: str) -> str | None:
    """Return the language of `ko`, `zh-CN`, `ko-ko`, `kor_Hang`, `arabic`; "" for two of them, None for neither."""
    if subset in _NO_SUBSETS:
        return None
    languages = []
    for place, part in enumerate(re.split(r"[-_]", subset)):
        if re.fullmatch(r"[A-Z]{2}|[A-Z][a-z]{3}", part) and place:
            continue  # a region or a script
        code = _language(part)
        if code:
            languages.append(code)
        elif not place:
            return None
    return PAIR if len(set(languages)) > 1 else languages[0]


def _language(part: str) -> str | None:
    if part in _NO_CODES:
        return None
    if re.fullmatch(r"[a-z]{2,3}", part) and tag_is_valid(part):
        return _MACRO.get(part) or standardize_tag(part, macro=True)
    if len(part) > 3:
        try:
            return Language.find(part).language
        except LookupError:
            return None
    return None
