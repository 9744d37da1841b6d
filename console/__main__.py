"""`python -m console` is the command `splitdeck`."""

from console.cli import main

if __name__ == "__main__":
    main()
