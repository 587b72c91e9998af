"""``rotator edit`` with editors that are small scripts: what a person writes is installed or kept, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from conftest import THREE, command

from rotator import Rotator
from rotator.cli.editors import Editor

SCRIPT = """#!{python}
import json, os, signal, subprocess, sys
turn = int(open({turns!r}).read()) if os.path.exists({turns!r}) else 0
open({turns!r}, "w").write(str(turn + 1))
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
real = {real!r}
path = next(word for word in sys.argv[1:] if os.path.exists(word) and word != real)
def text(): return open(path).read()
def save(new): open(path, "w").write(new)
def rotator(*words): subprocess.run([sys.executable, "-m", "rotator", *words], check=True, stdout=subprocess.DEVNULL)
"""


class Desk:
    """Where a person sits: ``script`` makes the editor, ``edit`` runs the command; copies lie under ``drafts``."""

    def __init__(self, home, run):
        self.home, self.file, self.drafts = home, home / "accounts.json", home / "drafts"
        self._run = run
        self.drafts.mkdir()

    def script(self, *turns: str, name: str = "editor") -> str:
        path = self.home / name
        head = SCRIPT.format(
            python=sys.executable, turns=str(self.home / "turns"), log=str(self.home / "log"), real=str(self.file)
        )
        cases = "".join(
            f"if turn == {i}:\n    {body.replace(chr(10), chr(10) + '    ')}\n" for i, body in enumerate(turns)
        )
        path.write_text(head + cases)
        path.chmod(0o700)
        return str(path)

    def edit(self, *turns: str, name: str = "editor", given: bytes = b"", **environment: str):
        said = {"EDITOR": self.script(*turns, name=name), "VISUAL": "", "TMPDIR": str(self.drafts), **environment}
        return self._run("edit", given=given, **said)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.home / "log").read_text().splitlines()]

    @property
    def left(self) -> list[str]:
        """The texts that are still among the drafts."""
        return [str(path.relative_to(path.parent.parent)) for path in self.drafts.glob("*/*")]

    @property
    def stamp(self):
        status = os.stat(self.file)
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns

    @property
    def json(self):
        return json.loads(self.file.read_text())


@pytest.fixture
def desk(accounts, rotator):
    return Desk(accounts.parent, rotator)


ADD = """save(text().replace('"project_id"', '"priority": 3, "project_id"'))"""
EDITED = THREE.replace('"project_id"', '"priority": 3, "project_id"')
BREAK = """save(text().replace('"accounts": [', '"accounts": [,'))"""
MEND = """save(text().replace('[,', '['))"""


def test_what_the_person_saved_is_installed_to_the_byte(desk):
    ran = desk.edit(ADD)
    assert (ran.code, ran.out, ran.err) == (0, "accounts.json: saved, 3 accounts\n", "")
    assert desk.file.read_text() == EDITED
    assert stat.S_IMODE(desk.file.stat().st_mode) == 0o600
    assert desk.left == []
    assert not [*desk.drafts.iterdir()]


def test_the_copy_is_private_and_apart_from_the_file(desk):
    look = "print(oct(os.stat(path).st_mode)[-3:], oct(os.stat(os.path.dirname(path)).st_mode)[-3:])"
    ran = desk.edit(f"os.umask(0)\n{look}\n{ADD}")
    assert ran.out.splitlines()[0] == "600 700"
    assert os.path.dirname(desk.calls[0][0]) != str(desk.home)
    assert os.path.basename(desk.calls[0][0]) == "accounts.json"


def test_no_change_writes_nothing_and_says_so(desk):
    before = desk.stamp
    ran = desk.edit("pass")
    assert (ran.code, ran.out) == (0, "accounts.json: no change, nothing was written\n")
    assert desk.stamp == before
    assert not [*desk.drafts.iterdir()]


def test_a_text_that_is_not_valid_is_shown_and_edited_again(desk):
    ran = desk.edit(BREAK, f"{MEND}\n{ADD}", given=b"y\n")
    assert (ran.code, ran.out) == (0, "accounts.json: saved, 3 accounts\n")
    assert "accounts.json:2:16: /accounts a comma stands here with nothing before it" in ran.err
    assert "Edit it again? [Y/n]" in ran.err
    assert desk.file.read_text() == EDITED


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("vim", ["+2", "@"]),
        ("vi", ["+2", "@"]),
        ("nano", ["+2", "@"]),
        ("emacs", ["+2", "@"]),
        ("code", ["--goto", "@:2:16"]),
        ("hx", ["@:2:16"]),
        ("notepad", ["@"]),
    ],
)
def test_an_editor_opens_again_at_the_line_of_the_fault(name, opened):
    assert Editor([f"/usr/bin/{name}", "-x"]).arguments("a b.json", at=(2, 16)) == [
        f"/usr/bin/{name}",
        "-x",
        *[word.replace("@", "a b.json") for word in opened],
    ]


def test_vim_is_led_to_the_line(desk):
    desk.edit(BREAK, "pass", name="vim", given=b"\nn\n")
    (path,), again = desk.calls
    assert again == ["+2", path]


@pytest.mark.parametrize("answer", [b"n\n", b"no\n", b""])
def test_a_broken_text_that_is_given_up_is_kept_and_the_file_is_as_it_was(desk, answer):
    before = desk.stamp
    ran = desk.edit(BREAK, given=answer)
    assert (ran.code, ran.out) == (78, "")
    assert desk.stamp == before
    (kept,) = desk.drafts.glob("*/accounts.json")
    assert f"your text is kept in {kept};" in ran.err
    assert "[," in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "fake-" not in ran.err


def test_what_an_editor_leaves_beside_a_kept_text_is_gone(desk):
    desk.edit(f"{BREAK}\nopen(path + '~', 'w').write('fake-a')")
    assert [os.path.basename(each) for each in desk.left] == ["accounts.json"]


def test_what_was_learned_while_the_editor_was_open_is_kept(desk):
    learn = "rotator('report', 'b@example.com', '-m', 'g', '--status', '429', '--retry-after', '60')"
    ran = desk.edit(f"{learn}\nrotator('next', '-m', 'g')\n{ADD}")
    assert ran.code == 0
    a, b, _ = desk.json["accounts"]
    assert (a["priority"], desk.json["version"]) == (3, 2)
    assert b["runtime"]["models"]["g"]["cooldown_source"] == "retry-after"
    assert desk.json["active"] in ("a@example.com", "c@example.com")
    assert '"note": ["kept", 1.50]' in desk.file.read_text()


def test_a_runtime_that_the_person_changed_is_theirs_for_an_engine_that_runs(desk):
    with Rotator.open(str(desk.file)) as engine:
        engine.hold("a@example.com")
        engine.flush()
        learn = "rotator('report', 'a@example.com', '-m', 'g', '--status', '200')"
        free = "whole = json.loads(text())\nwhole['accounts'][0]['runtime'] = {}\nsave(json.dumps(whole))"
        assert desk.edit(f"{learn}\n{free}").code == 0
        engine.explain("g")
        assert not engine.pool.account("a@example.com").runtime.held
        assert engine.pool.account("a@example.com").runtime.models == {}


OTHER = """was = open(real).read()\nopen(real, "w").write(was.replace('"p-1"', '"p-2"'))"""


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(desk):
    ran = desk.edit(f"{ADD}\n{OTHER}")
    assert (ran.code, ran.out) == (78, "")
    assert desk.file.read_text() == THREE.replace("p-1", "p-2")
    assert "changed by somebody else" in ran.err
    (kept,) = desk.drafts.glob("*/accounts.json")
    assert kept.read_text() == EDITED
    assert "fake-" not in ran.err


def test_both_texts_are_offered_and_the_result_is_installed(desk):
    again = "theirs = sys.argv[2]\nassert 'p-2' in open(theirs).read()\nsave(text().replace('p-1', 'p-2'))"
    ran = desk.edit(f"{ADD}\n{OTHER}", again, given=b"y\n")
    assert (ran.code, ran.out) == (0, "accounts.json: saved, 3 accounts\n")
    assert desk.file.read_text() == EDITED.replace("p-1", "p-2")
    assert not [*desk.drafts.iterdir()]


def test_what_was_learned_is_in_the_text_that_is_offered_again(desk):
    learn = "rotator('hold', 'b@example.com')"
    again = "assert '\"held\": true' in text()\nsave(text().replace('p-1', 'p-2'))"
    assert desk.edit(f"{learn}\n{ADD}\n{OTHER}", again, given=b"y\n").code == 0
    assert desk.json["accounts"][1]["runtime"]["held"] is True
    assert (desk.json["accounts"][0]["project_id"], desk.json["accounts"][0]["priority"]) == ("p-2", 3)


@pytest.mark.parametrize(("answer", "code", "project"), [(b"y\n\n", 78, "p-2"), (b"y\ny\n", 0, "p-1")])
def test_their_text_is_overwritten_by_one_left_as_it_was_only_on_demand(desk, answer, code, project):
    ran = desk.edit(f"{ADD}\n{OTHER}", "pass", given=answer)
    assert (ran.code, desk.json["accounts"][0]["project_id"]) == (code, project)
    assert bool(desk.left) is bool(code)


def test_what_a_writer_left_that_died_meanwhile_is_not_lost(desk):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    learned = json.loads(THREE)
    learned["accounts"][1]["runtime"] = {"rev": 7, "held": True}
    draft = desk.home / f".accounts.json.{dead.pid}.01234567.tmp"
    ran = desk.edit(f"open({str(draft)!r}, 'w').write({json.dumps(learned)!r})\n{ADD}")
    assert ran.code == 0
    assert desk.json["accounts"][1]["runtime"]["held"] is True
    assert desk.json["accounts"][0]["priority"] == 3
    assert not draft.exists()


@pytest.mark.parametrize(("mode", "text", "why"), [(0o400, THREE, "read-only"), (0o600, '{"version": 3}', "newer")])
def test_a_file_that_is_not_written_is_77_before_the_editor_opens(desk, mode, text, why):
    desk.file.write_text(text)
    desk.file.chmod(mode)
    ran = desk.edit(ADD)
    assert (ran.code, ran.out, why in ran.err) == (77, "", True)
    assert not (desk.home / "log").exists()


def test_a_version_that_is_too_new_is_not_saved(desk):
    ran = desk.edit("""save(text().replace('"accounts"', '"version": 3, "accounts"'))""")
    assert (ran.code, "accounts.json:2:14: /version this version is newer" in ran.err) == (78, True)


def test_a_broken_file_can_be_mended(desk):
    desk.file.write_text(THREE.replace("[", "[,", 1))
    assert desk.edit(MEND).code == 0
    assert desk.file.read_text() == THREE


def test_a_runtime_that_cannot_be_read_is_saved_with_a_warning(desk):
    ran = desk.edit("""save(text().replace('"project_id"', '"runtime": {"rev": "x"}, "project_id"'))""")
    assert (ran.code, "warning: /accounts/0/runtime/rev" in ran.err) == (0, True)


def test_there_is_nothing_to_edit_without_a_file(desk):
    desk.file.unlink()
    assert desk.edit(ADD).code == 66


def test_a_file_that_goes_away_meanwhile_does_not_take_the_text_with_it(desk):
    ran = desk.edit(f"{ADD}\nos.unlink(real)")
    assert (ran.code, desk.file.exists()) == (66, False)
    (kept,) = desk.drafts.glob("*/accounts.json")
    assert kept.read_text() == EDITED


def test_a_file_that_becomes_read_only_meanwhile_is_77_and_the_text_is_kept(desk):
    ran = desk.edit(f"{ADD}\nos.chmod(real, 0o400)")
    assert (ran.code, "read-only" in ran.err, desk.file.read_text()) == (77, True, THREE)
    assert len(desk.left) == 1


@pytest.mark.parametrize(
    ("editor", "said"), [("gone-away --x", "gone-away cannot be started"), ("vi '", "EDITOR is no command line")]
)
def test_an_editor_that_is_not_there_is_2(desk, editor, said):
    ran = desk.edit(EDITOR=editor)
    assert (ran.code, said in ran.err) == (2, True)
    assert not [*desk.drafts.iterdir()]


def test_visual_comes_first_with_its_arguments_as_a_shell_reads_them(desk):
    editor = desk.script("pass")
    assert desk.edit("pass", VISUAL=f"'{editor}' --wait \"two words\"", EDITOR="false").code == 0
    assert desk.calls[0][:2] == ["--wait", "two words"]


def test_without_a_variable_it_is_vi_else_nano(desk):
    for name in ("nano", "vi"):
        (desk.home / "bin").mkdir(exist_ok=True)
        os.rename(desk.script("pass"), desk.home / "bin" / name)
        where = str(desk.home / "bin")
        assert desk.edit("sys.exit(9)", EDITOR="", PATH=where, PYTHONPATH=os.environ["PYTHONPATH"]).code == 0
    assert desk.edit(EDITOR="", PATH=str(desk.home)).code == 2


@pytest.mark.parametrize(("first", "kept"), [(ADD, True), ("pass", False)])
def test_an_editor_that_fails_changes_nothing_and_what_it_saved_is_kept(desk, first, kept):
    ran = desk.edit(f"{first}\nsys.exit(3)")
    assert (ran.code, desk.file.read_text()) == (1, THREE)
    assert bool(desk.left) is kept


def test_a_copy_that_is_removed_is_a_way_to_say_no(desk):
    ran = desk.edit("os.unlink(path)")
    assert (ran.code, "the copy was removed" in ran.err, desk.file.read_text()) == (1, True, THREE)
    assert not [*desk.drafts.iterdir()]


def test_a_text_that_cannot_be_read_is_kept(desk):
    ran = desk.edit("os.truncate(path, 65 * 1024 * 1024)")
    assert (ran.code, "at most" in ran.err, len(desk.left)) == (78, True, 1)


def test_an_editor_that_does_not_wait_is_noticed(desk):
    assert "set EDITOR='code --wait'" in desk.edit("pass", name="code").out


@pytest.fixture
def open_editor(desk):
    """A run whose editor has saved and waits until ``go`` is written to."""
    ready, go = desk.home / "ready", desk.home / "go"
    os.mkfifo(ready)
    os.mkfifo(go)
    wait = f"open({str(ready)!r}, 'w').write(str(os.getpid()))\nopen({str(go)!r}).read()"
    environment = {"EDITOR": desk.script(f"{ADD}\n{wait}"), "VISUAL": "", "TMPDIR": str(desk.drafts)}
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # a job in the background has some of them ignored, and would hand that down
    before = [signal.signal(number, signal.default_int_handler) for number in signals]
    process = subprocess.Popen(
        command("edit"), env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for number, handler in zip(signals, before, strict=True):
        signal.signal(number, handler)
    editor = int(ready.read_text())
    yield process, editor, go
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_editor_and_keeps_what_it_saved(desk, open_editor, number):
    process, editor, _ = open_editor
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(editor, 0)
    assert desk.file.read_text() == THREE
    (kept,) = desk.drafts.glob("*/accounts.json")
    assert (kept.read_text(), f"kept in {kept}" in err.decode()) == (EDITED, True)


def test_ctrl_c_is_the_editors_business(desk, open_editor):
    process, _, go = open_editor
    process.send_signal(signal.SIGINT)
    go.write_text("on")
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, b"accounts.json: saved, 3 accounts\n")
