"""click-plugins with one thing changed; found before the one from PyPI because PYTHONPATH says so.

The original replaces a plugin that cannot be imported by a command that fails when it is called. In a container nobody
calls it, so a broken plugin went unnoticed. Here it is named on stderr at start, and left out.
"""

import sys

import click

PATCHED = True


def with_plugins(entry_points):
    """Add the command behind each entry point to the decorated group."""

    def decorate(group):
        if not isinstance(group, click.Group):
            raise TypeError(f"plugins can only be added to a click.Group, not to {group!r}")
        for entry_point in entry_points or ():
            try:
                group.add_command(entry_point.load())
            except Exception as error:
                print(f"plugin {entry_point.name} left out: {error}", file=sys.stderr)
        return group

    return decorate
