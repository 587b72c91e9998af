"""``edit``: a private copy in an editor, validated, and brought together with what was learned while it was open.

Refuses: writing a text that is not valid, and overwriting what somebody else changed meanwhile. What the person wrote is
installed or kept, never lost.
"""

from __future__ import annotations

import errno
import os
import sys

import click

from rotator.cli.accounts import path_of
from rotator.cli.copying import PrivateCopy
from rotator.cli.editors import Editor, editor_of
from rotator.cli.endings import INVALID, OK, fault_line
from rotator.cli.voice import printable, say, talk, whisper
from rotator.core.codec.decode import NEWER, decode
from rotator.core.codec.merge import crossed, merged
from rotator.errors import AccountsDenied, AccountsInvalid, AccountsMissing, Fault
from rotator.store.file import ReadOnly, Store
from rotator.store.reading import obstacle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rotator.store.reading import Snapshot

_FAILED = 1
"""The editor itself ended with an error, which is how one says: forget it."""


@click.command(
    "edit",
    epilog="""\b
Examples:
  rotator edit
  EDITOR='code --wait' rotator edit
  rotator --accounts pool.json edit

\b
Exit codes:
  0    saved, or nothing was changed
  1    the editor ended with an error, nothing was written
  2    there is no such editor
  78   not valid, or changed by somebody else too: nothing was written, your text is kept
  66, 74, 77   no file, I/O, permission""",
)
@click.pass_context
def command(ctx: click.Context) -> int:
    """Edit accounts.json in $VISUAL or $EDITOR, while rotator goes on using it.

    You edit a copy. It is validated when the editor ends, and what was learned meanwhile is kept: your text wins
    everywhere but in `runtime` and `active`, and there too where you changed it.
    """
    path = path_of(ctx.obj)
    editor = editor_of(os.environ)
    store = Store(path)
    _recover(store)
    raw = store.read().raw
    _refuse_what_is_not_written(path, raw)
    with PrivateCopy(os.path.basename(path), raw) as copy:
        return _Edit(store, editor, copy, raw).run()


class _Crossed(Exception):
    """Somebody else changed the file; ``theirs`` is what it holds now."""

    def __init__(self, theirs: bytes) -> None:
        self.theirs = theirs
        super().__init__("the file was changed by somebody else")


class _LeftBehind(Exception):
    """A writer died meanwhile; what it left may be news, and an exchange removes it."""


