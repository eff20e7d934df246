"""`python -m repalign`."""

from repalign.cli import main

if __name__ == "__main__":
    main()
