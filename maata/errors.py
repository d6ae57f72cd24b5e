"""Named errors as a person reads them: one sentence on stderr, exit code 2, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from maata.profile import ProfileError


def fail(sentence: str) -> NoReturn:
    """End with a user's mistake: one sentence, exit code 2, no traceback."""
    typer.echo(f"maata: {sentence}", err=True)
    raise typer.Exit(2)


@contextmanager
def user_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Translate the named errors of a room; anything else is a bug and keeps its traceback."""
    try:
        yield
    except (ProfileError, *kinds) as e:
        fail(str(e))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
