"""Browsers in which somebody has signed in: who guesses passwords at the same address, a proxy's say, locks none out."""

from __future__ import annotations

from typing import Any

from tornado.web import create_signed_value, decode_signed_value

COOKIE = "perdure_known"
#: Days for which a browser is known.
DAYS = 30


def remember(handler: Any, user: str) -> None:
    """Know this browser of a user who is signed in; the cookie alone signs nobody in."""
    if not is_known(handler.application, handler.request, user):
        secret = handler.application.settings["cookie_secret"]
        value = create_signed_value(secret, COOKIE, user)
        handler.set_cookie(COOKIE, value.decode(), expires_days=DAYS, httponly=True, samesite="Lax")


def is_known(application: Any, request: Any, user: str) -> bool:
    """Return whether a request comes from a browser in which this user has signed in."""
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        return False
    secret = application.settings["cookie_secret"]
    return decode_signed_value(secret, COOKIE, cookie.value, max_age_days=DAYS) == user.encode()
