"""Running the conformance suite and reading what it found."""

import json
import re
import subprocess

from . import signin
from .deployment import NODE, ROOT, SUITE

REVISIONS = {"2025-11-25": "legacy", "2026-07-28": "modern"}
LONGEST_RUN = 600
TIMESTAMP = re.compile(r"-\d{4}-\d{2}-\d{2}T[\d-]+Z$")


def required(revision):
    """The server scenarios of a frozen requirement set: those that are scored, and the others."""
    path = SUITE.parent.parent / "requirements" / f"{revision}.yaml"
    section, scored, others, named = None, [], [], None
    for line in path.read_text().splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            section = line.rstrip(":")
        word = line.strip()
        if section == "server" and word.startswith("- "):
            scored.append(word[2:])
        elif section == "not_scored" and word.startswith("- scenario: "):
            named = word.removeprefix("- scenario: ")
        elif section == "not_scored" and word == "leg: server":
            others.append(named)
    return scored, others


def run_server(url, revision, output):
    """Runs the requirement set of a revision against a server; checks by scenario."""
    command = [NODE, SUITE, "server", "--url", url, "--requirements", revision, "-o", output]
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_RUN
    )
    (output.parent / f"{output.name}.log").write_text(done.stdout + done.stderr)
    results = _results(output, "server-")
    if not results:
        raise RuntimeError(f"the suite produced nothing:\n{(done.stdout + done.stderr)[-2000:]}")
    return results


def run_authorization(issuer, resource, client_id, port, person, output):
    """Runs the authorization server scenarios, walking the pages as the person would."""
    command = [NODE, SUITE, "authorization", "--url", issuer, "--client-id", client_id]
    command += ["--resource", resource, "--port", port, "--spec-version", "2026-07-28", "-o", output]
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        said = []
        try:
            for line in child.stdout:
                said.append(line)
                if line.startswith(("http://", "https://")):
                    signin.open_page(line.strip(), f"http://127.0.0.1:{port}/callback", person)
        except BaseException:
            child.kill()
            raise
        finally:
            output.parent.mkdir(parents=True, exist_ok=True)
            (output.parent / f"{output.name}.log").write_text("".join(said))
    return _results(output, "authorization-server-")


def _results(output, prefix):
    found = {}
    for path in sorted(output.glob("*/checks.json")):
        name = TIMESTAMP.sub("", path.parent.name).removeprefix(prefix)
        found[name] = json.loads(path.read_text())
    return found
