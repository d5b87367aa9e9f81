"""Where a PACS is and how it is spoken to; secrets come from options or the environment only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from lesiongraph.errors import UsageError
from lesiongraph.mining.pacs.errors import PacsAddressError

DICOMWEB = "dicomweb"
DIMSE = "dimse"
SCHEMES = ("dicomweb+http", "dicomweb+https", DIMSE)
TOKEN_VARIABLE = "LESIONGRAPH_PACS_TOKEN"
PASSWORD_VARIABLE = "LESIONGRAPH_PACS_PASSWORD"
_DIMSE_PORT = 104
_LONGEST_AE_TITLE = 16  # PS3.5 Sec. 6.2, VR AE
_EXPECTED = "dicomweb+http://HOST[:PORT]/PATH, dicomweb+https://… or dimse://AET@HOST[:PORT]"


@dataclass(frozen=True)
class PacsAddress:
    """A PACS by protocol and place, without any secret.

    Attributes
    ----------
    protocol : str
        `dicomweb` or `dimse`.
    host : str
    port : int
    secure : bool
        Whether DICOMweb goes over TLS.
    path : str
        Root of the DICOMweb service, "/dicom-web"; "" for DIMSE.
    called_ae : str
        The PACS's AE title; "" for DICOMweb.
    """

    protocol: str
    host: str
    port: int
    secure: bool = False
    path: str = ""
    called_ae: str = ""

    @classmethod
    def parse(cls, text: str) -> PacsAddress:
        """Read an address.

        Raises
        ------
        PacsAddressError
            If it is none, or holds a user name or password: addresses are kept and printed, secrets are not.
        """
        parts = urlsplit(text)
        if parts.scheme not in SCHEMES:
            raise PacsAddressError(_without_user(text), _EXPECTED, f"the scheme {parts.scheme or 'none'!r}")
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise PacsAddressError(_without_user(text), _EXPECTED, str(error)) from None
        if not host:
            raise PacsAddressError(_without_user(text), _EXPECTED, "no host")
        if parts.query or parts.fragment:
            raise PacsAddressError(_without_user(text), _EXPECTED, "a query or fragment after the path")
        if parts.scheme == DIMSE:
            return cls(DIMSE, host, port or _DIMSE_PORT, called_ae=_called_ae(text))
        if parts.username is not None:
            raise PacsAddressError(
                _without_user(text),
                f"no user or password in the address (use --user, with the password in {PASSWORD_VARIABLE})",
                "one",
            )
        secure = parts.scheme.endswith("https")
        return cls(DICOMWEB, host, port or (443 if secure else 80), secure, parts.path.rstrip("/"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.protocol == DIMSE:
            return f"dimse://{self.called_ae}@{host}:{self.port}"
        return f"dicomweb+{self.url}"

    @property
    def root(self) -> str:
        """`http(s)://host:port`, where a server may offer more than DICOMweb (Orthanc: its REST API)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The DICOMweb service's base URL."""
        return self.root + self.path


def is_pacs_address(text: str) -> bool:
    """Whether a source names a PACS rather than a path."""
    return str(text).partition("://")[0] in SCHEMES and "://" in str(text)


def _called_ae(text: str) -> str:
    """The AE title before the @, in its own case."""
    user, at, _ = urlsplit(text).netloc.rpartition("@")
    if not at or not user or ":" in user or len(user) > _LONGEST_AE_TITLE:
        found = "no AE title" if not user else "a password" if ":" in user else "a longer one"
        raise PacsAddressError(
            _without_user(text), f"dimse://AET@HOST:PORT, an AE title of at most {_LONGEST_AE_TITLE}", found
        )
    return user


def _without_user(text: str) -> str:
    """Return the address without what stands before an @, which may be a secret."""
    scheme, separator, rest = text.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


@dataclass(frozen=True)
class DateWindow:
    """Study dates from `first` to `last`, both included; None is open."""

    first: date | None = None
    last: date | None = None

    def __post_init__(self) -> None:
        if self.first and self.last and self.first > self.last:
            raise UsageError(
                f"--from {self.first} --to {self.last}: expected a window that begins before it ends."
            )

    @property
    def dicom(self) -> str:
        """As DICOM matches it (PS3.4 C.2.2.2.5): 20200101-20201231, "" for everything."""
        if not (self.first or self.last):
            return ""
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (self.first, self.last))
        return f"{first}-{last}"

    def holds(self, day: str) -> bool:
        """Whether a study date, YYYYMMDD, lies in it; an unknown one lies in the open window alone."""
        if not (self.first or self.last):
            return True
        if not day:
            return False
        after = self.first is None or day >= f"{self.first:%Y%m%d}"
        return after and (self.last is None or day <= f"{self.last:%Y%m%d}")


@dataclass(frozen=True)
class PacsSettings:
    """How a PACS is spoken to.

    Attributes
    ----------
    token, user, password : str
        Bearer token; or basic authentication. Never written or printed.
    ca : Path or None
        File of certificates to trust instead of the system's (PEM), for a hospital's own authority.
    client_ae : str
        Our AE title towards a DIMSE peer.
    move_port : int
        Where C-MOVE may send to, for a DIMSE peer without C-GET; 0: nowhere.
    page_size : int
        Studies (or series) asked for at once.
    parallel : int
        Requests (or associations) under way at once.
    rate : float
        Most requests a second; 0 sets no limit.
    retries : int
        How often a failed request is repeated.
    backoff_s : float
        Wait before the first repetition; doubled each time, with jitter.
    timeout_s : float
        Longest wait for a connection, and for the next bytes of an answer.
    window : DateWindow
    """

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    client_ae: str = "LESIONGRAPH"
    move_port: int = 0
    page_size: int = 100
    parallel: int = 4
    rate: float = 0.0
    retries: int = 5
    backoff_s: float = 0.5
    timeout_s: float = 60.0
    window: DateWindow = DateWindow()

    def __post_init__(self) -> None:
        for name, least in (("page_size", 1), ("parallel", 1), ("retries", 0), ("rate", 0), ("backoff_s", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: expected at least {least}, got {getattr(self, name)}.")
        if not 0 <= self.move_port <= 65535:
            raise UsageError(f"move_port: expected a port, 1 to 65535, got {self.move_port}.")
        if self.timeout_s <= 0:
            raise UsageError(f"timeout_s: expected more than 0 seconds, got {self.timeout_s}.")
        if self.token and self.user:
            raise UsageError("Give a bearer token or a user, not both.")
        if self.ca is not None and not self.ca.is_file():
            raise UsageError(f"{self.ca}: expected a file of certificates (PEM), found none.")


class Secrets(TypedDict):
    """Arguments of `PacsSettings` that are never written or printed."""

    token: str
    user: str
    password: str


def secrets_from(
    environment: Mapping[str, str] = os.environ, *, token: str | None = None, user: str | None = None
) -> Secrets:
    """Return `token`, `user` and `password` for `PacsSettings`, from options and else from the environment.

    `user` may be `NAME` (the password is in LESIONGRAPH_PACS_PASSWORD) or `NAME:PASSWORD`. A user given
    leaves a token of the environment aside.
    """
    if user:
        name, _, password = user.partition(":")
        return {
            "token": token or "",
            "user": name,
            "password": password or environment.get(PASSWORD_VARIABLE, ""),
        }
    return {"token": token or environment.get(TOKEN_VARIABLE, ""), "user": "", "password": ""}
