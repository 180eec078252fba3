"""`python -m app.cli`, for environments where the command isn't on the path."""

from app.cli import main

main()
