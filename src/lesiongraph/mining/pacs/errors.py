"""What can go wrong with a PACS: out of reach, unwilling, or answering what cannot be used."""

from __future__ import annotations

from lesiongraph.errors import LesionGraphError, UsageError


class PacsAddressError(UsageError):
    """The text is no address of a PACS."""

    def __init__(self, text: str, expected: str, found: str) -> None:
        self.text = text
        self.expected = expected
        super().__init__(f"{text}: expected {expected}; found {found}.")


class PacsError(LesionGraphError):
    """A PACS did not give what it was asked for."""


class PacsUnreachableError(PacsError):
    """The PACS does not answer, or answers with an error of its own, after all retries."""

    def __init__(self, address: str, what: str, cause: str, attempts: int) -> None:
        self.address = address
        self.cause = cause
        self.attempts = attempts
        super().__init__(
            f"{address}: no usable answer to {what} after {attempts} attempts ({cause}). "
            "Check that the PACS runs and is reached from here; the next run goes on where this one stopped."
        )


class PacsRefusedError(PacsError):
    """The PACS answers that it will not do what was asked; asking again would not help."""

    def __init__(self, address: str, what: str, status: int, next_step: str) -> None:
        self.address = address
        self.status = status
        kind = "HTTP status" if 100 <= status < 600 else "DIMSE status"
        said = f" ({kind} {status if status < 600 else f'0x{status:04X}'})" if status else ""
        super().__init__(f"{address}: refused {what}{said}. {next_step}")


class PacsAnswerTooLargeError(PacsError):
    """The PACS gives an object that would take more memory than any may; asked again, it gives the same."""

    def __init__(self, address: str, found: str) -> None:
        self.address = address
        super().__init__(f"{address}: an object that cannot be taken: it {found}. It is left in the PACS.")


class CorruptAnswerError(LesionGraphError):
    """An answer came whole as HTTP and is damaged inside: cut, of another kind, or of another object."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        self.what = what
        super().__init__(f"{what}: expected {expected}; found {found}. Ask again, or look at the PACS.")
