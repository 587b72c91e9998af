"""A private copy of the file, for an editor: in a folder of its own that only this user can enter, and gone at the end.

Refuses: knowing what the text means. It lies apart from the file, among temporary files, so that whatever watches, syncs
or backs up the file's folder never meets a second set of credentials, nor does it meet what the editor leaves beside a
text (swap, undo, backup): that goes away with the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile

from rotator.cli.interrupts import Interrupts
from rotator.cli.voice import printable, talk
from rotator.errors import RotatorError
from rotator.store.reading import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class PrivateCopy:
    """The copy as a context manager; inside it SIGINT, SIGTERM and SIGHUP raise ``Ended``, unless they were ignored.

    However it is left, the folder goes, but for a text that nobody has yet and that is asked to be kept: by ``keep``, or
    by leaving with an error while it differs from ``settled``, which begins as what was copied. Raises OSError.
    """

    def __init__(self, name: str, raw: bytes) -> None:
        self.settled = raw
        self._name = name
        self._kept = False
        self._interrupts = Interrupts()
        self._folder = ""

    @property
    def path(self) -> str:
        """Where the copy lies, under the file's own name, so that editors know what it is."""
        return os.path.join(self._folder, self._name)

    def __enter__(self) -> Self:
        self._interrupts.catch()
        try:
            self._folder = tempfile.mkdtemp(prefix="rotator-edit-")
            self.write(self.settled)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._interrupts.ignore()
        try:
            if error is not None and not self._kept and self.holds_news():
                self.keep()
        finally:
            self._leave()

    def read(self) -> bytes:
        """The text as it is now. Raises as the store's ``read`` does."""
        return read(self.path).raw

    def write(self, raw: bytes) -> None:
        """Put another text there."""
        _write(self.path, raw, 0o600)

    def lay_beside(self, prefix: str, raw: bytes) -> str:
        """A second text that is for looking at only, in the same folder; its path."""
        path = os.path.join(self._folder, prefix + self._name)
        _write(path, raw, 0o400)
        return path

    def keep(self) -> None:
        """Leave the text where it is, alone in its folder, and say where that is."""
        self._kept = True
        for entry in os.listdir(self._folder):
            if entry != self._name:
                _remove(os.path.join(self._folder, entry))
        talk(f"your text is kept in {printable(self.path)}; it holds credentials, so remove it when you are done")

    def holds_news(self) -> bool:
        """Whether the text differs from ``settled``; one that cannot be read does, one that is gone does not."""
        try:
            return self.read() != self.settled
        except FileNotFoundError:
            return False
        except (OSError, RotatorError):
            return True

    def _leave(self) -> None:
        if self._folder and not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._interrupts.restore()


def _write(path: str, raw: bytes, mode: int) -> None:
    """Replace it, whatever the umask and whoever has the old one open."""
    _remove(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(raw)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
