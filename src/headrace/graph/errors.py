"""What can be wrong with data that came from somebody else."""

from headrace.errors import HeadraceError


class ModelError(HeadraceError):
    """The model breaks a bound of the format, or its file isn't what its program id promises."""


class InputError(HeadraceError):
    """The input of a job is missing, ill-formed, or isn't what its id promises."""


class TraceError(HeadraceError):
    """The bytes of a trace or result don't have the form that the model gives them."""
