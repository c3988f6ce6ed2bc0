"""`python -m babelpress`."""

from babelpress.cli import main

main()
