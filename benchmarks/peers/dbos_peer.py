"""DBOS on PostgreSQL, its defaults: each job is a workflow on a queue. Run as a script it is a worker."""

import os
import signal

import effects
import sqlalchemy
from dbos import DBOS, DBOSClient, EnqueueOptions

DATABASE = os.environ["BENCH_POSTGRES"]
QUEUE = "bench"
CHUNK = 1000

append = DBOS.workflow(name="append")(effects.append)
_options: EnqueueOptions = {"workflow_name": "append", "queue_name": QUEUE}
_client: DBOSClient | None = None


def client() -> DBOSClient:
    """Return this process's client."""
    global _client
    if _client is None:
        _client = DBOSClient(system_database_url=DATABASE)
    return _client


def launch() -> None:
    """Make the tables and the queue, and start to run what is queued."""
    # What an executor ran when it died is taken up by the next one of its name.
    executor = os.environ.get("BENCH_SLOT") or str(os.getpid())
    DBOS(config={"name": "bench", "system_database_url": DATABASE, "log_level": "ERROR", "executor_id": executor})
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    DBOS.register_queue(QUEUE)


def prepare() -> None:
    """Make the tables once, and connect."""
    launch()
    DBOS.destroy()
    client()


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    client().enqueue(_options, number, seconds)


def submit_many(numbers: range, seconds: float) -> None:
    """Submit jobs a thousand in one transaction."""
    engine = sqlalchemy.create_engine(DATABASE)
    for at in range(0, len(numbers), CHUNK):
        with engine.begin() as connection:
            for number in numbers[at : at + CHUNK]:
                client().enqueue_in_transaction(connection, _options, number, seconds)
    engine.dispose()


def main() -> None:
    """Work until told to stop."""
    stop = signal.SIGTERM
    signal.pthread_sigmask(signal.SIG_BLOCK, {stop})
    launch()
    signal.sigwait({stop})
    os._exit(0)


if __name__ == "__main__":
    main()
