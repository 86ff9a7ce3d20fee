"""TCP wires between processes, which a scenario points elsewhere, cuts, or makes lose one answer."""

import socket
import threading
import time

LIMIT = 20


class Wire:
    """Listens on a port of its own and passes what it gets to `target` and back."""

    def __init__(self, target=None):
        self.target, self._loss = target, None
        self._pairs, self._lock, self._open = set(), threading.Lock(), True
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, asked=b"", answered=b"", then=None):
        """Loses the next answer that holds `answered` to a question that holds `asked`, after calling `then`.

        Returns an event that is set when it is lost."""
        happened = threading.Event()
        with self._lock:
            self._loss = (asked, answered, then, happened)
        return happened

    def cut(self):
        """Ends every connection; new ones go to the target as before."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            _close(*pair)

    def point(self, target):
        """Leads to another target from now on."""
        self.target = target
        self.cut()

    def close(self):
        self._open = False
        _close(self._listener)
        self.cut()

    def _accept(self):
        while self._open:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near):
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=LIMIT)
            far.settimeout(None)
        except OSError:
            _close(near)
            return
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (near, far)
        with self._lock:
            self._pairs.add(pair)
        question = bytearray()
        threading.Thread(target=self._ask, args=(pair, question), daemon=True).start()
        self._answer(pair, question)

    def _ask(self, pair, question):
        near, far = pair
        try:
            while got := near.recv(65536):
                question += got
                far.sendall(got)
        except OSError:
            pass
        self._end(pair)

    def _answer(self, pair, question):
        near, far = pair
        try:
            while got := far.recv(65536):
                if self._lost(bytes(question), got):
                    break
                question.clear()
                near.sendall(got)
        except OSError:
            pass
        self._end(pair)

    def _lost(self, question, answer):
        with self._lock:
            if self._loss is None:
                return False
            asked, answered, then, happened = self._loss
            if asked not in question or answered not in answer:
                return False
            self._loss = None
        if then:
            then()
        happened.set()
        return True

    def _end(self, pair):
        with self._lock:
            self._pairs.discard(pair)
        _close(*pair)


def wait_until(what, holds, seconds=LIMIT):
    """Waits until `holds()` is true."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)


def free_ports(count):
    """Ports nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    _close(*sockets)
    return ports


def listens(port):
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def _close(*sockets):
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        one.close()
