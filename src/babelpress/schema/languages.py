"""Language codes that more than one room needs."""

from __future__ import annotations

NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content
