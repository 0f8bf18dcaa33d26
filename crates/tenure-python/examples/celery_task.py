"""A Celery task that must not run twice, though brokers deliver a message again when a worker is
slow or dies. The record of the last run is kept by the lock's store, for as long as a run counts.

    pip install celery
    TENURE_STORE=redis://HOST celery -A celery_task worker      # serves
    python celery_task.py                                       # shows it, without a broker

Tenure opens its store at the first lock. Celery forks its workers before that, so each has a
connection of its own: take locks inside tasks, not while the module is imported.

The second prints:

    invoice 7 was sent
    invoice 7 was sent before, and the run ended ok
    sent: 1
"""

from __future__ import annotations

from datetime import timedelta

import tenure
from celery import Celery

app = Celery("shop", broker="memory://", backend="cache+memory://")
sent: list[int] = []  # stands for a mail server


@app.task(acks_late=True)
def send_invoice(number: int) -> str:
    # A broker delivers again within hours at most. A run that failed may be tried again.
    job = tenure.once(
        f"invoice:{number}", every=timedelta(days=7), since_last_run=True, retry_failed=True
    )
    ran = job.run(lambda run: send(run, number))
    if ran.last is None:
        return f"invoice {number} was sent"
    return f"invoice {number} was sent before, and the run ended {ran.last.state}"


def send(run: tenure.Run, number: int) -> None:
    run.check()  # right before something that cannot be undone
    sent.append(number)


def main() -> None:
    from celery.contrib.testing.worker import start_worker

    with start_worker(app, pool="solo", perform_ping_check=False):
        # The same message, delivered twice.
        print(send_invoice.delay(7).get(timeout=60))
        print(send_invoice.delay(7).get(timeout=60))
    print(f"sent: {len(sent)}")


if __name__ == "__main__":
    main()
