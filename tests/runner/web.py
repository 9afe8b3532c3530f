"""A server of files for the tests of downloads, on a free port of this machine, that can be told to behave badly."""
import collections
import http.server
import threading
import time
import urllib.parse


class Web:
    """files: path -> bytes. bad: path -> list of what the next answers to it are, the first for the next:
    ("cut", N): N bytes of the body, then the connection ends; ("hang", N): N bytes, then silence until `let_go`;
    ("status", CODE[, SECONDS]): an error, with the wish to be left alone so long; ("redirect", URL); "whole": the range is ignored; ("trickle", N): N bytes at a time, each
    after a pause. What was asked for is in `asked`: (path, range or None)."""

    def __init__(self):
        self.files, self.bad, self.asked = {}, collections.defaultdict(list), []
        self.sent = collections.Counter()
        self.let_go = threading.Event()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                try:
                    web.answer(self)
                except OSError:
                    self.close_connection = True  # the other side went away

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()

    def forget(self):
        self.asked.clear()
        self.sent.clear()
        self.bad.clear()

    def count(self, ending=""):
        return sum(path.endswith(ending) for path, _ in self.asked)

    def answer(self, handler):
        # Through a proxy the whole address is asked for.
        path = urllib.parse.unquote(urllib.parse.urlsplit(handler.path).path)
        wanted = handler.headers.get("Range")
        self.asked.append((path, wanted))
        mode = self.bad[path].pop(0) if self.bad[path] else ("fine",)
        if mode[0] == "status":
            return self.say(handler, mode[1], b"no\n" * 100, *mode[2:])
        if mode[0] == "redirect":
            handler.send_response(302)
            handler.send_header("Location", mode[1])
            handler.send_header("Content-Length", "0")
            return handler.end_headers()
        if path not in self.files:
            return self.say(handler, 404, b"not here\n" * 100)
        body, start = self.files[path], 0
        if wanted and mode != "whole":
            start = int(wanted.split("=")[1].split("-")[0])
            if start >= len(body):
                return self.say(handler, 416, b"")
        handler.send_response(206 if wanted and mode != "whole" else 200)
        handler.send_header("Content-Length", str(len(body) - start))
        if wanted and mode != "whole":
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.end_headers()
        piece = body[start:]
        if mode[0] in ("cut", "hang"):
            piece = piece[: mode[1]]
        if mode[0] == "trickle":
            for at in range(0, len(piece), mode[1]):
                handler.wfile.write(piece[at : at + mode[1]])
                self.sent[path] += len(piece[at : at + mode[1]])
                time.sleep(0.05)
            return
        handler.wfile.write(piece)
        handler.wfile.flush()
        self.sent[path] += len(piece)
        if mode[0] == "hang":
            self.let_go.wait(20)
        if mode[0] in ("cut", "hang"):
            handler.close_connection = True

    def say(self, handler, code, body, wish=None):
        handler.send_response(code)
        if wish is not None:
            handler.send_header("Retry-After", str(wish))
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
