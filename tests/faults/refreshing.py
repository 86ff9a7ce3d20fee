"""Two auth-servers on one Redis: parallel refreshes, lost answers, and processes that die at the worst moment."""

import concurrent.futures
import threading

from grants import Grant
from topology import Deployment

PARALLEL = 20


def parallel_refreshes_all_succeed_with_one_successor(binary, counts):
    with Deployment(binary) as deployment:
        grant = Grant(deployment.issuer, deployment.resource)
        ports = [one.port for one in deployment.auth_servers]
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            for _ in range(counts.rounds):
                spent = grant.tokens["refresh_token"]
                together = threading.Barrier(PARALLEL)

                def refresh(number, spent=spent, together=together):
                    together.wait()
                    return grant.refresh(ports[number % len(ports)], spent)

                answers = list(pool.map(refresh, range(PARALLEL)))
                bad = [answer for answer in answers if answer.status != 200]
                assert not bad, f"{len(bad)} of {PARALLEL} were refused: {bad[0]}"
                successors = {answer.json()["refresh_token"] for answer in answers}
                assert len(successors) == 1 and spent not in successors, f"{len(successors)} successors"
        return f"{counts.rounds} rounds of {PARALLEL}"


def a_lost_answer_logs_nobody_out(binary, counts):
    with Deployment(binary, auth_servers=1) as deployment:
        grant = Grant(deployment.issuer, deployment.resource)
        for _ in range(counts.losses):
            lose(deployment.wire, grant)
            # Lost twice in a row, too.
            lose(deployment.wire, grant)
            grant.refreshed()
            grant.refreshed()
        return f"{2 * counts.losses} answers lost"


def a_process_killed_between_rotation_and_answer_logs_nobody_out(binary, counts):
    with Deployment(binary) as deployment:
        first, second = deployment.auth_servers
        grant = Grant(deployment.issuer, deployment.resource)
        for _ in range(counts.losses):
            # Redis has rotated; the process dies before it reads so.
            happened = deployment.redis_wires[0].lose(answered=b"rotated", then=first.kill)
            no_answer(lambda: grant.refresh(first.port))
            assert happened.wait(10), "the refresh did not reach Redis"
            grant.refreshed(second.port)
            first.start()
            grant.refreshed(first.port)
        return f"{counts.losses} kills"


def lose(wire, grant):
    """Refreshes without ever seeing the answer."""
    happened = wire.lose(asked=b"grant_type=refresh_token")
    no_answer(grant.refresh)
    assert happened.is_set(), "no answer was lost"


def no_answer(ask):
    """The connection ends without an answer."""
    try:
        answer = ask()
    except OSError:
        return
    raise AssertionError(f"there was an answer: {answer}")


SCENARIOS = [parallel_refreshes_all_succeed_with_one_successor, a_lost_answer_logs_nobody_out,
             a_process_killed_between_rotation_and_answer_logs_nobody_out]
