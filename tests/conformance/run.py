#!/usr/bin/env python3
"""The conformance proof: the MCP suite against the upstream alone, and again behind the gateway.

Directly, every check must pass. Through the gateway every check must find what it found directly,
apart from the differences in `expected-differences.json`, each of which must occur: with the
upstream alone behind a resource, and with a REST backend beside it that has two of its tools. With
a gateway the authorization server scenarios run too.
"""

import argparse
import contextlib
import pathlib
import secrets
import shlex
import subprocess
import sys
import tempfile
import time

from proof import compare, deployment, signin, suite
from proof.proxy import TokenProxy

COMMAND_TOKEN_LIFE = 60
# What is behind a resource, and what that makes of its path.
BEHIND = {"alone": "", "beside REST": "-and-rest"}


def main():
    options = arguments()
    deployment.install()
    tally = Tally()
    with contextlib.ExitStack() as stack:
        work = work_folder(stack, options.output)
        try:
            prove(options, work, stack, tally)
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            tally.fail(f"could not go on: {error}")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


def prove(options, work, stack, tally):
    process, upstream = deployment.start_upstream(work)
    stack.enter_context(process)
    gateway = Gateway(options, work, upstream, stack)
    expected = compare.Expectations(options.expected)
    for revision in options.revision:
        began = time.monotonic()
        direct = run_direct(revision, upstream, work, tally)
        for behind in gateway.behind:
            run_through((revision, behind), direct, gateway, expected, work, tally)
        print(f"{revision} took {time.monotonic() - began:.0f} s")
    if gateway.present:
        for behind, entry in expected.unused(options.revision, gateway.behind):
            tally.fail(f"listed, but did not occur ({behind}): {entry}")
        run_authorization(gateway, options, work, tally)


def arguments():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", help="start this gateway on the configuration template")
    parser.add_argument("--config", default=here / "vestibule.toml", help="the template for --binary")
    parser.add_argument("--gateway-url", help="a running gateway's origin; resources at /legacy/mcp, /modern/mcp")
    parser.add_argument("--token", help="send this token instead of signing in")
    parser.add_argument("--token-command", help="send what this command prints instead of signing in")
    parser.add_argument("--issuer", help="default: what the resource names")
    parser.add_argument("--client-id", help="default: register one")
    parser.add_argument("--user", default="demo@example.com")
    parser.add_argument("--password", default=secrets.token_urlsafe(16), help="default: a new one")
    parser.add_argument("--callback-port", type=int, default=3999)
    parser.add_argument("--revision", action="append", choices=sorted(suite.REVISIONS))
    parser.add_argument("--expected", type=pathlib.Path, default=here / "expected-differences.json")
    parser.add_argument("--output", help="keep the results in this folder")
    options = parser.parse_args()
    options.revision = options.revision or sorted(suite.REVISIONS)
    return options


def work_folder(stack, output):
    if output is None:
        return pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-")))
    folder = pathlib.Path(output).resolve()
    folder.mkdir(parents=True)
    return folder


class Tally:
    """Counts what passed and says at once what did not."""

    def __init__(self):
        self.passed = self.failed = 0

    def fail(self, why):
        self.failed += 1
        print(f"    FAILED {why}")


class Gateway:
    """The gateway under proof, running already or started here; absent when none was given."""

    def __init__(self, options, work, upstream, stack):
        self.options = options
        self.present = bool(options.binary or options.gateway_url)
        # A gateway that runs already has the two resources that `--gateway-url` names.
        self.behind = list(BEHIND) if options.binary else ["alone"][: self.present]
        self.origin = (options.gateway_url or "").rstrip("/")
        self.grants = {}
        if options.binary:
            self._start(options, work, upstream, stack)

    def _start(self, options, work, upstream, stack):
        auth, gateway = deployment.free_port(), deployment.free_port()
        self.origin = f"http://localhost:{gateway}"
        values = {
            "AUTH_PORT": auth,
            "GATEWAY_PORT": gateway,
            "ISSUER": f"http://localhost:{auth}",
            "GATEWAY": self.origin,
            "UPSTREAM": upstream,
            "REST": pathlib.Path(__file__).resolve().parent / "upstream" / "rest.json",
            "USERNAME": options.user,
            "PASSWORD": options.password,
        }
        eras = suite.REVISIONS.values()
        resources = [self.resource(era, behind) for era in eras for behind in self.behind]
        started = deployment.start_gateway(options.binary, options.config, work, values, resources)
        stack.enter_context(started)

    def resource(self, era, behind="alone"):
        return f"{self.origin}/{era}{BEHIND[behind]}/mcp"

    @property
    def person(self):
        return signin.Person(self.options.user, self.options.password)

    @property
    def redirect(self):
        return f"http://127.0.0.1:{self.options.callback_port}/callback"

    def token(self, era, behind):
        """What answers the token for one resource, whenever it is called."""
        if self.options.token:
            return lambda: self.options.token
        if self.options.token_command:
            return CommandToken(self.options.token_command)
        return self.grant(era, behind)

    def grant(self, era, behind="alone"):
        resource = self.resource(era, behind)
        if resource not in self.grants:
            self.grants[resource] = signin.Grant(
                resource, self.person, self.redirect, self.options.issuer, self.options.client_id
            )
        return self.grants[resource]


