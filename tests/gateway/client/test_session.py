"""Where the command line keeps its login."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.client.session import VARIABLE, ClientSession, OidcLogin, SessionFile
from gateway.errors import ConfigurationError

SESSION = ClientSession(
    url="https://qg.example.com",
    name="ana@example.com",
    access_token="a",
    expires=12.5,
    refresh_token="r",
    oidc=OidcLogin("https://id.example.com/token", "querygate"),
)


def test_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    file = SessionFile({VARIABLE: str(tmp_path / "deep" / "session.json")})
    assert file.load() is None
    file.save(SESSION)
    assert file.load() == SESSION
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.remove()
    assert not file.remove()


def test_a_login_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = SessionFile({VARIABLE: str(tmp_path / "session.json")})
    file.save(SESSION)
    file.path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        file.load()


def test_damage_asks_for_another_login(tmp_path: Path) -> None:
    file = SessionFile({VARIABLE: str(tmp_path / "session.json")})
    file.save(SESSION)
    file.path.write_text('{"url": 1}')
    with pytest.raises(ConfigurationError, match="querygate login"):
        file.load()


def test_stands_where_configurations_stand(tmp_path: Path) -> None:
    assert SessionFile({"XDG_CONFIG_HOME": str(tmp_path)}).path == tmp_path / "querygate/session.json"
    assert SessionFile({"HOME": str(tmp_path)}).path == tmp_path / ".config/querygate/session.json"
