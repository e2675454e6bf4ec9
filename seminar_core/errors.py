"""Errors a reader can act on: what was wrong (with the value), the rule it broke, and the next step.

Foundation. Every error that crosses a public boundary of the core is a `SeminarError`; the command line prints it as
`{"error": {"kind", "message", "hint"}}` and the app shows message and hint, so neither needs to know the subclass.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeminarError(Exception):
    """A request could not be carried out.

    Args:
        message: what was wrong, with the offending value and the rule it broke.
        hint: the next step the reader can take.
    """

    kind = "error"

    def __init__(self, message: str, *, hint: str):
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_dict(self) -> dict[str, str]:
        """The error as the command line's JSON shows it."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint}


class UnknownNameError(SeminarError):
    """A name that is not one of the known ones; the message lists them, nearest first."""

    kind = "unknown_name"

    def __init__(self, what: str, value: str, known: Iterable[str], *, hint: str | None = None):
        names = sorted(known)
        near = difflib.get_close_matches(value, names, n=3)
        listed = ", ".join(names[:30]) + (f", ... ({len(names)} in all)" if len(names) > 30 else "")
        super().__init__(
            f"{what} {value!r} is not known; known: {listed or 'none'}",
            hint=hint or (f"did you mean {near[0]!r}?" if near else f"choose one of the known {what} names"),
        )
        self.value = value


class UnknownDatasetError(UnknownNameError):
    """A data set that the workspace does not hold."""

    kind = "unknown_dataset"


class UnknownRunError(UnknownNameError):
    """A run that the workspace does not hold."""

    kind = "unknown_run"


class UnknownPersonError(UnknownNameError):
    """A person id that the data set does not hold."""

    kind = "unknown_person"


class UnknownItemError(UnknownNameError):
    """An item id that the catalogue does not hold."""

    kind = "unknown_item"


class UnknownJobError(UnknownNameError):
    """A job that the workspace does not hold."""

    kind = "unknown_job"


class ConfigError(SeminarError):
    """A setting outside its range, of the wrong type, or unknown."""

    kind = "config"


class InvalidDataError(SeminarError):
    """Input whose content breaks the documented format."""

    kind = "invalid_data"


class EmptyDataError(InvalidDataError):
    """Input with no usable row."""

    kind = "empty_data"


class MissingColumnError(InvalidDataError):
    """A required column is absent."""

    kind = "missing_column"


class CorruptFileError(InvalidDataError):
    """A file that cannot be read as what its name says (truncated, wrong format)."""

    kind = "corrupt_file"


class DamagedError(CorruptFileError):
    """Files that are not what was recorded of them.

    Args:
        answer: what the command found or did all the same; the command line shows it beside the error.
    """

    def __init__(self, message: str, *, hint: str, answer: dict[str, object]):
        super().__init__(message, hint=hint)
        self.answer = answer


class MissingFileError(SeminarError):
    """A path that does not exist."""

    kind = "missing_file"


class GoneError(SeminarError):
    """A directory that was being written into was moved or deleted meanwhile."""

    kind = "gone"


class UnsafePathError(SeminarError):
    """A name or path that would leave the workspace."""

    kind = "unsafe_path"


class NonFiniteError(SeminarError):
    """NaN or infinity where numbers are needed."""

    kind = "non_finite"


class ShapeError(SeminarError):
    """Array shapes that do not fit together; the message gives both."""

    kind = "shape"


class ExistsError(SeminarError):
    """The name is taken and replacing it was not asked for."""

    kind = "exists"


class StaleError(SeminarError):
    """Something derived from data or a run that has changed since."""

    kind = "stale"


class PeerError(SeminarError):
    """Another of several processes that train together has ended."""

    kind = "process_died"


class ChildDiedError(SeminarError):
    """A process that worked for this one was ended, or ended without an answer."""

    kind = "process_died"


class RelayedError(SeminarError):
    """The error that a command answered with in another process, or in a job, carried on with its own kind."""

    def __init__(self, kind: str, message: str, hint: str):
        super().__init__(message, hint=hint)
        self.kind = kind


class NotReadyError(SeminarError):
    """A step that must come first has not been done."""

    kind = "not_ready"


class NotLinearError(SeminarError):
    """The model has no linear first-stage score, so there is nothing to quantise."""

    kind = "not_linear"


class DeviceError(SeminarError):
    """A device that is not there or ran out of memory."""

    kind = "device"


class MissingWeightsError(SeminarError):
    """An encoder's local weights (or its optional package) are not there."""

    kind = "missing_weights"


class DivergedError(SeminarError):
    """Training produced a loss that is not finite."""

    kind = "diverged"


class Cancelled(SeminarError):
    """The user asked to stop."""

    kind = "cancelled"


class ChannelWeightsError(SeminarError):
    """Channel weights that leave nothing to compare, or are no weights."""

    kind = "channel_weights"


class NotAllowedError(SeminarError):
    """The person who asks has a role that may not do this."""

    kind = "not_allowed"


class NotConfirmedError(SeminarError):
    """A step that destroys something was asked for without saying so explicitly."""

    kind = "not_confirmed"


class ResourceError(SeminarError):
    """Memory or disk space ran out."""

    kind = "resource"


class FileAccessError(SeminarError):
    """The operating system refused to read or write a file or directory."""

    kind = "file_access"


class NoMemoryError(DeviceError):
    """The device, or this machine, has no room for a step."""

    kind = "out_of_memory"
