"""A small service: answers on PORT, and says which Python, which user and how many certificates it has."""

import http.server
import json
import os
import signal
import ssl
import sys


def facts():
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "uid": os.getuid(),
        "certificates": len(ssl.create_default_context().get_ca_certs()),
        "openssl": ssl.OPENSSL_VERSION,
    }


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(facts()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def main():
    if "--facts" in sys.argv:
        print(json.dumps(facts()))
        return
    # PID 1 gets no default handler: without this, SIGTERM would be ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()


if __name__ == "__main__":
    main()
