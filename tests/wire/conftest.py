"""A provider and a clock that stand at one instant, and an account whose access token has ended there."""

from __future__ import annotations

import pytest

from rotator import Rotator
from tests.provider.server import Provider
from tests.simulators import START, FakeClock, document, instant, save

FIRST, OLD = "fake-a-refresh-0", "fake-a-access-0"


@pytest.fixture
def provider():
    with Provider() as provider:
        provider.set_time(START)
        yield provider


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.json"


@pytest.fixture
def laid(path, provider):
    """Lays out an account ``a`` at the provider and in the file, its access token ended; returns the provider's side."""

    def lay(*, dialect="anthropic", rotation="rotating", expires_in=3600.0, without=(), **parts):
        held = provider.account(
            "a", dialect=dialect, refresh_token=FIRST, access_token=OLD, rotation=rotation, expires_in=expires_in
        )
        mine = {
            "name": "a",
            "provider": dialect,
            "access_token": OLD,
            "refresh_token": FIRST,
            "expires_at": instant(-1),
            "token_url": f"{provider.url}/oauth/token",
            "note": "mine",
            **parts,
        }
        save(path, document({key: value for key, value in mine.items() if key not in without}, {"name": "b"}))
        return held

    return lay


@pytest.fixture
def opened(path, clock):
    made = []

    def open_():
        made.append(Rotator.open(path, clock=clock))
        return made[-1]

    yield open_
    for rotator in made:
        rotator.close()
