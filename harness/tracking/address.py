"""Removal of secrets from the address of a store, and from texts that may quote it."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import parse_qsl, quote, quote_plus, unquote

HIDDEN = "***"
ESCAPE = "in MLFLOW_TRACKING_URI write '/', '@', '?' and '#' of a password as %2F, %40, %3F and %23"
"""Remedy for an ambiguous address."""
_SECRET_VARIABLE = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|ACCESS_KEY|API_KEY", re.IGNORECASE)
_MLFLOW_LOGIN = ("USERNAME", "PASSWORD", "TOKEN")
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer)\s+[\w+/=.~-]+", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"(password|passwd|passphrase|\bpwd|token|secret|credential|api_?key|access_?key)"
    r"""(["']?\s*[=:]\s*["']?)[^\s"'&;,)]+""",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[@/?#:;=&]")
_USER_IN_ADDRESS = re.compile(r"(?<!/)//(?!/)[^\s'\"]*@")
# Minimum lengths of secrets: to be removed within a word too, and of an environment variable's.
_SHORT, _SHORTEST = 4, 6


class Address:
    """The address of a store: for MLflow, and for display.

    Users write passwords without escaping them, and readers of an address (SQLAlchemy, requests)
    separate password and host by different rules. Nothing is shown that any of them would take for
    a part of the user name, the password or the query.

    Attributes:
        uri: for MLflow.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def public(self) -> str:
        """Scheme, host and path; ``***`` in place of what may be secret."""
        return _printable(_public(self.uri))

    @property
    def is_clear(self) -> bool:
        """Whether everything except user, password and query can be shown."""
        return HIDDEN not in self.public

    def hide(self, text: str) -> str:
        """Return a text, such as an error's, with every secret removed.

        Text that quotes an ambiguous address may quote any part of it, and is removed entirely.
        """
        if not self.is_clear:
            return HIDDEN
        for secret in sorted({*self._secrets(), *_secrets_of_environment()}, key=len, reverse=True):
            if len(secret) < _SHORT:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
            else:
                text = text.replace(secret, HIDDEN)
        text = _USER_IN_ADDRESS.sub("//", text)
        text = _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
        return _printable(_SECRET_VALUE.sub(rf"\1\2{HIDDEN}", text))

    def _secrets(self) -> Iterator[str]:
        """Yield user, password and values of the query, in all encodings and in parts."""
        if _has_no_host(self.uri):
            return
        rest = _split(self.uri)[1]
        user = "" if rest.startswith("/") else rest.rpartition("@")[0]
        if user:
            password = user.partition(":")[2] or user
            for secret in (user, password, *_SEPARATOR.split(password)):
                yield from _spellings(secret)
            yield from _spellings(base64.b64encode(unquote(user).encode()).decode())
        query = rest.removeprefix(user).partition("?")[2]
        for _, value in parse_qsl(query):
            for secret in (value, *_SEPARATOR.split(value)):
                yield from _spellings(secret)
        if user or query:
            yield self.uri


def _split(uri: str) -> tuple[str, str]:
    """Return the scheme with its "://", or nothing, and the rest."""
    found = re.match(r"(?:[\w.+-]*:)?//", uri)
    if found is None:
        # Not a path, in which "@" and "?" mean nothing.
        return ("", uri) if "://" not in uri else (f"{HIDDEN}://", HIDDEN)
    return found[0], uri[found.end() :]


def _has_no_host(uri: str) -> bool:
    """Return whether an address is a path, or names a profile."""
    return bool(
        re.match(r"/(?!/)|\.{1,2}/|~", uri) or re.fullmatch(r"databricks(-uc)?(://[\w.:-]*)?", uri)
    )


def _public(uri: str) -> str:
    if _has_no_host(uri):
        return uri
    scheme, rest = _split(uri)
    if rest.startswith("/"):  # no host, so no user, unless there is an extra slash
        if "@" in rest.partition("?")[0] and not re.match("sqlite|file", scheme):
            return scheme + HIDDEN
        return scheme + re.split(r"[?#]" if scheme.startswith("file") else r"\?", rest)[0]
    user, _, shown = rest.rpartition("@")
    # Where "/" may already end the host, everything before "@" may be a password.
    unclear = re.search(r"[/?#]" if scheme.startswith("http") else r"[?#;].*=", user)
    shown = re.split(r"[?#;]", shown)[0]
    host = shown.partition("/")[0]
    # What follows "@" may be the end of a value in the query; what follows ":" a password.
    if unclear or not re.fullmatch(r"(\[[0-9a-fA-F:.%]+\]|[^:\[\]]*)(:\d*)?", host):
        return scheme + HIDDEN
    return scheme + shown


def _spellings(secret: str) -> Iterator[str]:
    if secret:
        plain = unquote(secret)
        yield from (secret, plain, quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1])


def _secrets_of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST:
            yield from _spellings(value)
    given = {key: os.environ.get(f"MLFLOW_TRACKING_{key}", "") for key in _MLFLOW_LOGIN}
    yield from _spellings(given["TOKEN"])
    if given["PASSWORD"]:
        yield from _spellings(given["PASSWORD"])
        login = f"{given['USERNAME']}:{given['PASSWORD']}"
        yield base64.b64encode(login.encode()).decode()


def _printable(text: str) -> str:
    """Return a text that can be encoded, even with undecodable bytes of a path."""
    return text.encode("utf-8", "backslashreplace").decode()
