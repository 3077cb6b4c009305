"""`slowwave`, and `python -m service`: the command line, or a line that says whose package stands in the way of ours."""

import sys


def main() -> None:
    """Run the command line; where a foreign package has the name of one of ours, say which and what to do."""
    try:
        from service.cli import main as run
    except ImportError as error:
        from service.shadows import OURS, find_shadows

        hiding = [shadow for shadow in find_shadows() if shadow.hides]
        if not hiding or (error.name or "").partition(".")[0] not in OURS:
            raise
        sys.stderr.write(f"slowwave: {hiding[0].say}\n")
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
