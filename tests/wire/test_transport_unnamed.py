"""Requests that name no model, and forms, which name theirs in a field."""

from __future__ import annotations

import io

import pytest

from rotator import Rotator
from rotator.errors import SecretMissing
from rotator.wire.forms import model_of_form
from tests.wire.programs import SIDES, Program, in_flight, pool_of
from tests.wire.test_transport_choosing import BAD, OK, REFUSED, URL, VARIABLE, Api, Clock, accounts, limited, program

LIST = "https://api.anthropic.com/v1/models"


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


@pytest.fixture
def clock():
    return Clock()


def test_an_account_that_is_ready_is_asked_before_one_that_is_not(clock, side):
    rotator = Rotator.memory(accounts("a", "b", "c"), clock=clock)
    rotator.next("another")
    for name in "ab":
        rotator.hold(name, until=clock.now().replace(hour=13))
    api = Api(clock)
    with program(api, rotator, side) as asking:
        asking.request("GET", LIST)
    assert (rotator.pool.active, api.asked) == ("a", ["c"])


def test_of_those_that_are_ready_the_active_one_is_asked(clock):
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    rotator.next("another", among=frozenset(["b"]))
    api = Api(clock)
    with program(api, rotator) as asking:
        asking.request("GET", LIST)
    assert api.asked == ["b"]


def test_one_whose_secret_is_missing_is_passed_over(clock, side):
    rotator = Rotator.memory(accounts("a", "b", a={"env": VARIABLE}), clock=clock)
    before, api = rotator.document(), Api(clock)
    with program(api, rotator, side) as asking:
        assert asking.request("GET", LIST).status_code == 200
    assert (api.asked, rotator.document()) == (["b"], before)


def test_when_no_account_has_its_secret_that_is_said(clock):
    rotator = Rotator.memory(accounts("a", "b", a={"env": VARIABLE}), clock=clock)
    rotator.hold("b")
    with program(Api(clock), rotator) as asking:
        for _ in range(2):
            with pytest.raises(SecretMissing, match=VARIABLE):
                asking.request("GET", LIST)


def test_a_refusal_is_handed_up_with_the_client_delay(clock, side):
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    api = Api(clock, a=[limited(clock, 7835)])

    def parts():
        yield b'{"model": "m"}'

    async def parts_async():
        yield b'{"model": "m"}'

    with program(api, rotator, side) as asking:
        assert asking.request("GET", LIST).headers["retry-after"] == "300"
        answer = asking.request("POST", URL, content=parts_async() if side[1] else parts())
    assert (answer.status_code, answer.headers["retry-after"], api.asked) == (429, "300", ["a", "a"])


def test_what_the_request_is_to_blame_for_is_handed_up_as_it_came(clock):
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    api = Api(clock, a=[(400, {"retry-after": "7835"}, BAD[2])])
    with program(api, rotator) as asking:
        answer = asking.request("GET", LIST)
    assert (answer.json(), answer.headers["retry-after"], api.asked) == (BAD[2], "7835", ["a"])


def test_after_a_401_one_other_account_is_asked_and_no_third(clock, side):
    rotator = Rotator.memory(accounts("a", "b", "c"), clock=clock)
    api = Api(clock, a=[REFUSED], b=[REFUSED])
    with program(api, rotator, side) as asking:
        assert asking.request("GET", LIST).status_code == 401
        assert asking.request("GET", LIST).status_code == 200
    assert api.asked == ["a", "b", "c"]
    assert [pool_of(rotator, name).consecutive_401 for name in "abc"] == [1, 1, 0]


def test_but_not_with_a_body_that_cannot_be_sent_twice(clock):
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    api = Api(clock, a=[REFUSED])
    with program(api, rotator) as asking:
        assert asking.request("POST", URL, content=iter([b"{}"])).status_code == 401
    assert api.asked == ["a"]


class Once(io.RawIOBase):
    """A file that is read but once, like a pipe."""

    def __init__(self, content):
        self._left = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._left.readinto(buffer)

    def seekable(self):
        return False


@pytest.mark.parametrize("file", [b"fake-sound", io.BytesIO(b"fake-sound")], ids=["bytes", "file"])
def test_the_model_of_a_form_is_its_field_and_the_form_is_sent_again(clock, side, file):
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    api = Api(clock, a=[limited(clock, 600)])
    with program(api, rotator, side) as asking:
        answer = asking.request("POST", URL, data={"model": "whisper-1"}, files={"file": ("a.wav", file)})
    assert (answer.status_code, api.asked) == (200, ["a", "b"])
    assert "whisper-1" in pool_of(rotator, "a").models
    first, second = [request.content for request in api.requests] if not side[1] else [b"fake-sound"] * 2
    assert first == second
    assert b"fake-sound" in second
    assert in_flight(rotator) == 0


def test_a_form_with_a_file_that_is_read_but_once_is_not_sent_again(clock):
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    api = Api(clock, a=[limited(clock, 600)])
    with program(api, rotator, model="whisper-1") as asking:
        answer = asking.request("POST", URL, files={"file": ("a.wav", Once(b"fake-sound"))})
    assert (answer.status_code, api.asked) == (429, ["a"])


TYPE = 'multipart/form-data; boundary="xYx"'
FILE = b'--xYx\r\nContent-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: a/b\r\n\r\n%b\r\n'
FIELD = b'--xYx\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
OTHER = b'--xYx\r\nContent-Disposition: form-data; name="language"\r\n\r\nmodel\r\n'
END = b"--xYx--\r\n"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (FIELD + FILE % b"." + END, "whisper-1"),
        (OTHER + FIELD + FILE % (b"." * 500_000) + END, "whisper-1"),
        (FILE % (b"." * 500_000) + FIELD + END, "whisper-1"),
        (FILE % b"." + OTHER + END, None),
        (FILE % FIELD.replace(b"xYx", b"other") + END, None),
        (FIELD.replace(b"whisper-1", b"m" * 300) + END, None),
        (FIELD.replace(b"whisper-1", b" ") + END, None),
        (FIELD, None),
        (b"", None),
    ],
)
def test_of_a_body_that_is_a_form_either_end_is_looked_at(body, found):
    assert model_of_form(None, body, TYPE) == found
    assert model_of_form(None, body, TYPE.replace('"', "")) == found
    assert model_of_form(None, body, "application/octet-stream") is None


def test_such_a_body_is_served_by_the_next_account(clock):
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    api = Api(clock, a=[limited(clock, 600), OK])
    with Program(("httpx2", False), rotator, inner=api.answer(__import__("httpx2"))) as asking:
        answer = asking.request("POST", URL, content=FIELD + END, headers={"content-type": TYPE})
    assert (answer.status_code, api.asked) == (200, ["a", "b"])
