"""perdure."""


def register(app): ...
