"""Lets `python -m ttorm.cli` do what `ttorm` does."""

from ttorm.cli import main

main()
