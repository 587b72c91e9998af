"""Files to write, and a user who is not root."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock  # noqa: F401  a child that gave up root cannot always load it
import pytest

import rotator.store.file
import rotator.store.lock  # noqa: F401  as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
OLD = b'{"accounts": [{"name": "a", "api_key": "fake-old"}]}\n'


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a power cut could tell the difference, and that syncs happen, in order, has a test of its own."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """A file of mode 0600 in a folder of its own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "accounts.json"
    path.write_bytes(OLD)
    path.chmod(0o600)
    return path


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that a user who is not root can reach, and may write."""
    folder = Path(tempfile.mkdtemp(prefix="rotator-store-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    try:
        yield folder
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


@pytest.fixture
def owned(shared_folder: Path) -> Path:
    """A file in it that belongs to that user."""
    path = shared_folder / "accounts.json"
    path.write_bytes(OLD)
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path


def _as_nobody(function: Callable[[], Any]) -> Any:
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about threads, of which the child uses none
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                answer = function()
            except Exception as error:  # noqa: BLE001  the parent looks at it
                answer = error
            os.write(writer, pickle.dumps(answer))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        raw = stream.read()
    os.waitpid(child, 0)
    return pickle.loads(raw)


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], Any]], Any]:
    """Run a function in a child without root's rights; returns its value, or the exception it raised."""
    return _as_nobody


@pytest.fixture
def leftovers() -> Callable[[Path], list[str]]:
    """What lies beside a file besides its lock and its backup."""

    def names(path: Path) -> list[str]:
        return sorted(set(os.listdir(path.parent)) - {path.name, f".{path.name}.lock", f"{path.name}.bak"})

    return names
