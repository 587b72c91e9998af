"""``rotator doctor``: each trouble is found, told with a remedy, and no credential is ever shown."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys

import pytest
from conftest import THREE
from hypothesis import given
from hypothesis import strategies as st

from rotator.cli.contents import findings as content_findings
from rotator.cli.copies import is_copy
from rotator.cli.finding import SEVERITIES
from rotator.cli.mounts import Mount, judged, mount_of
from rotator.cli.spelling import close_key
from rotator.core.codec.faults import known_keys
from rotator.store.editors import is_mark

NOW = 1795168800.0
HEALTHY = '{"version": 2, "accounts": [{"name": "a", "api_key": "fake-a"}, {"name": "b", "api_key": "fake-b"}]}'


@pytest.fixture
def file(accounts):
    accounts.write_text(HEALTHY)
    return accounts


@pytest.fixture
def doctor(home, here):
    """Run it; (exit code, findings as (severity, about, what and remedy)), with what holds of every run checked."""

    def run(*words: str):
        ran = here(*words, "doctor", "--json")
        assert "fake-" not in ran.out + ran.err
        found = ran.json["findings"]
        assert ran.json["severity"] == max([each["severity"] for each in found], key=SEVERITIES.index)
        assert all(each["remedy"] for each in found if each["severity"] in ("warning", "error"))
        return ran.code, [(each["severity"], each["about"], f"{each['what']}; {each['remedy']}") for each in found]

    return run


def about(found, word):
    return [(severity, text) for severity, topic, text in found if topic == word]


def only(found, word):
    (one,) = about(found, word)
    return one


def test_a_healthy_file_is_0_and_has_nothing_but_good_news(file, doctor, here):
    code, found = doctor()
    assert (code, {severity for severity, _, _ in found if severity in ("warning", "error")}) == (0, set())
    assert {topic for _, topic, _ in found} >= {"file", "size", "mode", "writes", "lock", "content", "version", "clock"}
    assert [*file.parent.glob("accounts*")] == [file]
    assert file.read_text() == HEALTHY


def test_plain_output_has_a_mark_for_each_finding_and_a_summary(file, here):
    file.chmod(0o644)
    ran = here("doctor")
    *lines, last = ran.out.splitlines()
    assert (ran.code, ran.err) == (1, "")
    assert all(line[0] in "✓·!✗" or line.startswith("    ") for line in lines)
    assert lines[lines.index("! mode: 0644 lets others at the credentials") + 1].startswith("    chmod 600")
    assert last.startswith("accounts.json: 1 warning")


def test_it_says_which_file_and_why_that_one(file, home, doctor, monkeypatch):
    assert only(doctor()[1], "file")[1].startswith("accounts.json: it lies in this folder")
    other = home / "other.json"
    other.write_text(HEALTHY)
    first, second = about(doctor("--accounts", "other.json")[1], "file")
    assert "--accounts names it" in first[1]
    assert (second[0], "accounts.json in this folder is not used" in second[1]) == ("note", True)
    monkeypatch.setenv("ROTATOR_ACCOUNTS", str(other))
    assert "ROTATOR_ACCOUNTS names it" in about(doctor()[1], "file")[0][1]
    monkeypatch.delenv("ROTATOR_ACCOUNTS")
    file.unlink()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    (home / "config" / "rotator").mkdir(parents=True)
    other.rename(home / "config" / "rotator" / "accounts.json")
    assert "this user's configuration" in only(doctor()[1], "file")[1]


def test_no_file_at_all_is_66_and_has_no_path(home, here):
    ran = here("doctor", "--json")
    assert (ran.code, ran.json["path"], ran.json["severity"]) == (66, None, "error")
    assert "✗ file: there is no accounts.json here" in here("doctor").out


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.unlink(), 66),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), 66),
        (lambda path: (path.unlink(), path.mkdir()), 74),
        (lambda path: (path.unlink(), path.symlink_to(path.name)), 74),
        (lambda path: path.write_text("{"), 78),
        (lambda path: path.write_text(""), 78),
        (lambda path: os.truncate(path, 65 * 1024 * 1024), 78),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_with_the_exit_code_of_every_command(file, doctor, spoil, code):
    spoil(file)
    ended, found = doctor("--accounts", "accounts.json")
    assert ended == code
    assert "error" in {severity for severity, _, _ in found}


def test_a_file_that_may_not_be_read_is_77(file, home, here):
    if os.geteuid():
        file.chmod(0)
        assert here("doctor").code == 77
        return
    import rotator.cli.doctor  # before the modules of this user's Python are out of reach

    child = os.fork()
    if not child:
        code = 1
        try:
            home.chmod(0o755)
            os.setgid(65534)
            os.setuid(65534)
            code = 0 if [f.exit_code for f in rotator.cli.doctor._examined(str(file))[1] if f.exit_code] == [77] else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_every_fault_is_an_error_with_its_place(file, here):
    file.write_text('{"accounts": [\n  {"name": "a", "priority": "fake-high"}\n]}')
    ran = here("doctor")
    assert (ran.code, "fake-" in ran.out) == (78, False)
    assert "✗ content: accounts.json:2:29: /accounts/0/priority must be a whole number\n    write" in ran.out


def _one(**more):
    return json.dumps({"version": 2, "accounts": [{"name": "a", "api_key": "fake-a", **more}]})


CONTENTS = [
    (THREE, "note", "version", "the first write makes it 2"),
    ('{"version": 3, "accounts": []}', "warning", "version", "read and never written"),
    ('{"accounts": []}', "warning", "accounts", "there is none"),
    (_one(runtime={"rev": "x"}), "warning", "runtime", "whole number"),
    (_one(runtime={"banned": True}), "warning", "accounts", "a is banned"),
    (_one(runtime={"restricted": True}), "warning", "accounts", "settle it with the provider"),
    (_one(runtime={"auth_failed": True}), "warning", "accounts", "new credential"),
    (_one(models=[]), "warning", "accounts", "serves no model"),
    (_one(enabled=False), "note", "accounts", "a is disabled"),
    (_one(enabled=False), "warning", "accounts", "none of them can be chosen"),
    (_one(runtime={"held": True}), "note", "accounts", "rotator release"),
    (_one(api_key=""), "warning", "credentials", "is empty"),
    (_one(api_key={"env": "FAKE_NOT_SET"}), "warning", "credentials", "FAKE_NOT_SET, which is not set"),
    (_one(api_key={"file": "/nowhere/key"}), "warning", "credentials", "cannot be read"),
    (_one(api_key={"file": "key"}), "note", "credentials", "the folder that rotator is started in"),
    ('{"accounts": [{"name": "a"}]}', "note", "credentials", "a has none"),
    (_one(runtime={"models": {"g": {"last_success_at": "2999-01-01T00:00:00Z"}}}), "warning", "clock", "of a"),
    (_one(refesh_token="fake-b"), "warning", "keys", "did you mean refresh_token?"),
    (_one(apiKey="fake-b", api_key=None).replace(', "api_key": null', ""), "warning", "keys", "mean api_key?"),
    (_one(runtime={"cooldown_untill": 1}), "warning", "keys", "did you mean cooldown_until?"),
    (_one(runtime={"models": {"g": {"confidense": 1}}}), "warning", "keys", "did you mean confidence?"),
    ('{"acounts": [], "accounts": [], "polcy": {}}', "warning", "keys", "did you mean policy?"),
    ('{"accounts": [], "policy": {"min_remainig": 0.1}}', "warning", "keys", "did you mean min_remaining?"),
    ('{"accounts": [{"nam": "a"}]}', "warning", "keys", "did you mean name?"),
]


@pytest.mark.parametrize(("text", "severity", "topic", "said"), CONTENTS)
def test_what_stands_in_the_file_is_looked_at(file, doctor, text, severity, topic, said):
    file.write_text(text)
    _, found = doctor()
    if '"nam"' in text:  # the fault and its cause are both told
        assert "error" in {each for each, _, _ in found}
    told = about(found, topic)
    assert any(each == severity and said in what for each, what in told), found


@pytest.mark.parametrize(
    "key", ["note", "my token", "api_key2", "names", "_api_key", "//models", "comment", "x-quota", "owner", "plan"]
)
def test_a_persons_note_is_no_finding(file, doctor, key):
    file.write_text(_one(**{key: "fake-note"}))
    assert about(doctor()[1], "keys") == []


@given(st.sampled_from(sorted(known_keys())), st.data())
def test_a_key_with_one_letter_wrong_is_understood(key, data):
    at = data.draw(st.integers(1, len(key) - 1))
    slip = key[:at] + data.draw(st.sampled_from(["", "x", key[at] * 2])) + key[at + 1 :]
    if len(key) > 6 and key[0].isalpha() and slip not in known_keys():
        assert close_key(slip, [key, "zzz"]) == key


def test_the_same_secret_twice_is_found_and_one_group_is_deliberate(file, doctor, monkeypatch, home):
    monkeypatch.setenv("FAKE_KEY", "fake-a")
    (home / "key").write_text("fake-a\n")
    (home / "key").chmod(0o600)
    places = ["fake-a", {"env": "FAKE_KEY"}, {"file": str(home / "key")}]
    accounts = [{"name": f"n{i}", "api_key": place} for i, place in enumerate(places)]
    file.write_text(json.dumps({"version": 2, "accounts": accounts}))
    code, found = doctor()
    assert (code, "n0 and n1 and n2 have the same api_key" in only(found, "credentials")[1]) == (1, True)
    grouped = [{**account, "quota_group": "one"} for account in accounts]
    file.write_text(json.dumps({"version": 2, "accounts": grouped}))
    assert about(doctor()[1], "credentials") == []


def test_a_credential_file_that_others_may_read_is_found_and_a_pipe_is_not_opened(file, doctor, home):
    (home / "key").write_text("fake-a")
    (home / "key").chmod(0o644)
    file.write_text(_one(api_key={"file": str(home / "key")}))
    assert only(doctor()[1], "credential file")[0] == "warning"
    os.mkfifo(home / "pipe")
    file.write_text(_one(api_key={"file": str(home / "pipe")}))
    assert "no regular file" in only(doctor()[1], "credentials")[1]


@pytest.mark.parametrize(
    ("now", "changed_at", "said"),
    [(NOW, NOW, "nothing in the file"), (NOW, NOW + 3600, "changed in the future"), (3600.0, NOW, "years behind")],
)
def test_a_clock_that_cannot_be_right_is_told(now, changed_at, said):
    (clock,) = [f for f in content_findings(HEALTHY.encode(), now, changed_at) if f.about == "clock"]
    assert said in clock.what


def test_links_are_followed_and_told(file, doctor, home):
    (home / "one").symlink_to("two")
    (home / "two").symlink_to(file)
    severity, text = only(doctor("--accounts", "one")[1], "links")
    assert (severity, f"2 symbolic links lead to {file}" in text) == ("note", True)
    os.link(file, home / "second")
    severity, text = only(doctor()[1], "links")
    assert (severity, "2 hard links" in text) == ("warning", True)
    assert "written in place" in only(doctor()[1], "writes")[1]


def test_a_read_only_file_is_a_note_since_somebody_meant_it(file, doctor):
    file.chmod(0o400)
    code, found = doctor()
    assert (code, only(found, "writes")[0], about(found, "lock")) == (0, "note", [])
    assert [*file.parent.glob(".*")] == []


def test_another_owner_is_told(file, doctor):
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(file, 65534, 65534)
    severity, text = only(doctor()[1], "owner")
    assert (severity, "65534" in text) == ("note", True)


def test_a_lock_that_somebody_holds_is_not_waited_for(file, doctor):
    with open(file.with_name(".accounts.json.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, found = doctor()
    assert (code, only(found, "lock")[0]) == (1, "warning")
    assert only(doctor()[1], "lock")[0] == "ok"


def test_signs_of_an_editor_are_a_note(file, doctor):
    file.with_name(".accounts.json.swp").write_text("")
    severity, text = only(doctor()[1], "editor")
    assert (severity, "rotator edit" in text) == ("note", True)


NAMES = [
    ("accounts.json.bak", True, False),
    ("accounts.json.v1.bak", True, False),
    ("accounts.json~", True, False),
    ("accounts.json.save", True, False),
    ("#accounts.json#", True, False),
    (".accounts.json.un~", True, False),
    (".accounts.json.swp", False, True),
    (".accounts.json.swo", False, True),
    (".#accounts.json", False, True),
    (".~lock.accounts.json#", False, True),
    ("accounts.jsonl", False, False),
    ("other.json", False, False),
]


@pytest.mark.parametrize(("entry", "copy", "editor"), NAMES)
def test_names_beside_the_file_say_what_they_are(entry, copy, editor):
    assert (is_copy(entry, "accounts.json"), is_mark(entry, "accounts.json")) == (copy, editor)


@pytest.mark.parametrize("name", ["accounts.json.bak", "accounts.json~", "old.json"])
def test_a_copy_that_others_may_read_is_a_warning_until_it_is_private(file, doctor, name):
    copy = file.with_name(name)
    copy.write_text(THREE)
    copy.chmod(0o644)
    code, found = doctor()
    assert (code, name in only(found, "copies")[1]) == (1, True)
    copy.chmod(0o600)
    code, found = doctor()
    assert (code, [severity for severity, _ in about(found, "copies")]) == (0, ["note"] if name[-1] == "~" else [])


def test_what_holds_no_credential_is_nobodys_copy(file, doctor):
    for name, text in (("schema.json", '{"refresh_token": {"type": "string"}}'), ("notes.md", THREE)):
        file.with_name(name).write_text(text)
        file.with_name(name).chmod(0o644)
    assert about(doctor()[1], "copies") == []


def test_a_dead_writers_draft_is_told_and_left_to_the_next_write(file, doctor):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    draft = file.with_name(f".accounts.json.{dead.pid}.01234567.tmp")
    draft.write_text("{")
    assert (only(doctor()[1], "leftovers")[0], draft.exists()) == ("note", True)


def _git(home, *words):
    subprocess.run(["git", "-C", str(home), *words], check=True, capture_output=True)


def test_git_must_ignore_a_file_with_credentials(file, doctor, home):
    assert about(doctor()[1], "git") == []
    _git(home, "init")
    severity, text = only(doctor()[1], "git")
    assert (severity, ".gitignore" in text) == ("warning", True)
    (home / ".gitignore").write_text("accounts.json*\n")
    assert only(doctor()[1], "git") == ("ok", "it is ignored; None")
    _git(home, "add", "-f", "accounts.json")
    assert "git tracks it" in only(doctor()[1], "git")[1]
    file.write_text(_one(api_key={"env": "HOME"}))
    assert only(doctor()[1], "git")[0] == "ok"


LISTED = """21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 21 0:30 / /home/a\\040b rw,relatime - nfs4 host:/x rw,vers=4
37 36 8:1 /f /home/a\\040b/accounts.json ro - ext4 /dev/sda1 rw
38 21 0:31 / /home/abc rw - tmpfs tmpfs rw
39 38 0:32 / /home/abc rw - fuse.sshfs x rw
broken line
"""


@pytest.mark.parametrize(
    ("target", "mount"),
    [
        ("/etc/x", Mount("/", "ext4", read_only=False)),
        ("/home/a b/other.json", Mount("/home/a b", "nfs4", read_only=False)),
        ("/home/a b/accounts.json", Mount("/home/a b/accounts.json", "ext4", read_only=True)),
        ("/home/abc/x", Mount("/home/abc", "fuse.sshfs", read_only=False)),
        ("/home/abcd", Mount("/", "ext4", read_only=False)),
    ],
)
def test_the_mount_of_a_path_is_the_innermost_and_latest(target, mount):
    assert mount_of(target, LISTED) == mount


@pytest.mark.parametrize(
    ("mount", "severities", "said"),
    [
        (Mount("/x/f", "ext4", read_only=False), ["warning"], "mount its folder"),
        (Mount("/x/f", "ext4", read_only=True), ["warning", "note"], "read-only"),
        (Mount("/", "nfs4", read_only=False), ["warning"], "network"),
        (Mount("/", "virtiofs", read_only=False), ["warning"], "shared with a host"),
        (Mount("/", "vfat", read_only=False), ["warning"], "owners and modes"),
        (Mount("/", "tmpfs", read_only=False), ["note"], "gone when the machine is"),
        (Mount("/", "xfs", read_only=False), ["ok"], "xfs at /"),
    ],
)
def test_a_mount_is_judged_by_what_it_means_for_the_file(mount, severities, said):
    found = [*judged(mount, "/x/f")]
    assert [each.severity for each in found] == severities
    assert any(said in f"{each.what}; {each.remedy}" for each in found)


def test_a_single_file_that_is_mounted_is_found_where_it_really_is(file, doctor, home):
    source = home / "source.json"
    source.write_text(HEALTHY)
    source.chmod(0o600)
    words = "mount --bind source.json accounts.json && exec $0 -m rotator doctor --json"
    ran = subprocess.run(["unshare", "-rm", "sh", "-c", words, sys.executable], capture_output=True, check=False)
    if not ran.stdout:
        pytest.skip("no mount namespaces here")
    found = json.loads(ran.stdout)["findings"]
    assert "mount its folder instead" in [each["remedy"] for each in found]
    assert any(each["about"] == "writes" and "written in place" in each["what"] for each in found)


def test_no_credential_is_shown_whatever_is_wrong(file, rotator):
    file.write_text(_one(refresh_token=5, note="fake-n").replace("5", '"fake-r" "fake-x"'))
    file.with_name("accounts.json.bak").write_text(THREE)
    for words in (("doctor",), ("doctor", "--json")):
        ran = rotator(*words)
        assert (ran.code, ran.err, "fake-" in ran.out) == (78, "", False)
