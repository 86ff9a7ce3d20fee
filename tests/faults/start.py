#!/usr/bin/env python3
"""What cannot start says why in one clear line and ends with exit code 2; what runs ends cleanly."""

import argparse
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
from demo import Demo, _free_ports  # noqa: E402


def refused(binary, *arguments):
    """Runs the binary until it ends; answers what it said on stderr, if that is one line and the code is 2."""
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=30)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, f"exit code {done.returncode}: {done.stderr}"
    assert lines and lines[0].startswith("vestibule: "), done.stderr
    return done.stderr


def one_line(text):
    assert len(text.strip().splitlines()) == 1, text
    return text


def a_wrong_flag(binary, folder):
    assert "--nonsense" in one_line(refused(binary, "demo", "--nonsense"))


def a_port_in_use(binary, folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(binary, "demo", "--auth-listen", address, "--gateway-listen", "127.0.0.1:0", "--data-dir", folder / "a")
        assert address in one_line(said) and "another port" in said, said


def a_data_folder_that_is_none(binary, folder):
    (folder / "file").write_text("")
    assert "--data-dir" in one_line(refused(binary, "demo", "--data-dir", folder / "file"))


def a_file_that_is_missing(binary, folder):
    assert "nowhere.toml" in one_line(refused(binary, "serve", "--config", folder / "nowhere.toml"))


def a_file_with_an_unknown_key(binary, folder):
    (folder / "wrong.toml").write_text('[deployment]\nname = "x"\nissuer = "http://localhost:1"\nisuer = "y"\n')
    said = refused(binary, "serve", "--config", folder / "wrong.toml", "--data-dir", folder / "b")
    assert "isuer" in said and "line 4" in said, said


def a_secret_that_others_can_read(binary, folder):
    (folder / "c").mkdir()
    (folder / "c" / "key-encryption-key").write_text("kek")
    (folder / "c" / "key-encryption-key").chmod(0o644)
    said = refused(binary, "demo", "--auth-listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0", "--data-dir", folder / "c")
    assert "chmod 600" in one_line(said), said


def a_data_folder_in_use(binary, folder):
    demo = Demo(binary).start()
    try:
        said = refused(binary, "demo", "--auth-listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0",
                       "--data-dir", f"{demo.folder}/data")
        assert "in use" in one_line(said), said
    finally:
        demo.stop()


def operators_show_a_token_over_tcp(binary, folder):
    token, wrong = folder / "admin-token", folder / "wrong-token"
    for path, letter in ((token, "t"), (wrong, "w")):
        path.write_text(letter * 40)
        path.chmod(0o600)
    port, of_gateway = _free_ports(2)
    demo = Demo(binary).add(f'''
[listen]
admin = ["127.0.0.1:{port}"]
admin_token_file = "{token}"
gateway_admin = ["127.0.0.1:{of_gateway}"]
''').start()
    try:
        def asked(shown, *what, at=port):
            words = [*(what or ("users", "list")), "--admin", f"http://localhost:{at}", "--admin-token-file", shown]
            return subprocess.run([binary, *map(str, words)], capture_output=True, text=True, timeout=30, cwd=folder)

        done = asked(token)
        assert done.returncode == 0 and "demo@example.com" in done.stdout, f"{done.stdout}{done.stderr}"
        done = asked(wrong)
        assert done.returncode == 1 and "admin_token_file" in done.stderr, f"{done.returncode} {done.stderr}"
        for at in (port, of_gateway):
            done = asked(token, "keys", "announce", "--gateway", at=at)
            assert done.returncode == 0, f"{done.stdout}{done.stderr}"
            done = asked(token, "keys", "list", "--gateway", at=at)
            assert done.stdout.count("pending") >= 2, f"{done.stdout}{done.stderr}"
            assert asked(wrong, "keys", "list", "--gateway", at=at).returncode == 1
        assert asked(token, at=of_gateway).returncode == 1, "a gateway's listener knows of no users"
        done = asked(token, "audit", "list", "--json")
        assert '"remote"' in done.stdout and "gateway_identity" in done.stdout, f"{done.stdout[-2000:]}{done.stderr}"
    finally:
        demo.stop()


def killed_at_its_first_start(binary, folder):
    """Whatever a kill leaves of the first start, the next one goes on: nothing was kept yet."""
    for step in range(30):
        data = folder / str(step)
        process = subprocess.Popen([binary, "demo", "--auth-listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0",
                                    "--data-dir", str(data)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # From before the first file to after the last one.
        until = time.monotonic() + step * 0.004
        while time.monotonic() < until and not (step >= 15 and any(data.glob("*.redb"))):
            time.sleep(0.0005)
        process.kill()
        process.wait()
        (data / "auth-server.sock").unlink(missing_ok=True)
        again = subprocess.Popen([binary, "demo", "--auth-listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0",
                                  "--data-dir", str(data)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            until = time.monotonic() + 30
            while not (data / "auth-server.sock").exists():
                assert again.poll() is None, f"killed in step {step}: {again.stderr.read()}"
                assert time.monotonic() < until, f"killed in step {step}: it does not start"
                time.sleep(0.01)
        finally:
            again.terminate()
            again.wait(15)
            again.stderr.close()


def sigterm_ends_it_cleanly(binary, folder):
    demo = Demo(binary).start()
    urllib.request.urlopen(f"{demo.issuer}/jwks").read()
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(15) == 0, f"exit code {demo.process.returncode}"


CASES = [a_wrong_flag, a_port_in_use, a_data_folder_that_is_none, a_file_that_is_missing, a_file_with_an_unknown_key,
         a_secret_that_others_can_read, a_data_folder_in_use, operators_show_a_token_over_tcp, killed_at_its_first_start,
         sigterm_ends_it_cleanly]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=HERE.parents[1] / "target/release/vestibule")
    binary = str(parser.parse_args().binary)
    failed = 0
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="vestibule-start-") as folder:
            try:
                case(binary, pathlib.Path(folder))
                print(f"ok    {case.__name__.replace('_', ' ')}")
            except AssertionError as why:
                failed += 1
                print(f"FAIL  {case.__name__.replace('_', ' ')}: {why}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
