#!/usr/bin/env python3
"""TLS without a proxy: public listeners, certificates that change while both services run, and a gateway
that shows auth-server a certificate of its own."""

import argparse
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 40

SHARED = """
[deployment]
name = "Example CRM"
issuer = "https://localhost:{auth}"

[[auth.workspace]]
id = "sales"
name = "Sales"

[[resource]]
url = "https://localhost:{gateway}/mcp"
name = "Example CRM"
default = true
scope = [{{ name = "crm:read", description = "See records" }}]
default_scopes = ["crm:read"]
prm_scopes = ["crm:read"]

[keys]
key_encryption_key_file = "{folder}/kek"

[[listen.tls]]
certificate_file = "{folder}/server.pem"
key_file = "{folder}/server.key"

[listen]
"""
AUTH = SHARED + """
auth = ["127.0.0.1:{auth}"]
internal = ["127.0.0.1:{internal}"]
internal_credential_file = "{folder}/credential"
internal_tls = {{ certificate_file = "{folder}/server.pem", key_file = "{folder}/server.key", client_ca_file = "{folder}/ca.pem" }}
"""
GATEWAY = SHARED + """
gateway = ["127.0.0.1:{gateway}"]

[gateway]
internal_base = "https://localhost:{internal}"
internal_credential_file = "{folder}/credential"
{internal_tls}

[[gateway.route]]
resource = "https://localhost:{gateway}/mcp"
backends = ["crm"]

[[backend]]
name = "crm"
url = "http://127.0.0.1:{nothing}/mcp"
tool = [{{ match = "*", scopes = ["crm:read"] }}]
"""


class Place:
    """A folder with an authority, certificates and secrets, and the processes started in it."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.processes = binary, pathlib.Path(folder), []
        ports = []
        for _ in range(4):
            with socket.socket() as one:
                one.bind(("127.0.0.1", 0))
                ports.append(one.getsockname()[1])
        self.auth, self.internal, self.gateway, self.nothing = ports
        self.private("credential", "a credential of thirty-two letters or more")
        self.authority("ca")
        self.certificate("server", "localhost")
        self.certificate("client", "gateway-1")

    def private(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=self.folder, check=True, capture_output=True)

    def key(self, name):
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.sec1")
        self.openssl("pkcs8", "-topk8", "-nocrypt", "-in", f"{name}.sec1", "-out", f"{name}.part")
        (self.folder / f"{name}.part").chmod(0o600)
        (self.folder / f"{name}.part").rename(self.folder / f"{name}.key")

    def authority(self, name):
        self.key(name)
        self.openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", "/CN=authority", "-days", 1, "-out", f"{name}.pem")

    def certificate(self, name, host):
        self.key(name)
        (self.folder / "names").write_text(f"subjectAltName=DNS:{host}\n")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={host}", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", 1, "-extfile", "names", "-out", f"{name}.crt")
        (self.folder / f"{name}.crt").rename(self.folder / f"{name}.pem")

    def start(self, service, text, data, **more):
        config = self.folder / f"{data}.toml"
        config.write_text(text.format(folder=self.folder, auth=self.auth, internal=self.internal, gateway=self.gateway,
                                      nothing=self.nothing, **more))
        log = (self.folder / f"{data}.log").open("ab")
        process = subprocess.Popen([self.binary, service, "--config", config, "--data-dir", self.folder / data],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def open(self, url, cafile="ca.pem", chain=None):
        context = ssl.create_default_context(cafile=self.folder / cafile)
        if chain:
            context.load_cert_chain(self.folder / f"{chain}.pem", self.folder / f"{chain}.key")
        try:
            with urllib.request.urlopen(url, context=context, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read()

    def shown(self, port):
        """The certificate that a listener shows now, as bytes."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return secure.getpeercert(binary_form=True)

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(15)


def wait_until(what, holds):
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        assert time.monotonic() < limit, f"not seen: {what}"
        time.sleep(0.1)


def states(place):
    """What the gateway says of each thing that it needs."""
    _status, body = place.open(f"https://localhost:{place.gateway}/readyz")
    return {one["name"]: one["state"] for one in json.loads(body)["dependencies"]}


def both_services_speak_https(place):
    place.start("auth-server", AUTH, "auth")
    issuer = f"https://localhost:{place.auth}"
    wait_until("auth-server answers", lambda: place.open(f"{issuer}/jwks")[0] == 200)
    status, body = place.open(f"{issuer}/.well-known/oauth-authorization-server")
    assert status == 200 and json.loads(body)["issuer"] == issuer, body


def a_gateway_without_a_certificate_sees_nothing(place):
    process = place.start("gateway", GATEWAY, "blind", internal_tls=f'internal_tls = {{ ca_file = "{place.folder}/ca.pem" }}')
    url = f"https://localhost:{place.gateway}"
    wait_until("the gateway lives", lambda: place.open(f"{url}/healthz")[0] == 200)
    assert place.open(f"{url}/readyz")[0] == 503 and states(place)["feed of revocations"] != "ok", states(place)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def a_gateway_with_a_certificate_is_served(place):
    own = (f'internal_tls = {{ ca_file = "{place.folder}/ca.pem", certificate_file = "{place.folder}/client.pem", '
           f'key_file = "{place.folder}/client.key" }}')
    place.start("gateway", GATEWAY, "gateway", internal_tls=own)
    # Its one backend does not run; auth-server is what is asked about.
    wait_until("the gateway sees auth-server",
               lambda: states(place)["feed of revocations"] == states(place)["issuer keys"] == "ok")


def the_internal_interface_refuses_strangers(place):
    url = f"https://localhost:{place.internal}/internal/events"
    try:
        answer = place.open(url)
        raise AssertionError(f"answered {answer}")
    except (ssl.SSLError, urllib.error.URLError, ConnectionError):
        pass
    # With a certificate and no credential.
    assert place.open(url, chain="client")[0] == 401


def a_new_certificate_is_shown_without_a_restart(place):
    before = {port: place.shown(port) for port in (place.auth, place.gateway)}
    # First a half-written one, which changes nothing.
    whole = (place.folder / "server.pem").read_text()
    (place.folder / "server.pem").write_text(whole[:100])
    time.sleep(11)
    assert {port: place.shown(port) for port in before} == before
    place.certificate("server", "localhost")
    wait_until("both show the new one", lambda: all(place.shown(port) != old for port, old in before.items()))


def a_wrong_file_is_named(place):
    broken = AUTH.replace("{folder}/server.key", "{folder}/client.key")
    process = place.start("auth-server", broken, "broken")
    assert process.wait(15) == 2
    said = (place.folder / "broken.log").read_text()
    assert "listen.tls" in said and "does not belong" in said, said


CASES = [both_services_speak_https, a_gateway_without_a_certificate_sees_nothing, a_gateway_with_a_certificate_is_served,
         the_internal_interface_refuses_strangers, a_new_certificate_is_shown_without_a_restart, a_wrong_file_is_named]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=HERE.parents[1] / "target/release/vestibule")
    binary = str(parser.parse_args().binary)
    failed, folder = 0, tempfile.mkdtemp(prefix="vestibule-tls-")
    place = Place(binary, folder)
    try:
        for case in CASES:
            try:
                case(place)
                print(f"ok    {case.__name__.replace('_', ' ')}", flush=True)
            except AssertionError as why:
                failed += 1
                print(f"FAIL  {case.__name__.replace('_', ' ')}: {why}", flush=True)
    finally:
        place.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
