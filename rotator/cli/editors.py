"""Which editor a person wants, how it is led to a line, and running it. Refuses: what is edited."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess

from rotator.errors import BadArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

_VARIABLES = ("VISUAL", "EDITOR")
_USUAL = ("vi", "nano")
"""POSIX names vi; a machine without it mostly has nano."""
_PLUS = {"vi", "vim", "nvim", "gvim", "mvim", "view", "ex", "nano", "rnano", "pico", "emacs", "emacsclient", "mg"} | {
    *("zile", "jed", "joe", "jmacs", "jpico", "micro", "kak", "ne", "mcedit", "gedit")
}
_GOTO = {"code", "code-insiders", "codium", "vscodium", "cursor", "windsurf"}
_COLON = {"hx", "helix", "subl", "zed", "zeditor"}
_IN_A_WINDOW = {*_GOTO, "subl", "zed", "zeditor"}
_WAIT_FLAGS = {"-w", "--wait"}
_LAST_WORDS_SECS = 5.0
"""How long an editor that is asked to end may take to put the terminal in order. Our choice."""


class Editor:
    """An editor's command line, as words; ``name`` is that of its program."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.name = os.path.basename(words[0])

    @property
    def returns_at_once(self) -> bool:
        """Whether it hands the file to a window and ends, for want of an option; what it was given is not edited yet."""
        return self.name in _IN_A_WINDOW and _WAIT_FLAGS.isdisjoint(self.words)

    def arguments(self, path: str, others: tuple[str, ...] = (), at: tuple[int, int] | None = None) -> list[str]:
        """The whole command line that opens ``path``, at a line and column where the editor is known to take them.

        >>> Editor(["vim"]).arguments("a.json", at=(3, 7)), Editor(["code", "--wait"]).arguments("a.json", at=(3, 7))
        (['vim', '+3', 'a.json'], ['code', '--wait', '--goto', 'a.json:3:7'])
        """
        opened = [path]
        if at is not None and self.name in _PLUS:
            opened = [f"+{at[0]}", path]
        elif at is not None and self.name in _GOTO:
            opened = ["--goto", f"{path}:{at[0]}:{at[1]}"]
        elif at is not None and self.name in _COLON:
            opened = [f"{path}:{at[0]}:{at[1]}"]
        return [*self.words, *opened, *others]

    def edit(self, path: str, others: tuple[str, ...] = (), at: tuple[int, int] | None = None) -> int:
        """Run it and wait; its exit code, negative for a signal. Raises BadArgument when it cannot be started.

        Ctrl-C is the editor's meanwhile. Whatever else ends the wait (``Ended``) ends the editor too, and goes on up.
        """
        before = signal.getsignal(signal.SIGINT)
        if before is not signal.SIG_IGN:  # a handler, because what is ignored would be ignored by the editor too
            signal.signal(signal.SIGINT, _leave_it)
        try:
            return _wait(self._start(self.arguments(path, others, at)))
        finally:
            signal.signal(signal.SIGINT, before)

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(words)  # noqa: S603  it is the person's own choice of a program
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "a NUL byte in its name"
            message = f"the editor {self.words[0]} cannot be started ({why}); set VISUAL or EDITOR to one that is there"
        raise BadArgument(message)


def editor_of(environment: Mapping[str, str]) -> Editor:
    """``VISUAL``, else ``EDITOR``, read as a shell reads words, else vi or nano; an empty variable counts as unset.

    Raises BadArgument when a variable is no command line, or when there is no editor.
    """
    for variable in _VARIABLES:
        said = environment.get(variable, "").strip()
        if not said:
            continue
        try:
            words = shlex.split(said)
        except ValueError:
            words = []
        if not words or not words[0]:
            message = f"{variable} is no command line: look for a missing quote"
            raise BadArgument(message)
        return Editor(words)
    for name in _USUAL:
        if shutil.which(name):
            return Editor([name])
    message = "there is no editor: set VISUAL or EDITOR, for example EDITOR=nano"
    raise BadArgument(message)


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(_LAST_WORDS_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _leave_it(_number: int, _frame: FrameType | None) -> None:
    pass