class CommandToken:
    """The output of a command, asked for again when it may have grown old."""

    def __init__(self, command):
        self.command, self.value, self.until = shlex.split(command), None, 0

    def __call__(self):
        if time.monotonic() > self.until:
            self.value = subprocess.run(self.command, capture_output=True, text=True, check=True).stdout.strip()
            self.until = time.monotonic() + COMMAND_TOKEN_LIFE
        return self.value


def run_direct(revision, upstream, work, tally):
    """The baseline: every required scenario runs, and every check of it passes."""
    url = f"{upstream}/{suite.REVISIONS[revision]}/mcp"
    found = suite.run_server(url, revision, work / f"{revision}-direct")
    scored, others = suite.required(revision)
    print(f"{revision} directly")
    for scenario in scored + others:
        report(scenario, judge(found.get(scenario), tally), scenario in others)
    return {scenario: compare.normal(scenario, checks, url) for scenario, checks in found.items()}


# Warnings that are known gaps: each must occur, so that closing the gap removes its line.
KNOWN_WARNINGS = {}


def judge(checks, tally):
    if not any(check["status"] in ("SUCCESS", "SKIPPED") for check in checks or []):
        tally.fail("did not run")
        return ["did not run"]
    wrong = []
    for check in checks:
        if check["id"] in KNOWN_WARNINGS and check["status"] == "WARNING":
            print(f"  known    {check['id']}: {KNOWN_WARNINGS[check['id']]}")
        elif check["id"] in KNOWN_WARNINGS or check["status"] in ("FAILURE", "WARNING"):
            wrong.append(check)
    tally.passed += sum(check["status"] == "SUCCESS" for check in checks)
    for check in wrong:
        tally.fail(f"{check['id']} {check['name']}: {check.get('errorMessage')}")
    return wrong


def report(scenario, wrong, unscored):
    print(f"  {'FAILED' if wrong else 'passed'}  {scenario}{'  (not scored)' if unscored else ''}")


def run_through(run, direct, gateway, expected, work, tally):
    """The proof: what each check finds through the gateway is what it found directly."""
    revision, behind = run
    era = suite.REVISIONS[revision]
    resource = gateway.resource(era, behind)
    print(f"{revision} through {resource} ({behind})")
    with TokenProxy(resource, gateway.token(era, behind)) as proxy:
        found = suite.run_server(proxy.url, revision, work / f"{revision}-gateway{BEHIND[behind]}")
        through = {name: compare.normal(name, checks, proxy.url) for name, checks in found.items()}
    for scenario in sorted(direct.keys() | through.keys()):
        one, other = direct.get(scenario, {}), through.get(scenario, {})
        strange, listed = set(), set()
        for key, path, left, right in compare.differences(one, other):
            if expected.allow(revision, behind, scenario, key, path, left, right):
                listed.add(key)
                continue
            strange.add(key)
            print(f"    {key[1]} {path}: directly {left!r:.300}, here {right!r:.300}")
        for key in strange:
            tally.fail(f"{scenario} {key[1]} differs")
        tally.passed += len((one.keys() | other.keys()) - strange)
        note = f"  ({len(listed)} as listed)" if listed else ""
        print(f"  {'DIFFERS' if strange else 'same   '}  {scenario}{note}")


def run_authorization(gateway, options, work, tally):
    """The two authorization server scenarios, with a person at the pages."""
    resource = gateway.resource("modern")
    if options.token or options.token_command:
        print("authorization server: not run, a token was given instead of a person")
        return
    grant = gateway.grant("modern")
    print(f"authorization server {grant.issuer}")
    found = suite.run_authorization(
        grant.issuer, resource, grant.client_id, options.callback_port, gateway.person, work / "authorization"
    )
    for scenario in ("authorization-server-metadata-endpoint", "authorization-code-grant"):
        report(scenario, judge(found.get(scenario), tally), False)


if __name__ == "__main__":
    sys.exit(main())
