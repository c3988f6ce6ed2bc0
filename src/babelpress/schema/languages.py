"""Language codes: those that people write, as the codes of recipes and tables."""

from __future__ import annotations

from functools import lru_cache

NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content
_LONGEST = 64
UNKNOWN = "und"  # ISO 639-2: undetermined


@lru_cache(maxsize=4096)
def language_code(written: str, languages: tuple[str, ...] = ()) -> str:
    """Return the code of a language as people write it: `EN`, `eng`, `fr_FR`, `German`, `en `.

    A code with a region or a script is kept where `languages`, the recipe's, has it, and is the bare language
    otherwise. What names no language is `und`.
    """
    import langcodes

    text = written.strip().replace("_", "-")
    if not text.isprintable() or len(text) > _LONGEST:
        return UNKNOWN
    by_case = {code.lower(): code for code in languages}
    if text.lower() in by_case:
        return by_case[text.lower()]
    try:
        tag = langcodes.standardize_tag(text) if langcodes.tag_is_valid(text) else str(langcodes.find(text))
    except (ValueError, LookupError):  # not a tag, and not a name
        return UNKNOWN
    if tag in languages:
        return tag
    bare = langcodes.Language.get(tag).language
    return bare if bare and bare not in ("mul", "mis") else UNKNOWN
