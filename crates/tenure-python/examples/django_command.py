"""A Django management command that runs alone, on all hosts that share the store. In a project it
is the file ``management/commands/rebuild_index.py`` of an app, which ends after the class.

    pip install django
    TENURE_STORE=redis://HOST python manage.py rebuild_index    # in a project
    python django_command.py                                    # shows it, without a project

The second prints:

    rebuilt 3 entries
    CommandError: another host rebuilds the index (somebody else)
"""

from __future__ import annotations

from typing import Any

import tenure
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Rebuilds the search index."

    def handle(self, *args: Any, **options: Any) -> None:
        lock = tenure.mutex("rebuild-index", ttl=60, wait=1)
        try:
            with lock as guard:
                self.rebuild(guard)
        except tenure.Busy:
            holders = ", ".join(holder.label for holder in lock.inspect().holders)
            raise CommandError(f"another host rebuilds the index ({holders})") from None

    def rebuild(self, guard: tenure.Guard) -> None:
        entries = ["lamp", "chair", "table"]
        for _entry in entries:
            guard.check()  # stop as soon as another may be at it
        self.stdout.write(f"rebuilt {len(entries)} entries")


def main() -> None:
    from django.conf import settings
    from django.core.management import call_command
    from tenure.testing import World

    settings.configure()
    world = World()
    tenure.set_default(world.locks)
    call_command(Command())
    try:
        with world.busy("rebuild-index"):
            call_command(Command())
    except CommandError as error:
        print(f"CommandError: {error}")


if __name__ == "__main__":
    main()
