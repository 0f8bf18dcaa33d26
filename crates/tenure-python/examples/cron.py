"""A job that cron starts on every host, and that must run once. Hosts need a store that they share:
``TENURE_STORE=redis://HOST`` in each crontab. Without it the store is a file, which keeps out the
processes of one host alone.

    python cron.py & python cron.py & wait; python cron.py

Two at once and one a little late, they print, in any order:

    the report was written
    not now: the last run ended ok
    not now: the last run ended ok

One that comes while the report is written says that the last run is running.
"""

from __future__ import annotations

from datetime import timedelta

import tenure


def main() -> None:
    # Cron starts it once a day. Clocks of hosts differ, so the period is a little shorter.
    report = tenure.once("cron:report", every=timedelta(hours=23), since_last_run=True)
    ran = report.run(write_report)
    if ran.ran:
        print(f"the {ran.value} was written")
    elif ran.last is not None:
        how = {"running": "is running", "unfinished": "did not end"}
        state = ran.last.state
        print(f"not now: the last run {how.get(state, 'ended ' + state)}")


def write_report(run: tenure.Run) -> str:
    run.check()  # right before something that cannot be undone
    return "report"


if __name__ == "__main__":
    main()
