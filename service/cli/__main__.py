"""`python -m service.cli` is `herenow`."""

from service.cli import main

main()
