"""What tests share; importable as ``support`` (see ``dev-mode-dirs`` in pyproject.toml)."""
