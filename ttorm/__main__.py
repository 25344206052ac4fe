"""Lets `python -m ttorm` do what `ttorm` does."""

from ttorm.cli import main

main()
