"""Two engines, the command line, a person with an editor and a clock that is set: in any order, nothing is lost.

The model knows of each fact who holds it: an engine, since it learned it or read it, or the file. A fact that was
acknowledged and that somebody holds is in the file in the end, unless a person took it out on purpose.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rotator import Rotator
from rotator.cli import main
from rotator.core.codec.decode import decode
from rotator.core.codec.scan import members
from tests.simulators import MODEL, FakeClock, account, document

NAMES = ("a", "b")
REFUSED = {"status": 429, "headers": {"retry-after": "600"}, "body": None}
whom = st.sampled_from(NAMES)
engines = st.integers(0, 1)


def facts_in(raw):
    """(account, model) of every cooldown in the document."""
    return {
        (found["name"], model)
        for found in json.loads(raw)["accounts"]
        for model, state in found.get("runtime", {}).get("models", {}).items()
        if "cooldown_until" in state
    }


def runtimes_in(raw):
    return {found["name"]: found["runtime"] for found in json.loads(raw)["accounts"]}


def of_a_person(raw):
    """The bytes of the document without the values that the engine owns."""
    known, _ = decode(raw)
    cuts = list(known.members.values())
    for start, end in known.spans:
        text = raw[start:end].decode()
        cuts += [(start + m.start, start + m.end) for m, _ in members(text, 0)[0] if m.key == "runtime"]
    kept, at = b"", 0
    for start, end in sorted(cuts):
        kept += raw[at:start]
        at = end
    return kept + raw[at:]


class Sharing(RuleBasedStateMachine):
    """``mem`` is what each engine must know, ``acknowledged`` what was promised, ``edited`` what a person took out."""

    def __init__(self):
        super().__init__()
        self.syncs = mock.patch.object(os, "fsync")
        self.syncs.start()
        self.folder = Path(tempfile.mkdtemp(prefix="rotator-machine-"))
        self.path = self.folder / "accounts.json"
        self.clock = FakeClock()
        self.cli_clock = mock.patch("rotator.cli.opening.MachineClock", return_value=self.clock)
        self.cli_clock.start()
        self.number = 0
        self.learned = [set(), set()]
        self.mem = [set(), set()]
        self.acknowledged = set()
        self.edited = set()
        self.wanted = {}
        self.saved = None
        self.rest = None
        self.open_editor = None

    @initialize()
    def begin(self):
        first = {"rev": 0, "models": {}}
        whole = document(*[account(name, runtime=dict(first)) for name in NAMES], active="a", note=0)
        self.path.write_text(json.dumps(whole, indent=2))
        self.path.chmod(0o600)
        with Rotator.open(self.path, clock=self.clock) as one:
            for name in NAMES:
                one.observe(name, "first", **REFUSED)
        self.acknowledged = facts_in(self.path.read_bytes())
        self.saved = self.path.read_bytes()
        self.engines = [Rotator.open(self.path, clock=self.clock) for _ in range(2)]
        self.mem = [set(self.acknowledged), set(self.acknowledged)]

    def half_saved(self):
        return self.rest is not None

    def file_facts(self):
        return facts_in(self.saved if self.half_saved() else self.path.read_bytes())

    def heard(self, who):
        """The engine has looked at the file."""
        if not self.half_saved():
            self.mem[who] |= self.file_facts()

    def forgive(self):
        """What nobody holds any more was lost to the person who saved over it before anyone saw it."""
        self.acknowledged &= self.file_facts() | self.mem[0] | self.mem[1]

    @rule(who=engines, name=whom)
    def learn(self, who, name):
        self.clock.advance(1)
        self.number += 1
        self.engines[who].observe(name, f"m-{self.number}", **REFUSED)
        self.learned[who].add((name, f"m-{self.number}"))
        self.heard(who)

    @rule(who=engines)
    def flush(self, who):
        self.clock.advance(1)
        self.heard(who)
        done = self.engines[who].flush()
        assert done or self.half_saved()
        if done:
            self.acknowledged |= self.learned[who]
            self.mem[who] |= self.learned[who]
            self.learned[who] = set()
            self.heard(who)

    @rule(who=engines)
    def look(self, who):
        self.clock.advance(1)
        self.engines[who].next(MODEL)
        self.heard(who)

    @rule(who=engines)
    def tick(self, who):
        self.clock.advance(6)
        before = self.path.read_bytes()
        self.engines[who].tick()
        if self.path.read_bytes() != before:
            self.heard(who)

    @precondition(lambda self: not self.half_saved())
    @rule(who=engines)
    def restart(self, who):
        self.clock.advance(1)
        self.engines[who].close()
        self.acknowledged |= self.learned[who]
        self.learned[who] = set()
        self.engines[who] = Rotator.open(self.path, clock=self.clock)
        self.mem[who] = self.file_facts()

    @rule(name=whom)
    def command_line(self, name):
        self.clock.advance(1)
        self.number += 1
        words = ["--accounts", str(self.path), "report", name, "-m", f"m-{self.number}", "--status", "429"]
        said = io.TextIOWrapper(io.BytesIO())
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([*words, "--retry-after", "600"])
        assert (code == 0) is not self.half_saved()
        if code == 0:
            self.acknowledged.add((name, f"m-{self.number}"))

    @rule(secs=st.sampled_from([-3600, 3600]))
    def set_the_clock(self, secs):
        self.clock.step(secs)

    @precondition(lambda self: not self.half_saved())
    @rule()
    def open_the_editor(self):
        raw = self.path.read_bytes()
        self.open_editor = {"text": json.loads(raw), "runtimes": runtimes_in(raw), "within": set()}

    @precondition(lambda self: self.open_editor is not None)
    @rule(name=whom)
    def type_outside_the_runtime(self, name):
        self.number += 1
        self.open_editor["text"]["accounts"][NAMES.index(name)]["note"] = f"é {self.number}"
        self.open_editor["text"]["note"] = self.number

    @precondition(lambda self: self.open_editor is not None)
    @rule(name=whom, what=st.sampled_from(["hold", "unblock", "unseal"]))
    def type_within_the_runtime(self, name, what):
        runtime = self.open_editor["text"]["accounts"][NAMES.index(name)]["runtime"]
        if what == "hold":
            runtime["held"] = True
        elif what == "unseal":
            runtime.pop("seal", None)
            return
        elif runtime.get("models"):
            del runtime["models"][min(runtime["models"])]
        else:
            return
        self.open_editor["within"].add(name)

    @precondition(lambda self: self.open_editor is not None and not self.half_saved())
    @rule(how=st.sampled_from(["rename", "in place", "half"]), closing=st.booleans())
    def save(self, how, closing):
        self.clock.advance(1)
        before = runtimes_in(self.path.read_bytes())
        raw = json.dumps(self.open_editor["text"], indent=2, ensure_ascii=False).encode()
        if how == "rename":
            draft = self.path.with_name("draft~")
            draft.write_bytes(raw)
            draft.chmod(0o600)
            draft.replace(self.path)
        elif how == "in place":
            self.path.write_bytes(raw)
        else:
            self.path.write_bytes(raw[: len(raw) // 2])
            self.rest = raw
        self.saved = raw
        for name in NAMES:
            self.judge(name, before[name], raw)
        opened = self.open_editor
        self.open_editor = None if closing else {**opened, "within": set(), "runtimes": runtimes_in(raw)}
        self.forgive()

    def judge(self, name, before, raw):
        """What a save means for one account: nothing, or what a person says within its runtime.

        What they say over an old buffer need not be heeded, nor what they take out of one of two states that are joined.
        """
        editor = self.open_editor
        if name not in editor["within"]:
            if before != editor["runtimes"][name]:
                self.wanted.pop(name, None)
            return
        kept = facts_in(raw)
        known = self.acknowledged | self.mem[0] | self.mem[1] | self.learned[0] | self.learned[1]
        known = {fact for fact in known if fact[0] == name}
        self.edited |= known - kept
        self.wanted.pop(name, None)
        ahead = any(engine.pool.account(name).runtime.rev > before["rev"] for engine in self.engines)
        if before == editor["runtimes"][name] and not ahead:
            models = set(before.get("models", {}))
            beside = any(fact[1] not in models for mem in self.mem for fact in mem if fact[0] == name)
            gone = set() if beside else models - {model for _, model in kept}
            self.wanted[name] = runtimes_in(raw)[name].get("held", False), gone

    @precondition(lambda self: self.half_saved())
    @rule()
    def save_the_rest(self):
        self.path.write_bytes(self.rest)
        self.rest = None

    @invariant()
    def the_file_is_whole_unless_a_person_saves_it_just_now(self):
        if self.saved is None:
            return
        if self.half_saved():
            assert self.path.read_bytes() == self.rest[: len(self.rest) // 2]
        else:
            assert of_a_person(self.path.read_bytes()) == of_a_person(self.saved)

    def teardown(self):
        try:
            if self.saved is not None:
                self.settle()
        finally:
            self.cli_clock.stop()
            self.syncs.stop()
            shutil.rmtree(self.folder)

    def settle(self):
        if self.half_saved():
            self.save_the_rest()
        for who in (0, 1, 0, 1):
            self.flush(who)
        for engine in self.engines:
            engine.close()
        raw = self.path.read_bytes()
        assert self.acknowledged - self.edited <= facts_in(raw)
        assert of_a_person(raw) == of_a_person(self.saved)
        for name, (held, gone) in self.wanted.items():
            found = runtimes_in(raw)[name]
            assert found.get("held", False) is held
            assert not gone & set(found.get("models", {}))


def test_whoever_does_what_in_whatever_order_nothing_that_was_acknowledged_or_typed_is_lost():
    run_state_machine_as_test(Sharing, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))


@pytest.mark.faults
def test_the_same_for_a_thousand_stories():
    run_state_machine_as_test(Sharing, settings=settings(max_examples=1000, stateful_step_count=50, deadline=None))
