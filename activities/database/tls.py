"""TLS of connections to PostgreSQL, by libpq's URL parameters, which asyncpg does not know."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from activities.database.certificates import TlsFileError, check_authorities, check_pair, client_context

# libpq's name for the certificates that the system trusts.
SYSTEM = "system"
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING = frozenset({"verify-ca", "verify-full"})
ENCRYPTING = VERIFYING | {"require"}

PARAMETERS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
# Parameters that asyncpg takes from a URL as text.
OTHER_PARAMETERS = frozenset({"host", "port", "target_session_attrs", "passfile"})


class TlsError(Exception):
    """Parameters contradict each other, or a file can't be used; `parameter` is libpq's name of the one to change."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(reason)
        self.parameter = parameter
        self.reason = reason


@dataclass(frozen=True)
class DatabaseTls:
    """The parameters by libpq's names, with libpq's meaning; without `sslmode` the driver encrypts if it can."""

    sslmode: str | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None

    @classmethod
    def of(cls, url: URL) -> "DatabaseTls":
        """Return the parameters of a URL."""
        return cls(**{name: str(url.query[name]) for name in PARAMETERS if name in url.query})

    def add_to(self, url: URL) -> URL:
        """Return the URL with these parameters besides its own, which take precedence."""
        return url.update_query_dict({name: value for name, value in self.given.items() if name not in url.query})

    @property
    def given(self) -> Mapping[str, str]:
        """The parameters that are set."""
        return {name: value for name in PARAMETERS if (value := getattr(self, name)) is not None}

    def check(self) -> None:
        """Raise `TlsError` if the parameters contradict each other or a file can't be used; reads the files."""
        self._check_mode()
        if bool(self.sslcert) != bool(self.sslkey):
            lacking = "sslkey" if self.sslcert else "sslcert"
            raise TlsError(lacking, "is not set: a client certificate needs its key, and a key its certificate")
        if self.sslrootcert and self.sslrootcert != SYSTEM:
            _check_file("sslrootcert", partial(check_authorities, Path(self.sslrootcert)))
        if self.sslcert and self.sslkey:
            _check_file("sslcert", partial(check_authorities, Path(self.sslcert)))
            _check_file("sslkey", partial(check_pair, Path(self.sslcert), Path(self.sslkey)))

    def _check_mode(self) -> None:
        if self.sslmode is not None and self.sslmode not in MODES:
            raise TlsError("sslmode", f"must be one of {', '.join(MODES)}")
        if self.sslmode in VERIFYING and not self.sslrootcert:
            raise TlsError(
                "sslrootcert",
                f"is not set: {self.sslmode} needs a file of certificates to trust, or `{SYSTEM}` for the system's",
            )
        if self.sslmode not in ENCRYPTING and len(self.given) > (self.sslmode is not None):
            raise TlsError("sslmode", "must be verify-full (or verify-ca, require) if TLS files are named")
        if self.sslrootcert == SYSTEM and self.sslmode != "verify-full":
            raise TlsError("sslmode", f"must be verify-full if `{SYSTEM}` certificates are trusted")

    def argument(self) -> ssl.SSLContext | str:
        """Return asyncpg's `ssl` argument; reads the files. With a context asyncpg never falls back to plain text."""
        if self.sslmode not in ENCRYPTING:
            return str(self.sslmode)
        return client_context(
            authorities=Path(self.sslrootcert) if self.sslrootcert and self.sslrootcert != SYSTEM else None,
            certificate=Path(self.sslcert) if self.sslcert else None,
            key=Path(self.sslkey) if self.sslkey else None,
            # Like libpq, which verifies named certificates with `require`, too.
            verified=bool(self.sslrootcert),
            named=self.sslmode == "verify-full",
        )


def check_url(url: URL) -> None:
    """Raise `TlsError` if the URL has a parameter that the driver does not know."""
    for name in url.query:
        if name not in OTHER_PARAMETERS and name not in PARAMETERS:
            known = ", ".join(sorted([*PARAMETERS, *OTHER_PARAMETERS]))
            hint = "; for TLS write sslmode=verify-full" if name.startswith("ssl") else ""
            raise TlsError(name, f"is not a known parameter ({known}){hint}")


def engine_of(url: URL, **options: Any) -> AsyncEngine:
    """Return an engine that hides parameters in errors and connects with the TLS of the URL.

    Each connection reads the files, so that renewed ones count without a restart.
    """
    tls = DatabaseTls.of(url)
    engine = create_async_engine(url.difference_update_query(PARAMETERS), hide_parameters=True, **options)
    if tls.sslmode is not None:

        @event.listens_for(engine.sync_engine, "do_connect")
        def add_tls(_dialect: Any, _record: Any, _positional: Any, arguments: dict[str, Any]) -> None:
            arguments["ssl"] = tls.argument()

    return engine


def _check_file(parameter: str, check: partial[None]) -> None:
    try:
        check()
    except TlsFileError as error:
        raise TlsError(parameter, str(error)) from None
