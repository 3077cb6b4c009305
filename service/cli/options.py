"""What options of several commands take."""

import click

from service.settings import MAX_SEED

SEED = click.IntRange(0, MAX_SEED)
