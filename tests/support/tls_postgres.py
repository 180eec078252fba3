"""A PostgreSQL that takes nothing but TLS, and `app_user` only with a client certificate."""

import shutil
from pathlib import Path

from app.embedded.postgres import ADMIN_ROLE, APP_ROLE, EmbeddedPostgres
from tests.support.certificates import Authority, Pair

ACCESS = f"""
hostssl all {APP_ROLE} 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
hostssl all {ADMIN_ROLE} 127.0.0.1/32 scram-sha-256
"""


class TlsPostgres(EmbeddedPostgres):
    """Shows the given certificate, and asks those whom an authority has signed for theirs."""

    def __init__(self, data_dir: Path, *, shown: Pair, trusted: Authority) -> None:
        super().__init__(data_dir, durable=False)
        self._shown = shown
        self._trusted = trusted

    def _settings(self) -> dict[str, str]:
        files = {
            "ssl_cert_file": self._shown.certificate,
            "ssl_key_file": self._shown.key,
            "ssl_ca_file": self._trusted.file,
        }
        settings = super()._settings() | {"ssl": "on"}
        for name, source in files.items():
            settings[name] = str(self._own_copy(source))
        access = self.data_dir / "access.conf"
        access.write_text(ACCESS)
        self._hand_over(access, 0o600)
        return settings | {"hba_file": str(access)}

    def _own_copy(self, source: Path) -> Path:
        """The server takes a key only from its own account."""
        copy = self.data_dir / source.name
        shutil.copy(source, copy)
        self._hand_over(copy, 0o600)
        return copy
