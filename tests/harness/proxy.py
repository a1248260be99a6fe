"""A TCP proxy on loopback that loses replies."""
import random
import select
import socket
import threading
from urllib.parse import urlsplit

PIECE = 65536


class CuttingProxy:
    """Passes connections on to where `target()` says, and cuts some of them.

    Of `share` of the connections, half are cut when the reply begins, which the client never sees,
    and half in the middle of the request. `cuts` counts them. One thread for each connection; all end
    with the context.
    """

    def __init__(self, target, seed, share=0.05):
        self._target = target
        self._choose = random.Random(seed)
        self._share = share
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self._threads = []
        self.cuts = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self):
        while not self._stopped.is_set():
            if not select.select([self._listener], [], [], 0.1)[0]:
                continue
            client, _ = self._listener.accept()
            cut = None
            if self._choose.random() < self._share:
                cut = self._choose.choice(["request", "reply"])
                self.cuts += 1
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._pass_on, args=(client, cut))
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client, cut):
        with client:
            url = self._target()
            if url is None:
                return
            try:
                with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as server:
                    self._copy(client, server, cut)
            except OSError:
                return

    def _copy(self, client, server, cut):
        ends = {client: server, server: client}
        while ends and not self._stopped.is_set():
            for source in select.select(list(ends), [], [], 0.1)[0]:
                piece = source.recv(PIECE)
                if cut == "request" and source is client:
                    server.sendall(piece[:len(piece) // 2])
                    return
                if cut == "reply" and source is server:
                    return
                if not piece:
                    return
                ends[source].sendall(piece)
