"""`python -m service` is `slowwave`."""

from service.cli import main

if __name__ == "__main__":
    main()
