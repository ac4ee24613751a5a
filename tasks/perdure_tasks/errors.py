"""Errors of the ready-made tasks. A job that ends in one of these may succeed later: all are worth a retry."""

from __future__ import annotations

from perdure.errors import PerdureError


class DeliveryFailed(PerdureError):
    """A receiver did not take a webhook this time; a later attempt may succeed."""


class SignatureInvalid(PerdureError):
    """A webhook is not from who it says it is, or not from now. Answer it with 400 or 401 and do nothing."""


class ImportOvertaken(PerdureError):
    """Another run of the same import moved on meanwhile; this one wrote nothing and stops."""
