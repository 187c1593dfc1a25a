"""Passwords are shown to nobody: neither in a message nor in the log.

One that is known is masked wherever it stands; of others, what looks like one is.
"""

import re
from urllib.parse import parse_qs, unquote, urlsplit

_PASSWORDS = (
    # First: an '@' in one of these would pass for the end of an address's.
    re.compile(r"(password=)(?:'[^']*'|\"[^\"]*\"|[^\s,&]+)", re.IGNORECASE),
    # YAML and JSON, such as a configuration that a library prints: without quotes it goes on to the line's end.
    re.compile(r"(password[\"']?:[ \t]*)(?:'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"|[^\n]+)", re.IGNORECASE),
    re.compile(r"(://[^:/@\s]*:)\S+(?=@)"),
)


def masked(text: str, url: str = "") -> str:
    """The text with the password of any address, or after any `password=` or `password:`, masked.

    That of the address `url`, as it is written there or decoded, is masked without such words before it too.
    """
    parts = urlsplit(url)
    given = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    secrets = {form for secret in given if secret for form in (secret, unquote(secret))}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    for password in _PASSWORDS:
        text = password.sub(r"\1***", text)
    return text
