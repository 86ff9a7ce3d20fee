#!/usr/bin/env python3
"""Starts a demo of its own and has Chromium tour its sign-in and consent pages."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "clients"))

from demo import PASSWORD, USERNAME, Demo  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


# Somebody whose password is theirs to change.
OWNER = "pat@example.com"


def add_person(binary, demo):
    subprocess.run(
        [str(binary), "users", "add", OWNER, "--name", "Pat Pending", "--member", "ws_acme=member",
         "--data-dir", f"{demo.folder}/data"], input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=TARGET / "release/vestibule", help="the vestibule binary")
    parser.add_argument("--artefacts", default=ROOT / "artefacts", help="where the pictures go")
    options = parser.parse_args()
    pathlib.Path(options.artefacts).mkdir(parents=True, exist_ok=True)
    inside = ROOT / ".tools/node/bin/node"
    node = str(inside) if inside.exists() else "node"
    demo = Demo(options.binary).start()
    try:
        add_person(options.binary, demo)
        done = subprocess.run(
            [node, str(HERE / "tour.mjs"), demo.url, str(options.artefacts)], timeout=240, stdin=subprocess.DEVNULL,
            env={**os.environ, "USERNAME": USERNAME, "PASSWORD": PASSWORD, "OWNER": OWNER}, check=False)
        if done.returncode:
            print(f"the demo's last lines:\n{demo.tail()}")
    finally:
        demo.stop()
    if done.returncode == 0:
        shutil.rmtree(demo.folder, ignore_errors=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
