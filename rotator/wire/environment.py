"""Environment: which variables an account's credentials mean to the programs of its provider, and which would belie them.

Refuses: an environment of its own (the caller's is given), shells (``cli.quoting``), refreshing. Sources: the environment that
anthropic 2.10, openai 3.51, google-genai 3.3 and groq read; the documents of Claude Code, Codex, Gemini CLI, gh, Copilot CLI.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.errors import OperatorError, SecretMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rotator.credentials import Credentials

ACCOUNT = "ROTATOR_ACCOUNT"
"""The account's name; ``rotator ingest`` in the program knows by it whose news it hears."""


class _Names(Value):
    """The variables of one provider, by what stands in them.

    ``gateway_token`` is for an access token where the account has a ``base_url``. ``fixed`` go with any of them. ``rivals``
    are never set here: a program would take them for a credential or an address of the same provider.
    """

    family: str
    api_key: tuple[str, ...] = ()
    access_token: tuple[str, ...] = ()
    gateway_token: tuple[str, ...] = ()
    base_url: tuple[str, ...] = ()
    project_id: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    rivals: tuple[str, ...] = ()

    def every(self) -> frozenset[str]:
        """All of them."""
        set_here = (self.api_key, self.access_token, self.gateway_token, self.base_url, self.project_id, self.rivals)
        return frozenset([*(name for names in set_here for name in names), *(name for name, _ in self.fixed)])


_GOOGLE_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
"""google-genai reads either and prefers the second, Gemini CLI the first, langchain the second; both hold the same."""
_NAMES = {
    "anthropic": _Names(
        "anthropic",
        ("ANTHROPIC_API_KEY",),
        # Claude Code leaves its subscription mode where ANTHROPIC_AUTH_TOKEN or a base URL is set (claude-code #33330)
        ("CLAUDE_CODE_OAUTH_TOKEN",),
        ("ANTHROPIC_AUTH_TOKEN",),
        ("ANTHROPIC_BASE_URL",),
    ),
    "openai": _Names(
        "openai",
        ("OPENAI_API_KEY",),
        ("OPENAI_API_KEY",),
        base_url=("OPENAI_BASE_URL",),
        project_id=("OPENAI_PROJECT_ID",),
        rivals=("OPENAI_ORG_ID",),
    ),
    "codex": _Names(
        "openai", ("CODEX_API_KEY", "OPENAI_API_KEY"), ("CODEX_ACCESS_TOKEN",), base_url=("OPENAI_BASE_URL",)
    ),
    "azure-openai": _Names(
        "azure",
        ("AZURE_OPENAI_API_KEY",),
        ("AZURE_OPENAI_AD_TOKEN",),
        base_url=("AZURE_OPENAI_ENDPOINT",),
    ),
    "google-gemini-api": _Names(
        "google",
        _GOOGLE_KEYS,
        base_url=("GOOGLE_GEMINI_BASE_URL",),
        project_id=("GOOGLE_CLOUD_PROJECT",),
    ),
    "google-vertex": _Names(
        "google",
        _GOOGLE_KEYS,
        ("CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"),
        base_url=("GOOGLE_VERTEX_BASE_URL",),
        project_id=("GOOGLE_CLOUD_PROJECT",),
        fixed=(("GOOGLE_GENAI_USE_VERTEXAI", "true"),),
        rivals=("GOOGLE_APPLICATION_CREDENTIALS",),
    ),
    "google-cloudcode": _Names(
        "google",
        _GOOGLE_KEYS,
        ("GOOGLE_CLOUD_ACCESS_TOKEN",),
        base_url=("CODE_ASSIST_ENDPOINT",),
        project_id=("GOOGLE_CLOUD_PROJECT",),
        fixed=(("GOOGLE_GENAI_USE_GCA", "true"),),
    ),
    "openrouter": _Names(
        "openrouter", ("OPENROUTER_API_KEY",), ("OPENROUTER_API_KEY",), base_url=("OPENROUTER_BASE_URL",)
    ),
    "groq": _Names("groq", ("GROQ_API_KEY",), ("GROQ_API_KEY",), base_url=("GROQ_BASE_URL",)),
    "mistral": _Names("mistral", ("MISTRAL_API_KEY",), ("MISTRAL_API_KEY",), base_url=("MISTRAL_BASE_URL",)),
    "github": _Names(
        "github", ("GH_TOKEN", "GITHUB_TOKEN"), ("GH_TOKEN", "GITHUB_TOKEN"), base_url=("GITHUB_API_URL",)
    ),
    "github-models": _Names("github", ("GITHUB_TOKEN",), ("GITHUB_TOKEN",), rivals=("GH_TOKEN",)),
    # gh keeps its own token: a program that Copilot starts would else act as the account (copilot-cli #348)
    "github-copilot": _Names("copilot", ("COPILOT_GITHUB_TOKEN",), ("COPILOT_GITHUB_TOKEN",)),
}
_PLAIN = _Names("", ("ROTATOR_TOKEN",), ("ROTATOR_TOKEN",), base_url=("ROTATOR_BASE_URL",))
"""For a provider of no known family (``generic``, ``ietf``, a name of one's own): whoever starts the program maps them."""


