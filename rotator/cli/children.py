"""A program in this one's place, or as its child: started as env(1) starts one, signals passed on, its end told as a shell tells it.

Refuses: choosing its environment, a shell between, a process group of its own: job control and the terminal's signals reach it
as if it had been started by hand.
"""

from __future__ import annotations

import errno
import os
import signal

from rotator.cli.voice import talk
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NOT_RUN, NOT_FOUND = 126, 127
"""As env(1) and shells: it is there and cannot be run; it is not there."""
SIGNALLED = 128
"""A shell's exit code of what a signal ended is this and the signal's number."""
_ENDINGS = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP})
_PASSED_ON = _ENDINGS | {signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM}
"""SIGTSTP, SIGTTIN, SIGTTOU and SIGCONT keep their effect on this process too, so that a shell sees its job stop and go on."""
_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)
"""The interpreter ignores them, and a program must not inherit that."""


class Ended(Value):
    """How a child ended: its exit code, or 128 and the signal's number.

    ``exited``: it ended by itself. ``asked``: somebody asked this process to end meanwhile.
    """

    code: int
    exited: bool
    asked: bool = False


def replace(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Become the program: nothing of this process stays between it and whoever started it, whatever kills either.

    Returns 127 or 126 when that cannot be, and says why on stderr.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _PYTHON_IGNORES}
    try:
        try:
            os.execvpe(words[0], [*words], {**environment})  # noqa: S606  that is what was asked for
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            shell, *rest = _by_shell(words, environment)
            os.execve(shell, [shell, *rest], {**environment})  # noqa: S606  as env(1) does
    except (OSError, ValueError) as error:
        for number, handler in before.items():
            signal.signal(number, handler)
        return _not_started(words[0], error)


def run(words: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Start the program, pass on the signals that are sent to this process, and wait until it has ended.

    Signals from the terminal reach it by themselves and are not passed on a second time. Nothing here ends before it does,
    short of SIGKILL; then the child lives on, as it would behind any shell. (PR_SET_PDEATHSIG would need code between fork and
    exec, is Linux's alone, and would kill a program that put itself into the background on purpose.)
    """
    watched = frozenset(number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN)
    children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would take the exit code away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched | {signal.SIGCHLD})
    try:
        try:
            child = _spawned(words, environment, before)
        except (OSError, ValueError) as error:
            return Ended(_not_started(words[0], error), exited=False)
        return _waited(child, watched)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if children is None else children)


def _spawned(words: Sequence[str], environment: Mapping[str, str], mask: Iterable[int]) -> int:
    reset = [*_PYTHON_IGNORES, signal.SIGCHLD]
    try:
        return os.posix_spawnp(words[0], [*words], {**environment}, setsigmask=mask, setsigdef=reset)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    words = _by_shell(words, environment)
    return os.posix_spawn(words[0], words, {**environment}, setsigmask=mask, setsigdef=reset)


def _by_shell(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """A script that names no interpreter is the shell's, as POSIX has it of execvp and env(1) does."""
    name = words[0]
    if "/" not in name:
        import shutil  # only for such a script

        name = shutil.which(name, path=environment.get("PATH", os.defpath)) or name
    return ["/bin/sh", name, *words[1:]]


def _waited(child: int, watched: frozenset[signal.Signals]) -> Ended:
    asked = False
    while True:
        number, sent = _next_of(watched | {signal.SIGCHLD})
        if number == signal.SIGCHLD:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return Ended(code if code >= 0 else SIGNALLED - code, code >= 0, asked)
            continue
        asked = asked or number in _ENDINGS
        if sent:
            os.kill(child, number)  # it has not been waited for, so the number is its own


def _next_of(watched: frozenset[signal.Signals]) -> tuple[int, bool]:
    """The next signal, and whether a process sent it to this one (the terminal's go to all of its group)."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(watched)
        return info.si_signo, info.si_code <= 0  # SI_USER, SI_QUEUE, SI_TKILL; the kernel's own are above
    number = signal.sigwait(watched)  # macOS
    return number, number not in (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)


def _not_started(word: str, error: OSError | ValueError) -> int:
    why = error.strerror if isinstance(error, OSError) else "no program has such a name"
    talk(f"{word}: {why}")
    there = isinstance(error, OSError) and not isinstance(error, FileNotFoundError | NotADirectoryError)
    return NOT_RUN if there else NOT_FOUND
