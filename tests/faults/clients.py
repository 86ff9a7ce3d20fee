"""The TypeScript SDKs, which drop their tokens at any wrong error, stay signed in through every fault."""

import pathlib
import sys

from files import Running
from topology import PROFILE, Redis
from wires import Wire

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
from run import Control, drive, node  # noqa: E402


def typescript_sdk_1_stays_signed_in(binary, _counts):
    return stays_signed_in(binary, "v1")


def typescript_sdk_2_stays_signed_in(binary, _counts):
    return stays_signed_in(binary, "v2")


def stays_signed_in(binary, generation):
    with Faulty(binary) as demo:
        control = Faults(demo)
        try:
            told = drive(node("sdk_faults.mjs", generation), demo.url, demo, control)
        finally:
            control.server.shutdown()
        assert control.person.sign_ins == 1, f"the user signed in {control.person.sign_ins} times"
        assert control.person.consents == 1, f"the user consented {control.person.consents} times"
        return told


class Faulty(Running):
    """The demo with its state in Redis, behind wires that can lose answers."""

    def __init__(self, binary):
        super().__init__(binary)
        folder = pathlib.Path(self.folder)
        self.redis = Redis("redis", folder).start()
        self.wire, self.redis_wire = Wire(self.auth), Wire(self.redis.port)
        self.issuer = f"http://localhost:{self.wire.port}"
        url = folder / "redis-url"
        url.write_text(f"redis://127.0.0.1:{self.redis_wire.port}/0")
        url.chmod(0o600)
        text = PROFILE.read_text().replace("{auth_port}", str(self.wire.port))
        config = folder / "deployment.toml"
        config.write_text(f"""{text}
[store]
engine = "redis"
auth_redis_url_file = "{url}"
gateway_redis_url_file = "{url}"
""")
        self.more = ["--config", str(config)]

    def __exit__(self, *why):
        try:
            super().__exit__(*why)
        finally:
            self.wire.close()
            self.redis_wire.close()
            self.redis.stop()


class Faults(Control):
    """What a driver may have happen: each fault strikes at its next refresh, or at once."""

    def fault(self, kind):
        demo = self.demo
        if kind == "answer lost":
            demo.wire.lose(asked=b"grant_type=refresh_token")
        elif kind == "killed before the answer":
            demo.redis_wire.lose(answered=b"rotated", then=demo.process.kill)
        elif kind == "started again":
            demo.process.wait()
            demo.start()
        elif kind == "redis away":
            demo.redis.kill()
        elif kind == "redis back":
            demo.redis.start()
        else:
            raise AssertionError(f"no such fault: {kind}")
        return {}


SCENARIOS = [typescript_sdk_1_stays_signed_in, typescript_sdk_2_stays_signed_in]