def token(credentials: Credentials) -> str:
    """The one secret that requests of the account carry: its access token, else its API key.

    Raises SecretMissing when it has neither, or one that is empty.
    """
    return _secret(credentials)[1]


def variables(credentials: Credentials) -> dict[str, str]:
    """What a program has to find in its environment to act as this account, ``ROTATOR_ACCOUNT`` first.

    One secret only, the access token unless its programs take none from their environment, under each name by which they
    look for it. Raises SecretMissing as ``token`` does, and OperatorError where they take no secret that it has, and for a
    text that no environment can hold (NUL, half a surrogate pair); neither shows a value.
    """
    names = _NAMES.get(credentials.provider, _PLAIN)
    kind, secret = _sayable(names, credentials)
    held = getattr(names, kind)
    if kind == "access_token" and credentials.base_url and names.gateway_token:
        held = names.gateway_token
    found = {ACCOUNT: credentials.account, **dict(names.fixed), **dict.fromkeys(held, secret)}
    for key in ("base_url", "project_id"):
        value = getattr(credentials, key)
        if value:
            found.update(dict.fromkeys(getattr(names, key), value))
    unfit = next((name for name in found if not _holdable(found[name])), None)
    if unfit is not None:
        found, secret, value = {}, "", ""  # who reports errors with the locals of their frames
        message = f"{unfit} for {credentials.account} would hold a NUL or half a character, which no environment can"
        raise OperatorError(message)
    return found


def withdrawn(credentials: Credentials, before: str | None = None) -> frozenset[str]:
    """The variables that must not be left in the environment: what the same provider's programs would take for another account.

    ``before`` is the provider of the account whose variables are there already (``ROTATOR_ACCOUNT`` names it), if any: those
    go too. Other providers' variables stay: a program may well need several.
    """
    families = {_NAMES.get(provider, _PLAIN).family for provider in (credentials.provider, before) if provider}
    every = [names.every() for names in (*_NAMES.values(), _PLAIN) if names.family in families]
    return frozenset().union(*every) - variables(credentials).keys()


def lent(provider: str, credentials: Credentials | None) -> frozenset[str]:
    """The variables that hold an account's in a program that was started as it, and may have held something else before.

    Without credentials that could have been handed out, every variable of its provider counts. Raises nothing.
    """
    names = _NAMES.get(provider, _PLAIN)
    try:
        if credentials is None:
            return names.every()
        kind, found = _sayable(names, credentials)[0], frozenset(variables(credentials))
    except OperatorError:
        return names.every()
    return found - {ACCOUNT, credentials.variables.get(kind, ACCOUNT)}


def applied(environment: Mapping[str, str], credentials: Credentials, before: str | None = None) -> dict[str, str]:
    """A copy of ``environment`` for a program that is to act as the account; ``before`` as for ``withdrawn``.

    Raises what ``variables`` raises.
    """
    gone = withdrawn(credentials, before)
    kept = {name: value for name, value in environment.items() if name not in gone}
    return {**kept, **variables(credentials)}


def _sayable(names: _Names, credentials: Credentials) -> tuple[str, str]:
    """The first credential for which there is a variable, and the secret."""
    first, _ = _secret(credentials)
    for kind, secret in _secrets(credentials):
        if getattr(names, kind):
            return kind, secret
    message = f"{first} of {credentials.account}: programs of {credentials.provider} take none from their environment"
    raise OperatorError(message)


def _secret(credentials: Credentials) -> tuple[str, str]:
    """Which credential it is, and the secret."""
    for found in _secrets(credentials):
        return found
    message = f"{credentials.account} has neither an access_token nor an api_key to hand out; put one into the file"
    raise SecretMissing(message)


def _secrets(credentials: Credentials) -> Iterator[tuple[str, str]]:
    for kind in ("access_token", "api_key"):
        secret = (getattr(credentials, kind) or "").strip()  # as in a header: a key is often pasted with its newline
        if secret:
            yield kind, secret


def _holdable(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
