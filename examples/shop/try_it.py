"""Charge one order, and see another one become a dead letter."""

from __future__ import annotations

from shop import charge

from perdure import JobDead

print(charge.submit("o-1", 4200).wait(60))
nothing = charge.submit("o-2", 0)
try:
    nothing.wait(60)
except JobDead as dead:
    print(str(dead).replace(nothing.id, "ID"))