class _Edit:
    """One person's edit: ``base`` is the file that their text began as."""

    def __init__(self, store: Store, editor: Editor, copy: PrivateCopy, base: bytes) -> None:
        self._store = store
        self._path = store.path
        self._editor = editor
        self._copy = copy
        self._base = base
        self._beside: tuple[str, ...] = ()
        self._offered: bytes | None = None
        """What was given to the person to bring two texts together, once that was needed."""

    def run(self) -> int:
        """Edit until the text is installed, or given up; the exit code."""
        at = None
        while True:
            if status := self._editor.edit(self._copy.path, self._beside, at):
                return self._given_up(f"{self._editor.name} ended with an error ({status}), so nothing was written")
            try:
                at, mine = None, self._copy.read()
            except AccountsMissing:
                return self._given_up("the copy was removed, so nothing was written")
            if mine == self._base:
                return self._unchanged()
            if faults := _faults(mine):
                self._show(faults)
                if not _ask("Edit it again?"):
                    return self._given_up(f"{self._path} was not changed", INVALID)
                at = faults[0].line, faults[0].column
                continue
            if mine == self._offered and not _ask("You left it as it was. Put it over their text?", enter=False):
                return self._given_up(f"{self._path} was not changed", INVALID)
            try:
                return self._installed(self._install(mine))
            except _Crossed as error:
                theirs = error.theirs
            talk(f"{self._path} was changed by somebody else while you edited it, so nothing was written")
            if not _ask("Edit again, with their text beside yours?"):
                return self._given_up(f"{self._path} was not changed", INVALID)
            self._begin_again(mine, theirs)

    def _install(self, mine: bytes) -> bytes:
        """Bring the text together with the file as it is under the lock, durably; what the file then holds."""
        judged: set[str] = set()

        def rebase(snapshot: Snapshot) -> bytes:
            left = {leftover.path for leftover in self._store.leftovers()}
            if left - judged:
                judged.update(left)
                raise _LeftBehind
            if crossed(self._base, mine, snapshot.raw):
                raise _Crossed(snapshot.raw)
            return merged(self._base, mine, snapshot.raw)

        while True:
            try:
                return self._store.exchange(rebase).raw
            except _LeftBehind:
                _recover(self._store)
            except ReadOnly as error:
                denied = error.obstacle
                break
        raise AccountsDenied(errno.EACCES, f"{self._path} was not changed: {denied}")

    def _installed(self, raw: bytes) -> int:
        from rotator.core.codec.faults import runtime_faults_of

        self._copy.settled = self._copy.read()
        for fault in runtime_faults_of(raw):
            whisper(fault_line(self._path, fault, "warning: "))
        if self._store.tightened:
            talk(f"{self._path} was readable by others and is now mode 0600, since it holds credentials")
        number = len(decode(raw)[1])
        say(printable(f"{self._path}: saved, {number} account{'' if number == 1 else 's'}"))
        return OK

    def _begin_again(self, mine: bytes, theirs: bytes) -> None:
        """The text over what the file holds now, which from here on is what the person has seen."""
        self._offered = merged(self._base, mine, theirs)
        self._copy.write(self._offered)
        self._beside = (self._copy.lay_beside("theirs-", theirs),)
        self._base = theirs

    def _unchanged(self) -> int:
        hint = ""
        if self._editor.returns_at_once:
            hint = f"; {self._editor.name} did not wait for you, so set EDITOR='{self._editor.name} --wait'"
        say(printable(f"{self._path}: no change, nothing was written{hint}"))
        return OK

    def _given_up(self, why: str, code: int = _FAILED) -> int:
        talk(why)
        if self._copy.holds_news():
            self._copy.keep()
        return code

    def _show(self, faults: Sequence[Fault]) -> None:
        talk("this is not valid:")
        for fault in faults:
            whisper(fault_line(self._copy.path, fault))


def _recover(store: Store) -> None:
    """Let an engine write what writers that died left beside the file; a broken file is the person's to mend."""
    if store.leftovers():
        from rotator.cli.opening import Opened

        try:
            with Opened(store.path):
                pass
        except AccountsInvalid:
            pass


def _refuse_what_is_not_written(path: str, raw: bytes) -> None:
    why = obstacle(path)
    if why is None:
        try:
            why = NEWER if decode(raw)[0].newer else None
        except AccountsInvalid:
            return
    if why is not None:
        raise AccountsDenied(errno.EACCES, f"{path} cannot be edited here: {why}")


def _faults(raw: bytes) -> tuple[Fault, ...]:
    """Why the text cannot be installed; none when it can."""
    try:
        document, _ = decode(raw)
    except AccountsInvalid as error:
        return error.faults
    if not document.newer:
        return ()
    start = document.members["version"][0]
    line = document.raw.count(b"\n", 0, start) + 1
    column = start - document.raw.rfind(b"\n", 0, start)
    return (Fault("/version", line, column, "this version is newer than this rotator", "leave the version as it was"),)


def _ask(question: str, *, enter: bool = True) -> bool:
    """A yes or no from stdin, ``enter`` for Enter alone; when nobody is there to answer, no."""
    whisper(f"{question} {'[Y/n]' if enter else '[y/N]'} ", end="")
    line = sys.stdin.readline() if sys.stdin is not None else ""
    if not line.endswith("\n"):
        whisper("")
    answer = line.strip().lower()
    return answer.startswith("y") or (enter and line.endswith("\n") and not answer)
