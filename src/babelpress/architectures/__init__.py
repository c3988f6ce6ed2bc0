"""The families of encoders that can be pressed: one file each, registered here by the `model_type` of config.json."""

from __future__ import annotations

from babelpress.architectures import bert, distilbert, mpnet, roberta
from babelpress.architectures.family import Family
from babelpress.errors import TeacherError

FAMILIES: dict[str, Family] = {}


def register(family: Family) -> None:
    """Add a family under each of its model types."""
    FAMILIES.update(dict.fromkeys(family.classes, family))


for _module in (bert, roberta, distilbert, mpnet):
    register(_module.FAMILY)


def find_family(model_type: object) -> Family | None:
    """Return the family of a model type, None for one that is not registered."""
    return FAMILIES.get(model_type) if isinstance(model_type, str) else None


def family_of(model_type: object, *, model: str) -> Family:
    """Return the family of a model type. Raises TeacherError, naming those that are registered."""
    family = find_family(model_type)
    if family is None:
        raise TeacherError(
            f"{model} is of type {model_type!r}, whose layers and embeddings babelpress cannot prune; supported: "
            f"{', '.join(sorted(FAMILIES))}"
        )
    return family
