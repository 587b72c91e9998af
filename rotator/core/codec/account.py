"""The rules of one account in the document: which values each key may have, and the account that they make.

Refuses: where it stands, what is unique across accounts (``decode``). Keys that it does not know are the person's.
"""

from __future__ import annotations

from rotator.core.codec.runtime import decode_runtime
from rotator.core.codec.scan import Refused
from rotator.core.instants import parse
from rotator.core.state import UNKNOWN, Account

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.state import Runtime

CREDENTIALS = ("api_key", "access_token", "refresh_token")
NAMES = ("id", "name", "email")
WEIGHT_MAX = 1e9
_BLOCKS = {"banned": False, "restricted": False, "auth_failed": False, "blocked_reason": "", "blocked_at": 0.0}
_REFUSALS = {"consecutive_401": 0, "consecutive_403": 0}


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; 3.0 is one, true is not."""
    return type(value) is int or (type(value) is float and value.is_integer())


def _is_text(value: Any) -> bool:
    return type(value) is str and value != ""


def is_name(value: Any) -> bool:
    """Whether a value can be an account's name: a text, not empty, one line, without control characters (C0, DEL, C1)."""
    return _is_text(value) and (value.isprintable() or not any(map(_is_control, value)))


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029"


def _is_credential(value: Any) -> bool:
    if type(value) is str:
        return True
    if type(value) is not dict:
        return False
    if "env" in value:
        return _is_text(value["env"])
    if "keyring" in value:
        return _is_text(value["keyring"]) and ("username" not in value or _is_text(value["username"]))
    pointer = value.get("pointer", "")
    return _is_text(value.get("file")) and type(pointer) is str and (pointer == "" or pointer[0] == "/")


def _is_texts(value: Any) -> bool:
    return type(value) is list and all(map(_is_text, value))


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_weight(value: Any) -> bool:
    return (type(value) is int or type(value) is float) and 0 < value <= WEIGHT_MAX


def _is_fraction(value: Any) -> bool:
    return (type(value) is int or type(value) is float) and 0 <= value <= 1


def _is_time(value: Any) -> bool:
    return parse(value) is not None


_CHECKS = {
    "id": is_name,
    "name": is_name,
    "email": is_name,
    "provider": _is_text,
    "api_key": _is_credential,
    "access_token": _is_credential,
    "refresh_token": _is_credential,
    "expires_at": _is_time,
    "project_id": _is_text,
    "base_url": _is_text,
    "token_url": _is_text,
    "client_id": _is_text,
    "client_secret": _is_credential,
    "probe": _is_texts,
    "enabled": _is_flag,
    "priority": is_whole,
    "emergency": _is_flag,
    "models": _is_texts,
    "weight": _is_weight,
    "min_remaining": _is_fraction,
    "quota_group": _is_text,
    "tags": _is_texts,
}
_ALL_MODELS = ("*",)


def decode_account(value: Any) -> tuple[Account, bool]:
    """The account of decoded JSON, and whether its runtime could be read; raises Refused for a fault outside runtime."""
    if type(value) is not dict:
        raise Refused
    for key, check in _CHECKS.items():
        if key in value and not check(value[key]):
            raise Refused
    name = value.get("id", value.get("name", value.get("email")))
    if name is None:
        raise Refused
    runtime, readable = UNKNOWN, True
    if "runtime" in value:
        try:
            runtime = decode_runtime(value["runtime"])
        except Refused:
            readable = False
        if readable:
            learned_with = value["runtime"].get("blocked_credential")
            if learned_with is not None and learned_with != fingerprint(value):
                runtime = _with_new_credential(runtime)
    models, left = value.get("models"), value.get("min_remaining")
    account = Account(
        name,
        value.get("provider", "generic"),
        value.get("enabled", True),
        int(value.get("priority", 0)),
        value.get("emergency", False),
        _ALL_MODELS if models is None else tuple(models),
        float(value.get("weight", 1.0)),
        None if left is None else float(left),
        value.get("quota_group"),
        tuple(value.get("tags", ())),
        runtime,
    )
    return account, readable


def _with_new_credential(runtime: Runtime) -> Runtime:
    """What was learned, without what its old credential was refused for: hard states, ladders, guessed cooldowns.

    What the provider or a person said of the account's limits holds for the new credential too.
    """
    cooldowns = tuple([cooldown for cooldown in runtime.cooldowns if cooldown.source != "default"])
    return runtime.replace(**_BLOCKS, **_REFUSALS, cooldowns=cooldowns)


def fingerprint(account: dict[str, Any]) -> str | None:
    """Twelve hex digits that change when the account's credential does; None when it has none.

    Of the refresh token, else the key, else the access token: a rotated access token is no new credential. A reference
    counts by where it leads, not by what is there.
    """
    for key in ("refresh_token", "api_key", "access_token"):
        if key in account:
            from hashlib import sha256

            return sha256(repr(account[key]).encode(errors="surrogatepass")).hexdigest()[:12]
    return None


def account_or_none(value: Any) -> tuple[Account, bool] | None:
    """One account as soon as it is scanned, so that the decoded JSON of all of them is never held at once."""
    try:
        return decode_account(value)
    except Refused:
        return None
