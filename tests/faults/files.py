"""The embedded store's file: a back-up put back, a move to Redis, and a disk without room."""

import pathlib
import resource
import shutil
import subprocess
import sys

from grants import Grant, is_gone, is_transient, send
from topology import PROFILE, Redis
from wires import wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
from demo import Demo  # noqa: E402

ROTATIONS = 30
ROOM = 1 << 20


def a_restored_back_up_keeps_clients_signed_in(binary, _counts):
    with Running(binary) as demo:
        grants = [Grant(demo.issuer, demo.url, f"Restore {number}") for number in range(3)]
        back_up(demo)
        for grant in grants:
            for _ in range(ROTATIONS):
                grant.refreshed()
        restore(demo)
        for grant in grants:
            grant.refreshed()
            grant.refreshed()
        return f"{ROTATIONS} rotations newer than the back-up"


def a_restored_back_up_keeps_revocations(binary, _counts):
    with Running(binary) as demo:
        revoked = Grant(demo.issuer, demo.url, "Revoked")
        back_up(demo)
        assert revoked.revoke().status == 200
        restore(demo)
        answer = revoked.refresh()
        assert is_gone(answer), f"a grant revoked after the back-up lives again: {answer}"
        return "1 revocation newer than the back-up"


def a_back_up_of_a_running_server_is_put_back(binary, _counts):
    with Running(binary) as demo:
        grants = [Grant(demo.issuer, demo.url, f"Backed up {number}") for number in range(2)]
        revoked = Grant(demo.issuer, demo.url, "Revoked")
        path = pathlib.Path(demo.folder, "back-up.vestibule")
        command(demo, "store", "backup", path)
        assert path.stat().st_mode & 0o077 == 0, "others can read the back-up"
        for grant in grants:
            for _ in range(ROTATIONS):
                grant.refreshed()
        assert revoked.revoke().status == 200
        restoring = ("store", "restore", path, "--config", PROFILE)
        assert "a server runs" in command(demo, *restoring, code=1)
        demo.stop()
        log = pathlib.Path(demo.folder, "data/revocations.journal")
        kept = log.rename(pathlib.Path(demo.folder, "kept-elsewhere"))
        for _ in range(2):
            assert "--accept-lost-revocations" in command(demo, *restoring, code=1)
        log.unlink()
        command(demo, *restoring, "--log", kept)
        demo.start()
        for grant in grants:
            grant.refreshed()
            grant.refreshed()
        answer = revoked.refresh()
        assert is_gone(answer), f"a grant revoked after the back-up lives again: {answer}"
        return f"{ROTATIONS} rotations and a revocation newer than the back-up"


def everything_moves_from_the_file_to_redis(binary, _counts):
    with Running(binary) as demo:
        folder = pathlib.Path(demo.folder)
        grants = [Grant(demo.issuer, demo.url, f"Moved {number}") for number in range(3)]
        redis = Redis("redis", folder).start()
        try:
            url = folder / "redis-url"
            url.write_text(f"redis://127.0.0.1:{redis.port}/0")
            url.chmod(0o600)
            to = folder / "redis.toml"
            to.write_text(f"""{PROFILE.read_text()}
[store]
engine = "redis"
auth_redis_url_file = "{url}"
gateway_redis_url_file = "{url}"
""")
            demo.stop()
            told = command(demo, "store", "migrate", "--config", PROFILE, "--to", to)
            assert "family (3)" in told, told
            refused = subprocess.run([binary, "demo", "--data-dir", folder / "data", "--auth-listen", "127.0.0.1:0"],
                                     capture_output=True, text=True, timeout=20)
            assert refused.returncode == 2 and "sealed" in refused.stderr, f"the old file is still served: {refused.stderr}"
            demo.more = ["--config", str(to)]
            demo.start()
            for grant in grants:
                grant.refreshed()
            assert grants[0].revoke().status == 200
            assert is_gone(grants[0].refresh())
            demo.stop()
        finally:
            redis.stop()
        return told.splitlines()[-1]


def command(demo, *words, code=0):
    """Runs an operator's command on the demo's data folder; what it says."""
    done = subprocess.run([demo.binary, *map(str, words), "--data-dir", f"{demo.folder}/data"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == code, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def a_full_disk_is_a_clear_error_and_corrupts_nothing(binary, _counts):
    # The signal of the limit stays ignored, as Python has it: writing fails as on a full disk.
    with Running(binary, restore_signals=False) as demo:
        grant = Grant(demo.issuer, demo.url, "Full disk")
        path = pathlib.Path(demo.folder, "data", "auth.redb")
        room(demo, path.stat().st_size)
        clients, refused = fill_up(demo.issuer)
        assert is_transient(refused), f"registering on a full disk: {refused}"
        answer = grant.refresh()
        assert answer.status == 200 or is_transient(answer), f"refreshing on a full disk: {answer}"
        assert send(f"{demo.issuer}/jwks").status == 200
        room(demo, resource.RLIM_INFINITY)
        wait_until("there is room again", lambda: grant.refresh().status == 200)
        for restarted in (False, True):
            if restarted:
                demo.restart()
            grant.refreshed()
            for client in (clients[0], clients[-1]):
                page = send(f"{demo.issuer}/authorize?client_id={client}&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback")
                assert b"is not registered" not in page.body, "a client that was answered is gone"
        return f"{len(clients)} writes until it was full"


def fill_up(issuer):
    """Registers large clients until that is refused; returns the clients and the refusal."""
    clients = []
    for number in range(20_000):
        answer = send(f"{issuer}/register", {
            "client_name": f"Full disk {number}", "token_endpoint_auth_method": "none",
            "redirect_uris": ["http://127.0.0.1/callback", *(f"https://app.example/{number}/{'x' * 900}/{part}" for part in range(20))]},
            form=False, headers={"x-forwarded-for": f"198.51.100.{number % 250}"})
        if answer.status != 201:
            return clients, answer
        clients.append(answer.json()["client_id"])
    raise AssertionError("the disk never filled up")


def room(demo, most):
    """How large a file of the process may become: what it cannot write, it cannot write on a full disk either."""
    resource.prlimit(demo.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def back_up(demo):
    """Copies the authorization server's file while nobody writes to it."""
    demo.stop()
    shutil.copy(f"{demo.folder}/data/auth.redb", f"{demo.folder}/back-up.redb")
    demo.start()


def restore(demo):
    demo.stop()
    shutil.copy(f"{demo.folder}/back-up.redb", f"{demo.folder}/data/auth.redb")
    demo.start()


class Running(Demo):
    """The demo for the length of a scenario; its last lines are told when that fails."""

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, why, _trace):
        told = self.tail()
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        if isinstance(why, AssertionError):
            raise AssertionError(f"{why}\n{told}") from None


SCENARIOS = [a_restored_back_up_keeps_clients_signed_in, a_restored_back_up_keeps_revocations,
             a_back_up_of_a_running_server_is_put_back, everything_moves_from_the_file_to_redis,
             a_full_disk_is_a_clear_error_and_corrupts_nothing]
