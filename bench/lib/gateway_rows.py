"""The rows of a gateway's measurement, and the calls they are made of."""

import http.client
import json
import os
import statistics
import subprocess
import sys
import time

from gateways import changed, write_tokens

IDLE_CONNECTIONS = 2000
ARGUMENTS = {"limit": 20, "query": "Acme", "stage": "negotiation", "workspace_id": "ws_bench"}
MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


class Bench:
    """The rows, measured on whatever gateway is given."""

    def __init__(self, options, calls, folder, issuer):
        self.options, self.calls, self.folder, self.issuer = options, calls, folder, issuer
        self.token = issuer.tokens(1)[0]
        self.seen = write_tokens(folder, "seen", [self.token])
        self.examined = write_tokens(folder, "examined", issuer.tokens(1, "/examined"))

    def peer(self, peer, rows):
        wait(peer, self.token)
        figures = {}
        if "seen" in rows:
            figures["seen"] = self.often(peer, call("search_deals"), self.seen)
        if "new" in rows and peer.name != "nginx" and peer.connections > 8:
            figures["new"] = self.fresh(peer)
        if "paced" in rows and peer.connections > 8:
            figures["paced"] = self.paced(peer)
        if "memory" in rows and peer.connections > 8:
            figures["connection_kib"] = self.connection(peer)
        return figures

    def idle(self, own):
        """How soon it listens, and what it weighs once it is ready and nobody calls."""
        started = own.start_times(self.options.repeat)
        with own:
            wait(own, self.token)
            figures = {"start": started, "idle_mib": own.memory()}
        told(f"{own.label}: listens in {started['listening_ms']:.1f} ms, idle {figures['idle_mib']:.1f} MiB")
        return figures

    def own(self, own, rows):
        wait(own, self.token)
        figures = {}
        for row in rows:
            figures.update(getattr(self, f"own_{row}")(own))
        return figures

    def own_seen(self, own):
        before = own.log_lines()
        figures = {"seen": self.often(own, call("search_deals"), self.seen)}
        if own.log_lines() - before < figures["seen"]["done"]:
            raise SystemExit("a call is missing in the log")
        return figures

    def own_modern(self, own):
        headers = ("MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: search_deals")
        return {"modern": self.often(own, call("search_deals", _meta=MODERN), self.seen, headers=headers)}

    def own_new(self, own):
        return {"new": self.fresh(own)}

    def own_examined(self, own):
        """The same answers untouched and searched, small and large; the difference is what searching costs."""
        figures = {}
        for name, tool in (("small", "search_deals"), ("large", "report_deals")):
            body = call(tool)
            untouched = self.often(own, body, self.seen)
            searched = self.often(own, body, self.examined, path="/examined", host=own.host)
            more = searched["server_cpu_us"] - untouched["server_cpu_us"]
            figures[name] = {"untouched": untouched, "searched": searched, "us_per_kb": more / (untouched["bytes"] / 1024)}
        return {"examined": figures}

    def own_refused(self, own):
        """Tokens that are none. Nothing of them may be kept."""
        kept = own.numbers()["vestibule_gateway_claims_cache_entries"]
        tokens = self.issuer.tokens(1000)
        bad = {
            "kid": lambda number, token: changed(token, header={"kid": f"nobody-{number}"}),
            "alg": lambda _, token: changed(token, header={"alg": "RS256"}),
            "audience": lambda _, token: changed(token, claims={"aud": "https://other.example/mcp"}),
            "expiry": lambda _, token: changed(token, claims={"exp": 1_700_000_000, "iat": 1_699_999_000}),
            "signature": lambda number, token: changed(token, signature=f"{number:04}"),
        }
        figures = {}
        for name, change in bad.items():
            path = write_tokens(self.folder, name, [change(*pair) for pair in enumerate(tokens)])
            figures[name] = self.often(own, call("search_deals"), path, "--status", "401")
        figures["kept"] = own.numbers()["vestibule_gateway_claims_cache_entries"] - kept
        return {"refused": figures}

    def own_list(self, own):
        return {"list": self.often(own, {"method": "tools/list", "params": {}}, self.seen)}

    def own_paced(self, own):
        return {"paced": self.paced(own)}

    def own_memory(self, own):
        return {"connection_kib": self.connection(own)}

    def fresh(self, gateway):
        runs = []
        for _ in range(self.options.repeat):
            most = int(25_000 * (self.options.seconds + 1))
            path = write_tokens(self.folder, "new", self.issuer.tokens(most))
            runs.append(self.once(gateway, call("search_deals"), path, "--once"))
        return self.middle(gateway, "new", runs)

    def paced(self, gateway):
        runs = [self.once(gateway, call("search_deals"), self.seen, "--rate", "1000") for _ in range(self.options.repeat)]
        return self.middle(gateway, "1,000 calls a second", runs)

    def often(self, gateway, body, tokens, *more, **how):
        runs = [self.once(gateway, body, tokens, *more, **how) for _ in range(self.options.repeat)]
        return self.middle(gateway, f"{tokens.name} {body['params'].get('name', body['method'])}", runs)

    def once(self, gateway, body, tokens, *more, path="/mcp", host=None, headers=()):
        """One run of the load; an answer that is not the expected one fails it."""
        where = self.where(gateway, body, tokens, path, host) + [part for header in headers for part in ("--header", header)]
        done = subprocess.run(
            [self.calls, "measure", *where, "--connections", str(gateway.connections), "--seconds", str(self.options.seconds),
             "--watch", f"server={gateway.pid()}", *more], capture_output=True, text=True, preexec_fn=on_load_processor)
        if done.returncode != 0:
            raise SystemExit(f"{gateway.label}: {done.stderr}")
        return json.loads(done.stdout)

    def where(self, gateway, body, tokens, path="/mcp", host=None):
        message = json.dumps({"jsonrpc": "2.0", "id": 1, **body})
        return ["--address", f"127.0.0.1:{gateway.port}", "--host", host or gateway.host, "--path", path, "--body", message,
                "--tokens", str(tokens)]

    def connection(self, gateway):
        """What a connection that rests costs in memory."""
        def held(count):
            command = [self.calls, "hold", *self.where(gateway, call("search_deals"), self.seen), "--connections", str(count)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=on_load_processor)
            if process.stdout.readline() != "held\n":
                raise SystemExit(f"{gateway.label}: the connections are not held")
            return process
        few = held(50)
        before = gateway.memory()
        many = held(IDLE_CONNECTIONS)
        after = gateway.memory()
        for process in (few, many):
            process.stdin.close()
            process.wait(20)
        kib = (after - before) * 1024 / IDLE_CONNECTIONS
        told(f"{gateway.label}: a connection {kib:.1f} KiB")
        return kib

    def middle(self, gateway, what, runs):
        numbers = {name for name, value in runs[0].items() if isinstance(value, (int, float))}
        figures = {name: statistics.median(run[name] for run in runs) for name in numbers}
        told(f"{gateway.label}: {what}: {figures['server_cpu_us']:.1f} us, p50 {figures['p50_us']:.0f} us, p99 {figures['p99_us']:.0f} us")
        return figures


def call(tool, **params):
    return {"method": "tools/call", "params": {"name": tool, "arguments": ARGUMENTS, **params}}


def wait(gateway, token):
    """Until a call is answered as it should be, and not a moment longer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, **call("search_deals")})
    headers = {"Host": gateway.host, "Authorization": f"Bearer {token}", "Content-Type": "application/json",
               "Accept": "application/json, text/event-stream"}
    until = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        connection.request("POST", "/mcp", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status == 200 and b"Acme renewal" in text and b'"isError":true' not in text:
            break
        if time.monotonic() > until:
            raise SystemExit(f"{gateway.label} does not answer: {answer.status} {text[:300]}")
        time.sleep(0.1)
    if gateway.name == "nginx":
        return
    # A gateway that lets anybody pass is no peer.
    for bad in (changed(token, signature="AAAA"), changed(token, claims={"aud": "https://other.example/mcp"})):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        connection.request("POST", "/mcp", body, {**headers, "Authorization": f"Bearer {bad}"})
        if connection.getresponse().status not in (401, 403):
            raise SystemExit(f"{gateway.label} accepts a token that is none")
        connection.close()


def on_load_processor():
    os.sched_setaffinity(0, {1})


def told(text):
    print(text, file=sys.stderr, flush=True)
