"""`python -m codesearch` runs the server."""

from codesearch.server import main

main()
