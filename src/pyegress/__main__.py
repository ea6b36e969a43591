"""`python -m pyegress`."""

from pyegress.cli.main import main

main()
