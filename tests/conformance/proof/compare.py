"""Comparing what the suite found directly with what it found through the gateway.

Two runs agree when every check has the same outcome for the same reason and saw the same details,
apart from what differs between any two runs: times, ports and identifiers.
"""

import fnmatch
import json
import re

IDENTIFIERS = {
    "date", "eventId", "io.modelcontextprotocol/subscriptionId", "last-event-id", "lastEventId",
    "lastEventIdUsed", "mcp-session-id", "requestState", "sessionId", "sessionIdSent",
    "subscriptionId", "taskId", "timestamp",
}
# Of the headers the suite writes down, those that say something about the protocol.
HEADERS = {"content-type", "mcp-session-id", "last-event-id"}
IN_WORDS = re.compile(r"\(id: [^)]*\)")
ABSENT = "(absent)"


def normal(scenario, checks, url):
    """The checks by key, without what differs between any two runs."""
    authority = url.split("/")[2]
    text = json.dumps(checks).replace(url, "SERVER").replace(authority, "AUTHORITY")
    keyed, seen = {}, {}
    for check in json.loads(text):
        pair = (check["id"], check["name"])
        seen[pair] = seen.get(pair, 0) + 1
        name = check["name"] if seen[pair] == 1 else f"{check['name']}#{seen[pair]}"
        keyed[(check["id"], name)] = _plain(check)
        if scenario.startswith("tasks-"):
            # A task is asked after until it is done, which takes as long as it takes.
            keyed[(check["id"], name)].get("details", {}).pop("messagesValidated", None)
    return keyed


def _plain(value, key=None, parent=None):
    if key in IDENTIFIERS or (key == "id" and parent == "event"):
        return value if value is None else f"({type(value).__name__})"
    if isinstance(value, dict):
        kept = value
        if key == "headers":
            kept = {name: held for name, held in value.items() if name.lower() in HEADERS}
        return {name: _plain(held, name, key) for name, held in kept.items() if name != "specReferences"}
    if isinstance(value, list):
        return [_plain(held, None, key) for held in value]
    if isinstance(value, str):
        return IN_WORDS.sub("(id)", value)
    return value


def differences(direct, through):
    """Every (check, path, direct value, value through the gateway) that is not the same."""
    for key in direct.keys() | through.keys():
        if key not in through or key not in direct:
            one, other = direct.get(key, {}), through.get(key, {})
            yield key, "status", one.get("status", ABSENT), other.get("status", ABSENT)
        else:
            yield from ((key, *found) for found in _walk(direct[key], through[key], ""))


def _walk(one, other, path):
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            below = f"{path}.{name}" if path else name
            yield from _walk(one.get(name, ABSENT), other.get(name, ABSENT), below)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other)):
            yield from _walk(left, right, f"{path}.{index}")
    elif one != other:
        yield path, one, other


class Expectations:
    """The differences that a specification or a decision asks for; each must occur."""

    MEMBERS = {"revision", "scenario", "check", "path", "direct", "gateway", "behind", "because"}
    NEEDED = {"revision", "scenario", "check", "path", "because"}

    def __init__(self, path):
        self.entries = json.loads(path.read_text())
        self.used = set()
        for entry in self.entries:
            if not self.NEEDED <= entry.keys() <= self.MEMBERS or not entry["because"].strip():
                raise ValueError(f"{path.name}: an entry needs {sorted(self.NEEDED)}: {entry}")

    def allow(self, revision, behind, scenario, key, path, direct, through):
        """Whether this difference is listed for what is behind; remembers that its entry occurred."""
        found = False
        for index, entry in enumerate(self.entries):
            if (
                entry["revision"] == revision
                and fnmatch.fnmatchcase(scenario, entry["scenario"])
                and entry.get("behind", behind) == behind
                and fnmatch.fnmatchcase(key[1], entry["check"])
                and fnmatch.fnmatchcase(path, entry["path"])
                and entry.get("direct", direct) == direct
                and entry.get("gateway", through) == through
            ):
                self.used.add((index, behind))
                found = True
        return found

    def unused(self, revisions, behinds):
        """The listed differences of these revisions that did not occur, each with what was behind."""
        return [
            (behind, entry)
            for index, entry in enumerate(self.entries)
            for behind in behinds
            if entry["revision"] in revisions
            and entry.get("behind", behind) == behind
            and (index, behind) not in self.used
        ]
