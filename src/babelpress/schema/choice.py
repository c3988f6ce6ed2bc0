"""A choice of the recipe: its values, each with the words in which reports describe it."""

from __future__ import annotations

from enum import Enum


class Choice(str, Enum):
    """A string enum that prints as its value; each member is `VALUE = "value", "its description"`."""

    words: str

    def __new__(cls, value: str, words: str = "") -> Choice:
        """Make a member that equals its value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.words = words
        return member

    def __str__(self) -> str:
        return str(self.value)
