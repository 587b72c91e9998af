"""Where the file lies and who else can touch it: owner, mode, links, lock, and what git would do with it.

Refuses: what stands in it (``contents``), and changing anything; only a lock file is made, as every write makes it.
"""

from __future__ import annotations

import os
import pwd
import stat as modes
import subprocess
import time

from rotator.cli.finding import note, ok, warning
from rotator.cli.mounts import found
from rotator.errors import RotatorError
from rotator.store.lock import Lock
from rotator.store.reading import obstacle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.cli.finding import Finding

OTHERS = 0o077
_LARGE_BYTES = 1024 * 1024
"""A thousand accounts with their runtime are about this large; each write replaces all of it."""
_LOCK_WAIT_SECS = 0.25
_GIT_SECS = 5.0
_LOCKS = {
    "file": ok("lock", "a lock file beside it works"),
    "file_readonly": note("lock", "the lock file may not be written by this user, and is locked all the same"),
    "directory": note("lock", "no lock file can be made beside it, so the folder itself is locked"),
    "none": warning(
        "lock",
        "nothing can be locked here; writes are compared, and two at one instant can still be one too many",
        "keep the file on a local disk, in a folder that its owner may write",
    ),
}


def findings(path: str, status: os.stat_result, *, has_secrets: bool) -> Iterator[Finding]:
    """What there is to say of a file that is there; ``has_secrets``: credentials stand in it, not only where they are."""
    target = os.path.realpath(path)
    yield from _links(path, target, status)
    yield _size(status)
    yield _mode(status)
    yield from _owner(status)
    why = obstacle(path)
    yield _writes(target, status, why)
    if why is None:
        yield _lock(target)
    yield from _git(target, has_secrets=has_secrets)


def _links(path: str, target: str, status: os.stat_result) -> Iterator[Finding]:
    chain, at = [], os.path.abspath(path)
    while os.path.islink(at) and at not in chain:
        chain.append(at)
        at = os.path.normpath(os.path.join(os.path.dirname(at), os.readlink(at)))
    if chain:
        count = f"{len(chain)} symbolic link{'' if len(chain) == 1 else 's'}"
        yield note("links", f"{count} lead to {target}, which is what is written; they stay as they are")
    if status.st_nlink > 1:
        yield warning(
            "links",
            f"it has {status.st_nlink} hard links, so it is written in place, which a power cut can tear",
            "use a symbolic link instead of the second name",
        )


def _size(status: os.stat_result) -> Finding:
    if status.st_size <= _LARGE_BYTES:
        return ok("size", f"{status.st_size} bytes")
    return note(
        "size", f"{status.st_size} bytes, all of which each write replaces", "remove accounts that are not used"
    )


def _mode(status: os.stat_result) -> Finding:
    mode = modes.S_IMODE(status.st_mode)
    if not mode & OTHERS:
        return ok("mode", f"{mode:04o}, its owner's alone")
    return warning("mode", f"{mode:04o} lets others at the credentials", "chmod 600 it; the next write does so too")


def _owner(status: os.stat_result) -> Iterator[Finding]:
    user = os.geteuid()
    if status.st_uid == user:
        return
    what = f"it belongs to {_user(status.st_uid)}, and this runs as {_user(user)}"
    if user == 0:
        yield note("owner", f"{what}, who leaves it to its owner")
    else:
        yield warning("owner", what, "run rotator as its owner, or give each user a file")


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:
        return f"user {number}"


def _writes(target: str, status: os.stat_result, why: str | None) -> Finding:
    """What a write would do, told without one; ``why`` it would not be done, if so."""
    if why is not None:
        what = f"{why}: rotator goes on in memory, and nothing learned is kept"
        if status.st_mode & 0o222:
            return warning("writes", what, "let its owner write it")
        return note("writes", what, "chmod u+w it, unless that is meant")
    folder, name = os.path.split(target)
    beside = f"mode 0600, lock .{name}.lock and the last version {name}.bak beside it"
    mount = found(target)
    if status.st_nlink == 1 and os.access(folder, os.W_OK) and (mount is None or mount.point != target):
        return ok("writes", f"{target} is replaced whole; {beside}")
    return note("writes", f"{target} is written in place; {beside} where the folder takes them")


def _lock(target: str) -> Finding:
    lock = Lock(target, time.monotonic() + _LOCK_WAIT_SECS)
    try:
        return _LOCKS[lock.acquire()]
    except RotatorError:
        return warning(
            "lock", "another process holds it, or it could not be had", "look again; if it stays, end that one"
        )
    finally:
        lock.release()


def _git(target: str, *, has_secrets: bool) -> Iterator[Finding]:
    """Whether the file could end in a repository, when it lies in a work tree."""
    folder, name = os.path.split(target)
    if not _in_work_tree(folder):
        return
    tracked = _ask_git(folder, "--literal-pathspecs", "ls-files", "--error-unmatch", "--", name)
    ignored = _ask_git(folder, "check-ignore", "-q", "--", f"./{name}")
    if tracked is None or ignored not in (0, 1):
        yield note("git", "it lies in a git work tree, and git does not say whether it is ignored")
    elif not has_secrets:
        yield ok("git", "it lies in a git work tree, and holds no credential itself")
    elif tracked == 0:
        remedy = f"git rm --cached {name}, ignore it, and replace the credentials if it was ever pushed"
        yield warning("git", "git tracks it, and with it the credentials in it", remedy)
    elif ignored == 1:
        remedy = f"add the lines {name}* and .{name}.* to .gitignore"
        yield warning("git", "it lies in a git work tree and is not ignored, though it holds credentials", remedy)
    else:
        yield ok("git", "it is ignored")


def _in_work_tree(folder: str) -> bool:
    while not os.path.lexists(os.path.join(folder, ".git")):
        folder, last = os.path.split(folder)
        if not last:
            return False
    return True


def _ask_git(folder: str, *words: str) -> int | None:
    """Git's exit code; None when there is no git, or no answer. A repository's own programs are not run."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    asked = ["git", "-C", folder, "-c", "core.fsmonitor=false", "--no-optional-locks", *words]
    try:
        done = subprocess.run(  # noqa: S603  words of our own and one path
            asked,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_GIT_SECS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.returncode
