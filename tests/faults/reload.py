"""The deployment file is read again under load: no call fails, no stream ends, and a broken file changes nothing."""

import concurrent.futures
import http.client
import json
import signal
import threading
import time
import urllib.parse

import topology
from grants import ERAS, Grant, send, works
from topology import Deployment
from wires import wait_until

WORKERS = 4
RELOADS = 10
RULE = 'match = ["list_contacts", "get_contact", "search_contacts"]\nscopes = ["contacts:read"]'


class Slow(topology._BackendHandler):
    """Answers a call of `list_deals` with events, until it is told to end."""

    RESULTS = {**topology._BackendHandler.RESULTS, "tools/list": {"tools": [
        {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
        for name in ("list_contacts", "list_deals")]}}
    ending = threading.Event()

    def do_POST(self):
        message = json.loads(self.rfile.peek(65536)[:int(self.headers["content-length"])])
        if message.get("params", {}).get("name") != "list_deals":
            return super().do_POST()
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        step = 0
        while not self.ending.wait(0.02):
            step += 1
            self._event({"method": "notifications/progress", "params": {"progressToken": 1, "progress": step}})
        self._event({"id": message["id"], "result": {"content": [{"type": "text", "text": f"{step} steps"}]}})
        self.close_connection = True
        return None

    def _event(self, message):
        self.wfile.write(f"data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode())
        self.wfile.flush()


def a_reload_under_load_fails_no_call_and_ends_no_stream(binary, _counts):
    plain, topology._BackendHandler = topology._BackendHandler, Slow
    try:
        with Deployment(binary, auth_servers=1, gateways=1) as deployment:
            return reloaded_under_load(deployment)
    finally:
        topology._BackendHandler = plain
        Slow.ending.clear()


def reloaded_under_load(deployment):
    config, process = deployment.folder / "gateway-0.toml", deployment.gateways[0].process
    first, ready = config.read_text(), f"http://localhost:{deployment.gateway_port}/readyz"
    grants = [Grant(deployment.issuer, deployment.resource, f"Load {number}") for number in range(WORKERS)]
    wait_until("the first call works", lambda: works(grants[0].call()))
    stream = Stream(grants[0])
    stop = threading.Event()

    def work(grant):
        done = 0
        while not stop.is_set():
            answer = grant.call()
            assert answer.status == 200 and b"done" in answer.body, f"call {done} of {grant.name}: {answer}"
            done += 1
        return done

    def version():
        return send(ready).json()["configuration"]["version"]

    def last():
        return (send(ready).json()["configuration"]["last_reload"] or {}).get("result")

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(work, grant) for grant in grants]
        try:
            for number in range(1, RELOADS + 1):
                # The backend changes too, so that its connections are opened anew.
                config.write_text(first.replace('name = "crm"\n', f'name = "crm"\ntimeout_ms = {10_000 + number}\n'))
                process.send_signal(signal.SIGHUP)
                wait_until("the reload", lambda number=number: version() == number + 1)
                time.sleep(0.1)
            broken = first.replace(RULE, RULE.replace("contacts:read", "contacts:read{module}")) + '[oddity]\n'
            for text, told in ((broken, "oddity"), (broken.replace("[oddity]\n", ""), "line ")):
                config.write_text(text)
                before = len(refusals(deployment))
                process.send_signal(signal.SIGHUP)
                wait_until("the refusal", lambda before=before: len(refusals(deployment)) > before)
                assert told in refusals(deployment)[-1], refusals(deployment)[-1][:2000]
            assert (version(), last()) == (RELOADS + 1, "refused"), send(ready)
            why = refusals(deployment)[-1]
            assert "backend[0].tool[0].scopes" in why and "use the word of the pattern" in why, why[:2000]
            time.sleep(0.2)
        finally:
            stop.set()
        calls = sum(one.result() for one in workers)
    # A rule that changed holds for the next call.
    config.write_text(first.replace(RULE, RULE.replace("contacts:read", "contacts:delete")))
    process.send_signal(signal.SIGHUP)
    wait_until("the last reload", lambda: last() == "applied")
    assert grants[1].call().status == 403, grants[1].call()
    steps = stream.ended()
    return f"{RELOADS} reloads and 2 refused ones, {calls} calls, a stream of {steps} events"


def refusals(deployment):
    """What the gateway has said of each file that it refused."""
    return deployment.gateways[0].log.read_text().split("the configuration stays as it was")[1:]


class Stream:
    """A call whose answer is a stream, read all the while."""

    def __init__(self, grant):
        parts = urllib.parse.urlsplit(grant.resource)
        self.connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=60)
        body = json.dumps({"jsonrpc": "2.0", "id": "stream", "method": "tools/call",
                           "params": {"name": "list_deals", "arguments": {}}})
        self.connection.request("POST", parts.path, body, {
            "host": parts.netloc, "content-type": "application/json",
            "authorization": f"Bearer {grant.tokens['access_token']}", **ERAS})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.answer), daemon=True)
        self.reader.start()

    def ended(self):
        """Lets the backend end it; how many events there were, none of them missing."""
        Slow.ending.set()
        self.reader.join(20)
        self.connection.close()
        events = [json.loads(line[5:]) for line in self.lines if line.startswith(b"data:")]
        steps = [event["params"]["progress"] for event in events if "params" in event]
        assert steps == list(range(1, len(steps) + 1)), f"events are missing: {steps[:5]}...{steps[-5:]}"
        assert events and events[-1].get("id") == "stream" and "result" in events[-1], f"the stream broke: {events[-1:]}"
        return len(events)


SCENARIOS = [a_reload_under_load_fails_no_call_and_ends_no_stream]
