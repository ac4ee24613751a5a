"""``python -m perdure_workers``: the command line without its script."""

from perdure_workers.command import main

if __name__ == "__main__":
    main()
