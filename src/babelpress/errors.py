"""The one family of errors that babelpress raises on purpose.

The command line prints them as one line; everything else is a bug and shows its traceback.
"""


class BabelpressError(Exception):
    """Say what is wrong, the value, the limit and the remedy, in one line."""


class RecipeError(BabelpressError):
    """A recipe that cannot be read or that asks for something impossible."""


class TeacherError(BabelpressError):
    """A teacher that is missing, unsafe, damaged or of a kind not supported yet."""


class SourceError(BabelpressError):
    """A text source that is missing, empty or unreadable."""


class PlanError(BabelpressError):
    """A layer or vocabulary request that this teacher and corpus cannot meet."""


class TrainingError(BabelpressError):
    """A distillation that must not go on."""


class Stopped(BabelpressError):  # noqa: N818 (nothing is wrong)
    """Work that was asked to end (SIGTERM) and can go on later."""


class EvaluationError(BabelpressError):
    """A task whose data or result is not there."""


class ExportError(BabelpressError):
    """An export that cannot be made, or that differs too much from the student."""


class HubError(BabelpressError):
    """Something on the hub that could not be had."""


class PackageError(BabelpressError):
    """A package that cannot be had, or whose files are not the ones that are known."""
